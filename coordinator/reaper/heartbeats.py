"""Heartbeats: replicas report their clocks to one another.

Invariant: claims are ended by the wall clock only while the clocks that have written deadlines agree: those of the
replicas with one another, and each with the host it runs on. A replica that is gone has left claims behind, which may
last for as long as the longest TTL.

A difference is shown to people only for a replica that certainly runs: whose sign has changed, or is from the future.

Its own last sign of life is where a replica left it, or the store is not the one that it was.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from coordinator import clock as clocks
from coordinator.clock import boot_seconds
from coordinator.diagnosis.clocks import SIGN_SECONDS
from coordinator.engine.election import Beat, ReplicaSign, read_signs, show_sign
from coordinator.limits import MAX_TTL_SECONDS
from coordinator.store.lineage import StoreChanged
from coordinator.store.operation_driver import Runner

__all__ = ["Replicas", "SignLost"]

_CALL_SECONDS = 5.0
#: How many signs of life of a replica are compared, two minutes' worth: clocks run unevenly.
_SIGNS_COMPARED = 24
#: How long a sign may have been on its way when it was written, after its clock was read.
_ON_ITS_WAY = timedelta(seconds=0.25)
#: From which difference on a replica that is gone is remembered, in seconds: the time between two signs is none.
_WORTH_KEEPING = 15.0


class SignLost(StoreChanged):
    """The last sign of life of this replica was deleted or changed by another program."""


class _Offset:
    """The offset of a replica's clock: each sign of life narrows it, as their delays differ."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: deque[tuple[float, float]] = deque(maxlen=_SIGNS_COMPARED)

    def add(self, least: float, most: float) -> None:
        """Take in what one sign says; what contradicts it was wrong, or is so no more."""
        known_least, known_most = self.bounds
        if least > known_most or most < known_least:
            self._known.clear()
        self._known.append((least, most))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most, in seconds, below 0 where the clock is behind."""
        return (
            max((least for least, _ in self._known), default=-math.inf),
            min((most for _, most in self._known), default=math.inf),
        )


class Replicas:
    """What is known of the other replicas. ``drift`` returns how far the host's wall clock was set since the start."""

    def __init__(
        self,
        runner: Runner,
        clock: Callable[[], datetime],
        name: str,
        *,
        drift: Callable[[], float] = clocks.drift_seconds,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._name = name
        self._drift = drift
        self._id = secrets.token_hex(8)
        self._seen: dict[str, int] = {}
        self._apart: dict[str, float] = {}
        #: Those that are gone: how far their clocks were off, and until when claims of theirs may be there.
        self._gone: dict[str, tuple[float, float]] = {}
        self._looked_at: datetime | None = None
        self._offsets: dict[str, _Offset] = {}
        #: The revision of our last sign, and the lease that it is bound to; 0 while that is not known.
        self._own: tuple[int, int] = 0, 0

    def forget(self) -> None:
        """Forget what signs of life have said, ours and those of the others: the store has become another one."""
        self._seen, self._offsets, self._looked_at, self._own = {}, {}, None, (0, 0)

    async def beat(self, lease: int, revision_lag: int | None) -> int:
        """Give a sign of life and look at those of the others; returns the revision of the store.

        Raises ``SignLost``, and what ``EtcdChannel.call`` raises.
        """
        own = Beat(clock=self._clock(), name=self._name, revision_lag=revision_lag)
        deadline = time.monotonic() + _CALL_SECONDS
        last, bound_to = self._own
        self._own = 0, 0
        shown = await self._runner.run(partial(show_sign, self._id, own, lease, last), deadline=deadline)
        # With its lease it may have ended in good order.
        if last and bound_to == lease and not shown.found:
            raise SignLost("the last sign of life of this replica was changed or deleted by another program")
        self._own = shown.revision, lease
        asked = self._clock()
        signs, revision = await self._runner.run(read_signs, deadline=deadline)
        others = [sign for sign in signs if sign.id != self._id]
        self._compare(others, asked, self._clock())
        self._looked_at = asked
        self._seen = {sign.id: sign.revision for sign in signs}
        return revision

    def apart_seconds(self) -> float:
        """Return how far the clocks are apart at most; signs that are not new are taken as they were."""
        gone = (apart for apart, _ in self._gone.values())
        return max((abs(self._drift()), *map(abs, self._apart.values()), *gone))

    def offsets(self) -> dict[str, tuple[str, float, float]]:
        """Return how many seconds other replicas' clocks are ahead of ours: by id the name, the least and the most."""
        return {id_: (offset.name, *offset.bounds) for id_, offset in self._offsets.items()}

    def _compare(self, signs: list[ReplicaSign], asked: datetime, now: datetime) -> None:
        """Compare our clock with those of the others; ``asked`` and ``now`` are from before and after the look."""
        apart = {sign.id: self._difference(sign, now) for sign in signs}
        until = boot_seconds() + MAX_TTL_SECONDS
        gone = self._gone | {id_: (abs(self._apart[id_]), until) for id_ in self._apart.keys() - apart.keys()}
        self._gone = {
            id_: (off, ends)
            for id_, (off, ends) in gone.items()
            if id_ not in apart and off > _WORTH_KEEPING and ends > boot_seconds()
        }
        self._apart = apart
        offsets = {sign.id: self._offsets.get(sign.id) or _Offset(sign.beat.name) for sign in signs}
        for sign in signs:
            # One that is seen for the first time and is behind may be old: of a replica that is gone, or from a backup.
            first = sign.id not in self._seen
            if self._seen.get(sign.id) != sign.revision and not (first and sign.beat.clock < now):
                # It was written after the last look, which it was not there for, and before this one.
                since = self._looked_at
                earliest = asked - timedelta(seconds=SIGN_SECONDS) if since is None else since - _ON_ITS_WAY
                offsets[sign.id].add(
                    (sign.beat.clock - now).total_seconds(), (sign.beat.clock - earliest).total_seconds()
                )
        self._offsets = offsets

    def _difference(self, sign: ReplicaSign, now: datetime) -> float:
        """Return by how much our clock is ahead of another replica's, give or take the time between two looks."""
        if self._seen.get(sign.id) == sign.revision and sign.id in self._apart:
            return self._apart[sign.id]  # nothing new: what has passed since is not for its clock to answer for
        return (now - sign.beat.clock).total_seconds()
