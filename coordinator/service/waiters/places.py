"""The places of calls that wait for work.

Invariants:
- What waiting calls hold in memory is bounded: by their number, by the bytes of their requests, and by the work keys
  that they wait for, of which those of one list count once.
- They take no places of other calls (``admission/admission.py``), and a connection has at most half of its calls among
  them.
- Of each of the three, no connection has more than is left free, and no credential more than twice as much. So however
  many one caller sends, there are places for others.
- A call without a place is answered as if it did not wait. None is refused for that.
"""

from __future__ import annotations

from collections import Counter

from coordinator.server_limits import MAX_WAITED_KEYS, MAX_WAITERS_OF_A_CONNECTION, MAX_WAITING_REQUEST_BYTES

__all__ = ["Place", "Places"]

#: How many times what is left free one holder may have: a connection, and a credential.
_OF_CONNECTION, _OF_CREDENTIAL = 1, 2


class Places:
    """Hands out places, ``most`` at a time."""

    def __init__(
        self, most: int, *, most_bytes: int = MAX_WAITING_REQUEST_BYTES, most_keys: int = MAX_WAITED_KEYS
    ) -> None:
        self._bounds = {"places": most, "bytes": most_bytes, "keys": most_keys}
        self._taken: Counter[str] = Counter()
        #: By what is counted, and by connection or credential.
        self._held: Counter[tuple[str, str, str]] = Counter()
        self._lists: Counter[object] = Counter()

    @property
    def taken(self) -> int:
        """How many calls have a place."""
        return self._taken["places"]

    def take(self, connection: str, credential: str, size: int, listed: object, keys: int) -> Place | None:
        """Return a place, to be held by ``with``, for a request of ``size`` bytes; None if there is none.

        ``listed`` stands for the list of ``keys`` work keys that it waits for. ``credential`` is "" where none are
        asked for.
        """
        if self._held["places", "connection", connection] >= MAX_WAITERS_OF_A_CONNECTION:
            return None
        wanted = {"places": 1, "bytes": size, "keys": 0 if listed in self._lists else keys}
        holders = [("connection", connection, _OF_CONNECTION)]
        if credential:
            holders.append(("credential", credential, _OF_CREDENTIAL))
        for what, amount in wanted.items():
            free = self._bounds[what] - self._taken[what]
            if amount > free:
                return None
            for kind, name, share in holders:
                held = self._held[what, kind, name]
                if amount and held and held + amount > share * free:
                    return None
        return Place(self, [(kind, name) for kind, name, _ in holders], wanted, listed)

    def _count(self, holders: list[tuple[str, str]], wanted: dict[str, int], listed: object, sign: int) -> None:
        for what, amount in wanted.items():
            self._taken[what] += sign * amount
            for kind, name in holders:
                self._held[what, kind, name] += sign * amount
                if not self._held[what, kind, name]:
                    del self._held[what, kind, name]
        self._lists[listed] += sign
        if not self._lists[listed]:
            del self._lists[listed]


class Place:
    """A place that is held during a block."""

    def __init__(self, places: Places, holders: list[tuple[str, str]], wanted: dict[str, int], listed: object) -> None:
        self._places, self._holders, self._wanted, self._listed = places, holders, wanted, listed

    def __enter__(self) -> None:
        self._places._count(self._holders, self._wanted, self._listed, 1)  # noqa: SLF001  # two halves of one thing

    def __exit__(self, *raised: object) -> None:
        self._places._count(self._holders, self._wanted, self._listed, -1)  # noqa: SLF001  # likewise
