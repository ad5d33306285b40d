"""Crowd: calls that are not let in do not fill the memory, however many methods and connections they come by.

A call is let in once its credential and its whole request are there. Until then it takes about 30 KB of this process,
and gRPC's limit of waiting calls (``MAX_UNTAKEN_CALLS``) holds for each method of its own: 30,000 headers of calls of
all methods were 670 MiB. Invariants:
- While many calls are not let in, a connection that has its share of them gets no more: further calls of it are taken
  from gRPC's queues and dropped, unanswered, which costs a fraction of an answer.
- So are those of a connection whose calls were refused several times, while many are refused.
- A caller with one call at a time is never dropped while it has no other, nor is any while there are few.

Callers through a unix socket are left alone: they are of the coordinator's own user, and gRPC does not say which is
which.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable

from coordinator.logs.format import said
from coordinator.logs.line_limit import LineLimit
from coordinator.net.unix_sockets import is_unix
from coordinator.server_limits import MAX_REFUSED_OF_A_CONNECTION, MAX_REFUSED_PER_SECOND, MAX_UNADMITTED_CALLS

__all__ = ["Crowd"]

_LOG = logging.getLogger(__name__)
#: From which share of what may be there on it is a flood: of the calls, and of those that were refused. Clients that
#: send whole requests are never a hundred at a time that are not let in, however many they are.
_LARGE, _LARGE_REFUSED = 0.1, 0.5
_MOST_LINES, _LINES_SECONDS = 1, 60.0
#: Connections of which refusals are remembered. Beyond that all are forgotten: they are addresses, and cost nothing.
_MOST_REMEMBERED = 8_192


class Crowd:
    """The calls that are not let in yet, by connection, and how many were refused lately.

    ``most`` calls may be there before connections have shares. From ``most_refused`` refusals a second on, a connection
    gets ``refusals`` answers of that kind. ``clock`` returns seconds.
    """

    def __init__(
        self,
        most: int = MAX_UNADMITTED_CALLS,
        most_refused: int = MAX_REFUSED_PER_SECOND,
        refusals: int = MAX_REFUSED_OF_A_CONNECTION,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_refused = most_refused
        self._refusals = refusals
        self._clock = clock
        self._size = 0
        self._of_peer: Counter[str] = Counter()
        #: About how many were refused in the last second: it halves in 0.7 s.
        self._refused = 0.0
        self._refused_at = 0.0
        self._refused_of: Counter[str] = Counter()
        self._lines = LineLimit(_MOST_LINES, _LINES_SECONDS, lambda *_: None)

    def come(self, peer: str) -> None:
        """Note that a call is there."""
        self._size += 1
        self._of_peer[peer] += 1

    def gone(self, peer: str) -> None:
        """Note that a call was let in, or has ended."""
        self._size -= 1
        self._of_peer[peer] -= 1
        if not self._of_peer[peer]:
            del self._of_peer[peer]

    def refused(self, peer: str) -> None:
        """Note that a call is refused before it was let in."""
        self._refused = self._refused_now() + 1.0
        self._refused_at = self._clock()
        if self._refused < self._most_refused / 2 or len(self._refused_of) >= _MOST_REMEMBERED:
            self._refused_of.clear()
        self._refused_of[peer] += 1

    def let_in(self, peer: str) -> None:
        """Note that a call of a connection was let in, so that earlier refusals do not count."""
        self._refused_of.pop(peer, None)

    @property
    def is_large(self) -> bool:
        """Whether so many are there, or were refused lately, that they are a flood."""
        return self._size >= self._most * _LARGE or self._refused_now() >= self._most_refused * _LARGE_REFUSED

    @property
    def may_drop(self) -> bool:
        """Whether any call is dropped at present; cheap, as it is asked for each call."""
        return self._size >= self._most or self._refused >= self._most_refused

    def drops(self, peer: str) -> bool:
        """Return whether a call of this connection, that has just come, is to be dropped."""
        if is_unix(peer) or not (self._has_its_share(peer) or self._was_refused_enough(peer)):
            return False
        if self._lines.lets_through(""):
            _LOG.warning(
                "calls are dropped, because too many come without a valid credential or without their requests",
                extra=said(waiting=self._size, refused_in_a_second=int(self._refused), peer=peer),
            )
        return True

    def _has_its_share(self, peer: str) -> bool:
        if self._size < self._most:
            return False
        # Those that came first have more than that, so that it is less for others once it is too many by half.
        share = self._most // len(self._of_peer) if self._size < 1.5 * self._most else 1
        return self._of_peer[peer] >= max(1, share)

    def _was_refused_enough(self, peer: str) -> bool:
        return self._refused_of[peer] >= self._refusals and self._refused_now() >= self._most_refused

    def _refused_now(self) -> float:
        """Return how many were refused in the last second, about; ``_refused`` is of when the last one was."""
        return self._refused * math.exp(self._refused_at - self._clock())
