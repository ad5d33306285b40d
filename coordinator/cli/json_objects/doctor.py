"""The JSON object of ``doctor``."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.cli.json_objects.fields import Object
from coordinator.diagnosis.findings import Finding, is_healthy

__all__ = ["doctor_object"]


def doctor_object(findings: Sequence[Finding]) -> Object:
    """The answer to ``doctor``."""
    return {
        "healthy": is_healthy(findings),
        "findings": [
            {
                "check": finding.check,
                "severity": finding.severity.value,
                "subject": finding.subject or None,
                "message": finding.message,
                "advice": finding.advice,
                "value": finding.value,
                "unit": finding.unit,
            }
            for finding in findings
        ],
    }
