"""The attacks there are, and what a coordinator must be like under each."""

from __future__ import annotations

from types import ModuleType

from tests.attack import (
    all_methods,
    bad_paths,
    begun_handshakes,
    compressed,
    frame_floods,
    garbage_headers,
    headers_only,
    idle_connections,
    metrics_readers,
    open_services,
    rapid_reset,
    silent_tls,
    slow_headers,
    unfinished,
    unread_answers,
    unread_watches,
)
from tests.attack.target import MOST_MIB, Outcome

ATTACKS: dict[str, ModuleType] = {
    module.__name__: module
    for module in (
        silent_tls,
        compressed,
        unfinished,
        headers_only,
        all_methods,
        idle_connections,
        garbage_headers,
        bad_paths,
        begun_handshakes,
        rapid_reset,
        frame_floods,
        slow_headers,
        open_services,
        metrics_readers,
        unread_answers,
        unread_watches,
    )
}


def judge(outcome: Outcome) -> list[str]:
    """Return what is wrong with an outcome however busy the machine is, one sentence each."""
    wrong = []
    if not outcome.lives:
        wrong.append(f"the coordinator has ended ({outcome.sent})")
    if outcome.peak_mib >= MOST_MIB:
        wrong.append(f"it had {outcome.peak_mib} MiB in memory")
    if outcome.failures:
        wrong.append(f"{len(outcome.failures)} of the normal client's claims failed: {outcome.failures[0]}")
    if not outcome.attacked:
        wrong.append("the normal client got no answer")
    return wrong


def judge_latency(outcome: Outcome) -> list[str]:
    """Return whether the normal client's claims took too long; for campaigns only, as other load makes them slow."""
    allowed = max(outcome.allowed, getattr(ATTACKS[outcome.attack], "ALLOWED_SECONDS", 0.0))
    if outcome.attacked_p50 > allowed:
        return [f"half of the normal client's claims took more than {allowed * 1000:.0f} ms"]
    return []
