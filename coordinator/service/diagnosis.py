"""What a coordinator finds when it examines itself and its store.

Invariant: a clock is judged by a sign of life that was certainly given now. One that is behind may be old, left by a
replica that is gone or brought back by a backup: it counts once it has changed while this coordinator looked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from coordinator import clock
from coordinator.diagnosis.clocks import judge_offsets, judge_signs
from coordinator.diagnosis.findings import Finding, is_healthy, judge_tasks
from coordinator.diagnosis.tls import judge_clear_http
from coordinator.engine.election import ReplicaSign, read_signs
from coordinator.errors import CoordinatorError
from coordinator.model import TaskStatus
from coordinator.process.open_files import examine_limit
from coordinator.store.diagnosis.probe import Examination
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import SEVERITIES_ON_WIRE, timestamp

__all__ = ["DiagnosisReader"]

#: How long replicas take between two signs of life at most, and how often it is looked for the next, in seconds.
_BETWEEN_SIGNS_SECONDS, _LOOK_SECONDS = 6.0, 0.5


class DiagnosisReader:
    """Examines; ``endpoint`` is what the coordinator listens on, ``clock`` what its caller's clock is compared with.

    ``tasks`` returns the state of its background tasks, and ``offsets`` what is known of the other replicas' clocks,
    as ``Reaper.offsets`` does. ``clear_http`` returns where it takes tokens over HTTP without TLS, "" for nowhere.
    """

    def __init__(
        self,
        examination: Examination,
        runner: Runner,
        tasks: Callable[[], tuple[TaskStatus, ...]] = tuple,
        *,
        version: str,
        endpoint: str,
        clock: Callable[[], datetime] = clock.now,
        offsets: Callable[[], Mapping[str, tuple[str, float, float]]] = dict,
        clear_http: Callable[[], str] = str,
    ) -> None:
        self._examination = examination
        self._runner = runner
        self._tasks = tasks
        self._version = version
        self._endpoint = endpoint
        self._clock = clock
        self._offsets = offsets
        self._clear_http = clear_http

    async def read(self, *, deadline: float) -> pb.DiagnoseResponse:
        """Examine, and write down what was found; ``deadline`` is a reading of ``time.monotonic()``."""
        received_at = self._clock()
        findings = [*await self._examination.findings(deadline=deadline), examine_limit()]
        if is_healthy(findings):
            findings += await self._clocks(deadline)
        findings += judge_tasks(self._tasks(), self._endpoint)
        findings += judge_clear_http(self._clear_http())
        return pb.DiagnoseResponse(
            findings=[_message(finding) for finding in findings],
            version=self._version,
            endpoint=self._endpoint,
            received_at=timestamp(received_at),
            answered_at=timestamp(self._clock()),
        )

    async def _clocks(self, deadline: float) -> list[Finding]:
        """Judge the clocks of all coordinators by what they show one another."""
        try:
            signs, _ = await self._runner.run(read_signs, deadline=deadline)
        except CoordinatorError:
            return []
        # What was learnt from many signs is closer than what one says.
        known = self._offsets()
        others = {sign.id: sign for sign in signs if sign.id not in known}
        doubtful = {id_ for id_, sign in others.items() if self._is_behind(sign)}
        if doubtful:
            again = await self._changed({id_: others[id_].revision for id_ in doubtful}, deadline)
            others = {id_: sign for id_, sign in others.items() if id_ not in doubtful} | again
        alive = [(sign.beat.name, sign.beat.clock) for sign in others.values()]
        return [*judge_offsets(known.values()), *judge_signs(alive, self._clock())]

    def _is_behind(self, sign: ReplicaSign) -> bool:
        return any(True for _ in judge_signs([(sign.beat.name, sign.beat.clock)], self._clock())) and (
            sign.beat.clock < self._clock()
        )

    async def _changed(self, seen: dict[str, int], deadline: float) -> dict[str, ReplicaSign]:
        """Wait until these signs have changed, for as long as the longest time between two, and return those that did.

        ``seen`` are their revisions. No longer than half of the time is left, so that the answer comes in time.
        """
        now = time.monotonic()
        until = now + min(_BETWEEN_SIGNS_SECONDS, (deadline - now) / 2)
        found: dict[str, ReplicaSign] = {}
        while len(found) < len(seen) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                signs, _ = await self._runner.run(read_signs, deadline=deadline)
            except CoordinatorError:
                break
            found |= {sign.id: sign for sign in signs if seen.get(sign.id, sign.revision) != sign.revision}
        return found


def _message(finding: Finding) -> pb.Finding:
    return pb.Finding(
        check=finding.check,
        severity=SEVERITIES_ON_WIRE[finding.severity],
        message=finding.message,
        advice=finding.advice,
        subject=finding.subject,
        value=finding.value,
        unit=finding.unit,
    )
