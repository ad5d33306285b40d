"""Which of several work keys is claimed: the first free one.

Invariant: a claim whose outcome is unknown is withdrawn, as far as a coordinator can be reached within seconds.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from coordinator.client import Client
from coordinator.errors import InvalidInput, OutcomeUnknown
from coordinator.keys import parse_work_key
from coordinator.limits import MAX_CANDIDATES
from coordinator.model import Claim, Denial

__all__ = ["Asking", "check_candidates"]

#: How long a withdrawal may take, in seconds.
_WITHDRAWING_SECONDS = 2.0
_WITHDRAWN = "nothing is held, as the request was withdrawn; run it again"
_PERHAPS_CLAIMED = "run it again later; if the work was claimed after all, that claim ends by itself"


def check_candidates(typed: Sequence[str]) -> list[str]:
    """Return the work keys as they were typed, each once; raise ``InvalidInput`` unless all can be claimed.

    All are checked before any is claimed, so that a mistake in any line of a list is reported at once.
    """
    if len(typed) > MAX_CANDIDATES:
        raise InvalidInput(
            f"{len(typed):,} work keys are too many; at most {MAX_CANDIDATES:,} are allowed", field="work_key"
        )
    # Which spellings are one piece of work is finally decided by the coordinator, which may have more kinds of topics.
    pieces: dict[str, str] = {}
    for number, key in enumerate(typed, 1):
        try:
            pieces.setdefault(str(parse_work_key(key)), key)
        except InvalidInput as error:
            place = f" (number {number} of {len(typed)})" if len(typed) > 1 else ""
            raise InvalidInput(f"{error.message}{place}", field="work_key", hint=error.hint) from None
    return list(pieces.values())


class Asking:
    """One claim of the first free work key; threads may share it. ``connect`` makes the client that asks."""

    def __init__(
        self,
        connect: Callable[[], Client],
        session: str,
        keys: Sequence[str] | None,
        ttl: float,
        repeat_after: float | None,
        wait: float | None = None,
        kind: str | None = None,
        distinct_from: Sequence[str] = (),
    ) -> None:
        self._connect = connect
        self._session = session
        #: None for the pool, from which only work of one kind may be wanted.
        self._keys = keys
        self._kind = kind
        self._ttl = ttl
        #: Completed work is free again so many seconds later; None leaves that to its policy.
        self._repeat_after = repeat_after
        #: How long to wait for it, in seconds; None for not at all.
        self._wait = wait
        self._distinct = distinct_from
        self._request_id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._connected: Client | None = None

    def claim(self) -> Claim | Denial:
        """Claim it in one call; one whose outcome is unknown is withdrawn, and the error says what is so then."""
        client, session, keys = self._client(), self._session, self._keys
        asked: Any = {
            "repeat_after": self._repeat_after,
            "wait": self._wait,
            "distinct_from": self._distinct,
            "request_id": self._request_id,
        }
        try:
            # Of one alone a denial names the holder.
            if keys is not None and len(keys) == 1:
                return client.try_claim(session, keys[0], self._ttl, **asked)
            return client.try_claim_next(session, keys, self._ttl, kind=self._kind, **asked)
        except OutcomeUnknown as error:
            # Its own hint is for commands that can repeat a request.
            error.request_id = None
            error.hint = _WITHDRAWN if self.withdraw() else f"{_PERHAPS_CLAIMED} within {self._ttl:.0f} s"
            raise

    def withdraw(self) -> bool:
        """Withdraw it, whether it was granted or still may be; return whether it is certain that nothing is held."""
        key = self._keys[0] if self._keys is not None and len(self._keys) == 1 else ""
        withdraw = self._client()._withdraw  # noqa: SLF001  # of this package, and only for it
        return withdraw(self._session, key, self._request_id, self._ttl, _WITHDRAWING_SECONDS)

    def release(self, claim: Claim) -> None:
        """Release a claim that nothing came of, as far as a coordinator answers."""
        with contextlib.suppress(Exception):
            self._client().release(
                claim.session, claim.work_key, reason="a fault of coordination run", token=claim.fencing_token
            )

    def _client(self) -> Client:
        with self._lock:
            self._connected = self._connected or self._connect()
            return self._connected
