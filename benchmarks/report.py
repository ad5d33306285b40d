"""The verdicts, computed from the figures, and the table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.load import Measured
from benchmarks.subjects import CLAIMS_PER_CALL

__all__ = ["BATCHED", "Figures", "Verdict", "bounds", "bounds_table", "table", "verdicts"]

#: The subject whose batches are looked at.
BATCHED = "claim, 64 callers"

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
        Verdict(
            "claims/s over HTTP over claims/s, 64 callers",
            ratio(rates("claim over HTTP, 64 callers"), claims),
            True,
            0.5,
        ),
    ]
    if check_perf_writes is not None:
        many = median(rates("ClaimMany of 50, 4 callers")) * CLAIMS_PER_CALL
        found.insert(
            4, Verdict("ClaimMany claims/s over etcdctl check perf writes/s", many / check_perf_writes, True, 4.0)
        )
    return found


def bounds(figures: Figures, check_perf_writes: float | None, *, batch: float, messages_us: float) -> dict[str, float]:
    """Report where the time of a claim goes, and what the ratios could be at most.

    ``batch`` is how many transactions travelled together under 64 callers; ``messages_us`` what the values and messages
    of one claim take.
    """

    def of(name: str, part: str) -> float:
        return median(float(getattr(measured, part)) for measured in figures[name])

    claim, echo = of(BATCHED, "server_us"), of("echo, 64 callers", "server_us")
    etcd_call = of("etcd transaction, 1 caller", "caller_us") / batch
    found = {
        "processor time of a claim in the coordinator, 64 callers, us": claim,
        "... what gRPC's server takes, which is an echo's, us": echo,
        "... its share of a call of etcd, us": etcd_call,
        "... all else, which is our own Python, us": claim - echo - etcd_call,
        "transactions in a batch, 64 callers": batch,
        "values and messages of a claim by themselves, us": messages_us,
        "claims/s over echoes/s, if nothing but gRPC, etcd and these cost": echo / (echo + etcd_call + messages_us),
        "echoes/s over lease and transaction each, the most of any server": median(
            one.rate / other.rate
            for one, other in zip(figures["echo, 64 callers"], figures["naive, 64 callers"], strict=True)
        ),
    }
    if check_perf_writes is not None:
        found["ClaimMany claims/s over check perf, if these alone cost"] = 1e6 / messages_us / check_perf_writes
    return found


def bounds_table(found: dict[str, float]) -> str:
    """Write them for people."""
    return "\n".join(["", *(f"{what:<68}{value:>9.2f}" for what, value in found.items())])


def table(figures: Figures, found: list[Verdict], check_perf_writes: float | None) -> str:
    """Write figures and verdicts for people."""
    lines = [
        f"{'subject':<30}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'server us':>11}{'caller us':>11}   (medians)",
    ]
    for name, rounds in figures.items():
        rate, p50, p99, server, caller = (
            median(getattr(measured, part) for measured in rounds)
            for part in ("rate", "p50", "p99", "server_us", "caller_us")
        )
        lines.append(f"{name:<30}{rate:>9.0f}{p50:>9.2f}{p99:>9.2f}{server:>11.0f}{caller:>11.0f}")
    if check_perf_writes is not None:
        lines.append(f"{'etcdctl check perf --load=l':<30}{check_perf_writes:>9.0f}")
    lines.append("")
    for verdict in found:
        sign = "at least" if verdict.at_least else "at most"
        word = "reached" if verdict.reached else "MISSED"
        lines.append(f"{verdict.what:<58}{verdict.value:>7.2f}   {sign} {verdict.target:<5g} {word}")
    return "\n".join(lines)
