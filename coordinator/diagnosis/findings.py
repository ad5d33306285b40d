"""What an examination finds, on either side of the wire.

Invariant: every finding that is not in order says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coordinator.model import TaskStatus

__all__ = ["Diagnosis", "Finding", "Severity", "is_healthy", "judge_tasks", "problem", "sound", "warning"]


class Severity(StrEnum):
    """How grave a finding is."""

    #: In order.
    OK = "ok"
    #: It works, and may not go on working or not be safe.
    WARNING = "warning"
    #: It does not work, or claims cannot be relied on.
    PROBLEM = "problem"


class Finding(NamedTuple):
    """What one check has found.

    ``check`` names the check, ``subject`` what was looked at (``HOST:PORT``, empty where it is the store as a whole),
    ``advice`` what to do; it is None only where all is in order. ``value`` is what was measured, in ``unit``, where the
    check measures something.
    """

    check: str
    severity: Severity
    message: str
    advice: str | None = None
    subject: str = ""
    value: float | None = None
    unit: str | None = None


class Diagnosis(NamedTuple):
    """What a coordinator says of itself and its store.

    ``received_at`` and ``answered_at`` are readings of its clock, so that its caller can compute the offset of its own
    clock.
    """

    version: str
    endpoint: str
    received_at: datetime
    answered_at: datetime
    findings: tuple[Finding, ...]


def sound(
    check: str, message: str, *, subject: str = "", value: float | None = None, unit: str | None = None
) -> Finding:
    """Make a finding of something that is in order."""
    return Finding(check, Severity.OK, message, None, subject, value, unit)


def warning(
    check: str, message: str, advice: str, *, subject: str = "", value: float | None = None, unit: str | None = None
) -> Finding:
    """Make a finding of something that works, but may not go on or is not safe."""
    return Finding(check, Severity.WARNING, message, advice, subject, value, unit)


def problem(
    check: str, message: str, advice: str, *, subject: str = "", value: float | None = None, unit: str | None = None
) -> Finding:
    """Make a finding of something that does not work."""
    return Finding(check, Severity.PROBLEM, message, advice, subject, value, unit)


def judge_tasks(tasks: Iterable[TaskStatus], endpoint: str) -> Iterator[Finding]:
    """Judge what the coordinator at ``endpoint`` does in the background: a finding for each task that fails."""
    tasks = tuple(tasks)
    failing = [task for task in tasks if task.failing]
    if not failing:
        yield sound("tasks", f"all {len(tasks)} background tasks succeed", subject=endpoint)
    for task in failing:
        often = f"failed {task.consecutive_failures} times in a row" if task.consecutive_failures else "is silent"
        yield problem(
            "tasks",
            f"{endpoint}: the task {task.name} {often} for {task.failing_seconds:.0f} s: {task.error}",
            "see its section of docs/runbook.md (CoordinationTaskFailing), and that coordinator's log",
            subject=endpoint,
            value=round(task.failing_seconds, 1),
            unit="seconds",
        )


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Return whether nothing found is a problem; warnings do not count."""
    return all(finding.severity is not Severity.PROBLEM for finding in findings)
