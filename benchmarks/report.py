"""The verdicts, computed from the figures, and the table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.load import Measured
from benchmarks.subjects import CLAIMS_PER_CALL

__all__ = ["Figures", "Verdict", "table", "verdicts"]

#: Of each subject, one measurement a round.
Figures = dict[str, list[Measured]]


@dataclass(frozen=True)
class Verdict:
    """One target: ``value`` must be at least, or at most, ``target``."""

    what: str
    value: float
    at_least: bool
    target: float

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def verdicts(figures: Figures, check_perf_writes: float | None) -> list[Verdict]:
    """Compute the ratios: round by round, so that a slow minute touches both sides, and their median."""

    def ratio(above: list[float], below: list[float]) -> float:
        return median(a / b for a, b in zip(above, below, strict=True))

    def rates(name: str) -> list[float]:
        return [measured.rate for measured in figures[name]]

    one = [measured.p50 for measured in figures["claim, 1 caller"]]
    floor = [
        echo.p50 + direct.p50
        for echo, direct in zip(figures["echo, 1 caller"], figures["etcd transaction, 1 caller"], strict=True)
    ]
    spread = [measured.p99 / measured.p50 for measured in figures["claim, 64 callers"]]
    claims, echo = rates("claim, 64 callers"), rates("echo, 64 callers")
    found = [
        Verdict("claims/s over echoes/s, 64 callers", ratio(claims, echo), True, 0.65),
        Verdict("claim p50 over echo p50 + etcd transaction p50, 1 caller", ratio(one, floor), False, 1.25),
        Verdict(
            "claims/s over lease and transaction each, 64 callers", ratio(claims, rates("naive, 64 callers")), True, 1.5
        ),
        Verdict("hot-key denials/s over claims/s, 64 callers", ratio(rates("hot key, 64 callers"), claims), True, 1.0),
        Verdict("claim p99 over p50, 64 callers", median(spread), False, 3.0),
    ]
    if check_perf_writes is not None:
        many = median(rates("ClaimMany of 50, 4 callers")) * CLAIMS_PER_CALL
        found.insert(
            4, Verdict("ClaimMany claims/s over etcdctl check perf writes/s", many / check_perf_writes, True, 4.0)
        )
    return found


def table(figures: Figures, found: list[Verdict], check_perf_writes: float | None) -> str:
    """Write figures and verdicts for people."""
    lines = [f"{'subject':<34}{'calls/s':>10}{'p50 ms':>10}{'p99 ms':>10}   (medians of the rounds)"]
    for name, rounds in figures.items():
        rate, p50, p99 = (median(getattr(measured, part) for measured in rounds) for part in ("rate", "p50", "p99"))
        lines.append(f"{name:<34}{rate:>10.0f}{p50:>10.2f}{p99:>10.2f}")
    if check_perf_writes is not None:
        lines.append(f"{'etcdctl check perf --load=l':<34}{check_perf_writes:>10.0f}")
    lines.append("")
    for verdict in found:
        sign = "at least" if verdict.at_least else "at most"
        word = "reached" if verdict.reached else "MISSED"
        lines.append(f"{verdict.what:<58}{verdict.value:>7.2f}   {sign} {verdict.target:<5g} {word}")
    return "\n".join(lines)
