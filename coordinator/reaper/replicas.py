"""Signs of life: replicas tell one another what their clocks say.

Invariant: claims are ended by the wall clock only while the clocks that write deadlines agree: those of the replicas
with one another, and each with the host it runs on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from coordinator import clock as clocks
from coordinator.engine.electing import Beat, ReplicaSign, read_signs, show_sign
from coordinator.store.runner import Runner

__all__ = ["Replicas"]

_CALL_SECONDS = 5.0


class Replicas:
    """What is known of the other replicas. ``drift`` tells how far the host's wall clock was set since the start."""

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

    async def beat(self, lease: int, revision_lag: int | None) -> int:
        """Give a sign of life and look at those of the others; returns the revision of the store.

        Raises what ``EtcdChannel.call`` raises.
        """
        own = Beat(clock=self._clock(), name=self._name, revision_lag=revision_lag)
        deadline = time.monotonic() + _CALL_SECONDS
        await self._runner.run(partial(show_sign, self._id, own, lease), deadline=deadline)
        signs, revision = await self._runner.run(read_signs, deadline=deadline)
        now = self._clock()
        self._apart = {sign.id: self._difference(sign, now) for sign in signs if sign.id != self._id}
        self._seen = {sign.id: sign.revision for sign in signs}
        return revision

    def apart_seconds(self) -> float:
        """Tell how far the clocks are apart, at most; signs that are not new are taken as they were."""
        return max((abs(self._drift()), *map(abs, self._apart.values())))

    def _difference(self, sign: ReplicaSign, now: datetime) -> float:
        """Return by how much our clock is ahead of another replica's, give or take the time between two looks."""
        if self._seen.get(sign.id) == sign.revision and sign.id in self._apart:
            return self._apart[sign.id]  # nothing new: what has passed since is not for its clock to answer for
        return (now - sign.beat.clock).total_seconds()
