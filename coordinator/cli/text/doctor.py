"""The text of ``doctor``: what was found, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coordinator.diagnosis.findings import Finding, Severity

__all__ = ["colour_findings", "describe_findings"]

_MARKS = {Severity.OK: "ok", Severity.WARNING: "warn", Severity.PROBLEM: "FAIL"}


#: Green, yellow and red, in the numbers that terminals have for them.
_COLOURS = {"ok": 32, "warn": 33, "FAIL": 31}


_MARK_WIDTH = 4


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


def colour_findings(text: str) -> str:
    """Colour the marks of a text that is shown on a terminal."""
    return "\n".join(_colour_mark(line) for line in text.split("\n"))


def _colour_mark(line: str) -> str:
    mark, rest = line[:_MARK_WIDTH], line[_MARK_WIDTH:]
    colour = _COLOURS.get(mark.rstrip())
    return line if colour is None or not rest.startswith("  ") else f"\x1b[{colour}m{mark}\x1b[0m{rest}"
