"""The fencing tokens of the claims that one client was granted, so that its requests name the claim that they mean.

Invariants:
- A request of a client that was granted a claim never acts on another one, whenever it arrives: not on a later claim of
  the same session, by whichever process that was made.
- Only the process that received an answer knows its token: one that was forked has tokens of its own (``_forks``).

Kept are the latest ``KEPT``, so that a client that claims for ever does not grow for ever.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeVar

__all__ = ["Tokens"]

K = TypeVar("K")
V = TypeVar("V")

KEPT = 10_000


class Tokens:
    """Tokens by session and work key, in whichever spelling the caller has used before. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tokens: OrderedDict[tuple[str, str], int] = OrderedDict()
        #: The work keys that spellings stand for.
        self._canonical: OrderedDict[str, str] = OrderedDict()

    def remember(self, session: str, typed: str, work_key: str, token: int) -> None:
        """Note that the session holds ``work_key``, which the caller has spelt ``typed``."""
        with self._lock:
            for spelling in (typed, work_key):
                _put(self._canonical, spelling, work_key)
            _put(self._tokens, (session, work_key), token)

    def of(self, session: str, typed: str) -> int:
        """Return the token of the claim that the session was last known to hold; 0 where none is known."""
        with self._lock:
            return self._tokens.get((session, self._canonical.get(typed, typed)), 0)

    def forget(self, session: str, work_key: str) -> None:
        """Note that the session has ended its claim."""
        with self._lock:
            self._tokens.pop((session, work_key), None)


def _put(kept: OrderedDict[K, V], name: K, value: V) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > KEPT:
        kept.popitem(last=False)
