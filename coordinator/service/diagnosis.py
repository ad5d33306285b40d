"""What a coordinator finds when it examines itself and its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from coordinator import clock
from coordinator.descriptors import examine_limit
from coordinator.engine.electing import read_signs
from coordinator.enumerations import SEVERITIES_ON_WIRE
from coordinator.errors import CoordinatorError
from coordinator.findings import Finding, is_healthy, judge_tasks
from coordinator.model import TaskStatus
from coordinator.offsets import judge_offsets, judge_signs
from coordinator.service.replies import timestamp
from coordinator.store.examination import Examination
from coordinator.store.runner import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["DiagnosisReader"]


class DiagnosisReader:
    """Examines; ``endpoint`` is what the coordinator listens on, ``clock`` what its caller's clock is compared with.

    ``tasks`` tells how its tasks in the background do, and ``offsets`` what is known of the other replicas' clocks,
    as ``Reaper.offsets`` does.
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
    ) -> None:
        self._examination = examination
        self._runner = runner
        self._tasks = tasks
        self._version = version
        self._endpoint = endpoint
        self._clock = clock
        self._offsets = offsets

    async def read(self, *, deadline: float) -> pb.DiagnoseResponse:
        """Examine, and write down what was found; ``deadline`` is a reading of ``time.monotonic()``."""
        received_at = self._clock()
        findings = [*await self._examination.findings(deadline=deadline), examine_limit()]
        if is_healthy(findings):
            findings += await self._clocks(deadline)
        findings += judge_tasks(self._tasks(), self._endpoint)
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
        others = [(sign.beat.name, sign.beat.clock) for sign in signs if sign.id not in known]
        return [*judge_offsets(known.values()), *judge_signs(others, self._clock())]


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
