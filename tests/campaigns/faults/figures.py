"""The figures of a run: operations, faults, the longest gaps in service, how late claims expired."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.campaigns.faults.checker import Checked
from tests.campaigns.faults.history import Fault, History
from tests.campaigns.faults.store_promises import lateness_of
from tests.campaigns.faults.store_view import StoreView

__all__ = ["lines_about"]


def lines_about(history: History, checked: Checked) -> Iterator[str]:
    """Yield the lines of a report."""
    header = history.header
    operations = Counter(call.do for call in history.calls)
    unknown = [call for call in history.calls if call.is_unknown]
    errors = Counter(call.error for call in history.calls if call.error)
    yield f"minutes {header.get('minutes')}, seed {header.get('seed')}, etcd {header.get('etcd')}"
    yield f"operations {len(history.calls)}: " + _counted(operations)
    yield f"errors: {_counted(errors) or 'none'}; outcome unknown {len(unknown)}, {_largest_batch(history)}"
    faults = Counter(fault.name for fault in history.faults if "not done" not in fault.details)
    yield f"faults {faults.total()}: " + _counted(faults)
    gaps = longest_gaps(history)
    by_fault = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(gaps.items(), key=lambda gap: -gap[1]))
    yield f"longest time without a grant, in seconds, by what lasted meanwhile: {by_fault}"
    store = StoreView(history.store, header.get("fleet", "default"))
    late = lateness_of(history, store)
    if late:
        latest = max(late, key=lambda each: each.undisturbed)
        yield (
            f"expiries {len(late)}: from {late[-1].seconds:+.2f} s to {late[0].seconds:+.2f} s after the deadline"
            f"; counted from the end of the faults before it, the latest {latest.undisturbed:+.2f} s"
        )
    attempts = sum(map(len, store.attempts.values()))
    yield (
        f"checked: {checked.keys} work keys, {attempts} attempts, {len(history.store)} writes, "
        f"{checked.nodes} states of the search, {len(checked.undecided)} keys given up"
    )
    yield f"violations: {len(checked.findings)}"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _largest_batch(history: History) -> str:
    """Say in which fault most outcomes were unknown."""
    batches = [
        (sum(call.is_unknown and fault.at - 4 <= call.began <= fault.until for call in history.calls), fault.name)
        for fault in history.faults
    ]
    most, name = max(batches, default=(0, ""))
    return f"at most {most} in one fault ({name})" if most else "in no fault"


def longest_gaps(history: History) -> dict[str, float]:
    """Return the longest time between two grants, by the faults that were under way in it."""
    times = sorted(call.ended for call in history.calls if call.answer.get("is") == "granted")
    gaps: dict[str, float] = defaultdict(float)
    for earlier, later in itertools.pairwise(times):
        if later - earlier < 0.5:
            continue
        during = {fault.name for fault in history.faults if _overlaps(fault, earlier, later)}
        for name in during or {"no fault"}:
            gaps[name] = max(gaps[name], later - earlier)
    return gaps


def _overlaps(fault: Fault, since: float, until: float) -> bool:
    return fault.at < until and fault.until > since
