"""Findings as the wire carries them, for clients."""

from __future__ import annotations

from datetime import UTC

from coordinator.diagnosis.findings import Diagnosis, Finding, Severity
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import SEVERITIES

__all__ = ["diagnosis_from"]


def diagnosis_from(message: pb.DiagnoseResponse) -> Diagnosis:
    """Read a diagnosis."""
    return Diagnosis(
        version=message.version,
        endpoint=message.endpoint,
        received_at=message.received_at.ToDatetime(tzinfo=UTC),
        answered_at=message.answered_at.ToDatetime(tzinfo=UTC),
        findings=tuple(_finding(found) for found in message.findings),
    )


def _finding(message: pb.Finding) -> Finding:
    return Finding(
        check=message.check,
        # A severity that a later coordinator has added is at least worth a look.
        severity=SEVERITIES.get(message.severity, Severity.WARNING),
        message=message.message,
        advice=message.advice or None,
        subject=message.subject,
        value=message.value if message.HasField("value") else None,
        unit=message.unit or None,
    )
