"""``coordination doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from coordinator.cli.context import Context, current
from coordinator.cli.json_objects import Object
from coordinator.cli.output import answer
from coordinator.cli.server_options import EtcdCa, EtcdCert, EtcdKey, EtcdOptions, EtcdPasswordFile, EtcdUser
from coordinator.diagnosis.findings import Finding, Severity, is_healthy

__all__ = ["describe_findings", "doctor", "doctor_object"]

_MARKS = {Severity.OK: "ok", Severity.WARNING: "warn", Severity.PROBLEM: "FAIL"}
#: Green, yellow and red, in the numbers that terminals have for them.
_COLOURS = {"ok": 32, "warn": 33, "FAIL": 31}
_MARK_WIDTH = 4

Etcd = Annotated[
    str | None,
    typer.Option("--etcd", metavar="HOST:PORT,…", help="Examine this etcd instead, before any coordinator runs."),
]


def doctor(
    etcd: Etcd = None,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
) -> int:
    """Examine the coordinators and their etcd, and say what to do about what is found.

    Exits with 0 if there is no problem, warnings or not, and with 1 if there is one: also where nothing answers. With
    --etcd it looks at an etcd directly, which needs what `serve` needs.
    """
    context = current()
    how = (etcd_ca, etcd_cert, etcd_key, etcd_user, etcd_password_file)
    findings = _examine_coordinators(context) if etcd is None else _examine_etcd(etcd, how, context)
    answer(context, describe_findings(findings), doctor_object(findings), decorate=_colour)
    return 0 if is_healthy(findings) else 1


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


def describe_findings(findings: Sequence[Finding]) -> str:
    """Write one line for each finding, below it what to do, and a summary last."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for number, finding in enumerate(findings):
        about = f"{finding.subject}: " if finding.subject and finding.subject not in finding.message else ""
        lines.append(f"{_MARKS[finding.severity]:<{_MARK_WIDTH}}  {finding.check:<{width}}  {about}{finding.message}")
        # The same advice for several faults in a row is given once, below the last.
        follows = findings[number + 1].advice if number + 1 < len(findings) else None
        if finding.advice and finding.advice != follows:
            lines.append(f"{'':<{_MARK_WIDTH + width + 4}}→ {finding.advice}")
    found = Counter(finding.severity for finding in findings)
    summary = (
        (found[Severity.PROBLEM], "problem"),
        (found[Severity.WARNING], "warning"),
    )
    counted = [f"{number} {what}{'' if number == 1 else 's'}" for number, what in summary if number]
    return "\n".join([*lines, ", ".join([*counted, f"{found[Severity.OK]} in order"])])


def _colour(text: str) -> str:
    """Colour the marks of a text that is shown on a terminal."""
    return "\n".join(_colour_mark(line) for line in text.split("\n"))


def _colour_mark(line: str) -> str:
    mark, rest = line[:_MARK_WIDTH], line[_MARK_WIDTH:]
    colour = _COLOURS.get(mark.rstrip())
    return line if colour is None or not rest.startswith("  ") else f"\x1b[{colour}m{mark}\x1b[0m{rest}"


def _examine_coordinators(context: Context) -> tuple[Finding, ...]:
    from coordinator.cli.doctor_checks import examine

    return examine(context)


def _examine_etcd(etcd: str, how: EtcdOptions, context: Context) -> tuple[Finding, ...]:
    from coordinator.cli.serve import need_server

    need_server()
    from coordinator.cli.doctor_etcd_checks import examine

    return examine(etcd, how, seconds=context.timeout)
