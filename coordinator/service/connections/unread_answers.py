"""UnreadAnswers: what callers do not read does not fill the memory.

An answer stays in memory until its caller has taken it, and HTTP/2 lets a caller take it as slowly as it likes, a call
that needs no credential included. Invariant: about so many answers, and so many bytes of them, wait for their callers.
When there are more, connections on which one has waited for some time are closed, those with the most first, until the
rest is little enough again. The more there are, the shorter that time is: however fast they come, they do not fill the
memory within it. A caller that reads, or is one of few that do not, is left alone.

A call is asked for its peer when its answer is noted, never later: gRPC (1.85) may release a call before it says that
the call has ended, and asking for its peer then ends the process.

Connections through a unix socket are not closed: gRPC does not say which is whose, and all are of the same user.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import grpc.aio

from coordinator.logs.format import said
from coordinator.logs.line_limit import LineLimit
from coordinator.server_limits import CROWDED_UNREAD_SECONDS, MAX_UNREAD_ANSWERS, MAX_UNREAD_BYTES, UNREAD_SECONDS
from coordinator.service.connections.crowds import Crowd

__all__ = ["UnreadAnswers"]

_LOG = logging.getLogger(__name__)
_MOST_LINES, _LINES_SECONDS = 1, 60.0
#: From how many times the answers, and the bytes, that may wait on patience is shorter.
_CROWD, _CROWD_BYTES = 8, 4

_Context = grpc.aio.ServicerContext[Any, Any]


class _Answer(NamedTuple):
    size: int
    since: float
    peer: str
    crowd: Crowd | None = None


class UnreadAnswers:
    """The answers that wait for their callers. ``close`` closes the connections of peers, as gRPC writes them.

    ``close`` is called in a thread. ``clock`` returns seconds.
    """

    def __init__(
        self,
        close: Callable[[Collection[str]], None],
        *,
        most: int = MAX_UNREAD_ANSWERS,
        most_bytes: int = MAX_UNREAD_BYTES,
        patience: float = UNREAD_SECONDS,
        least_patience: float = CROWDED_UNREAD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._close = close
        self._most = most
        self._most_bytes = most_bytes
        self._patience = patience
        self._least_patience = least_patience
        self._clock = clock
        self._waiting: dict[_Context, _Answer] = {}
        self._bytes = 0
        self._look: asyncio.Task[None] | None = None
        self._lines = LineLimit(_MOST_LINES, _LINES_SECONDS, lambda *_: None)

    def last(self, context: _Context, size: int, *, crowd: Crowd | None = None) -> None:
        """Note that a call is about to end with an answer of ``size`` bytes.

        ``crowd`` counts it until it has ended, where it needed no credential.
        """
        self.add(context, size, crowd)
        context.add_done_callback(self.taken)  # type: ignore[arg-type]  # the stubs want a parameter's name, too

    def add(self, context: _Context, size: int, crowd: Crowd | None = None) -> None:
        """Note that an answer waits, until it is ``taken``."""
        peer = context.peer()
        self._waiting[context] = _Answer(size, self._clock(), peer, crowd)
        if crowd is not None:
            crowd.come(peer)
        self._bytes += size
        if self._look is None and self._too_many(len(self._waiting), self._bytes):
            self._look = asyncio.create_task(self._look_again_and_again())

    def taken(self, context: _Context) -> None:
        """Note that a caller has its answer, or is gone."""
        answer = self._waiting.pop(context, None)
        if answer is not None:
            self._bytes -= answer.size
            if answer.crowd is not None:
                answer.crowd.gone(answer.peer)

    def to_close(self) -> set[str]:
        """Return whose connections are to be closed, and count their answers no more."""
        if not self._too_many(len(self._waiting), self._bytes):
            return set()
        latest = self._clock() - self._patience_now()
        if next(iter(self._waiting.values())).since > latest:
            return set()
        of_peer: dict[str, list[_Context]] = defaultdict(list)
        late: set[str] = set()
        for context, answer in self._waiting.items():
            of_peer[answer.peer].append(context)
            if answer.since <= latest:
                late.add(answer.peer)
        chosen = set()
        for peer in sorted(late, key=lambda peer: self._weight(of_peer[peer]), reverse=True):
            if not self._too_many(len(self._waiting), self._bytes):
                break
            chosen.add(peer)
            for context in of_peer[peer]:
                self.taken(context)
        return chosen

    def _too_many(self, count: int, size: int) -> bool:
        return count > self._most or size > self._most_bytes

    def _patience_now(self) -> float:
        excess = max(len(self._waiting) / self._most / _CROWD, self._bytes / self._most_bytes / _CROWD_BYTES)
        return max(min(self._least_patience, self._patience), self._patience / max(1.0, excess))

    def _weight(self, contexts: list[_Context]) -> float:
        """Return how large a share of what may wait is that of these calls."""
        size = sum(self._waiting[context].size for context in contexts)
        return len(contexts) / self._most + size / self._most_bytes

    async def _look_again_and_again(self) -> None:
        try:
            while self._too_many(len(self._waiting), self._bytes):
                await asyncio.sleep(self._least_patience / 2)
                if peers := self.to_close():
                    if self._lines.lets_through(""):
                        _LOG.warning(
                            "connections were closed whose callers read no answers", extra=said(count=len(peers))
                        )
                    await asyncio.to_thread(self._close, peers)
        finally:
            self._look = None
