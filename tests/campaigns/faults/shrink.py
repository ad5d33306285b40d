"""A smaller history that still shows what was found.

Only that is left out whose absence cannot make a possible history impossible: other work keys, all that came after the
finding, and calls that only learn something. So what is left is wrong for the reason for which all of it was.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tests.campaigns.faults.checker import ORDER, check
from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import Call, History

__all__ = ["shrink"]

#: How often a history is checked again, at most.
MOST_CHECKS = 400
_LEARNING = ("get", "list", "renew", "acknowledge")


def shrink(history: History, finding: Finding) -> History:
    """Return a small history that ``finding`` still is in."""
    kept = [call for call in history.calls if finding.work_key in keys_of(call)] if finding.work_key else history.calls
    name = finding.work_key
    smaller = replace(history, calls=tuple(kept), counters=history.counters if not name else None)
    if finding.rule != ORDER:
        return smaller if _complains(smaller, finding) else history
    if not _complains(smaller, finding):
        return history
    return _without_calls(_without_end(smaller, finding), finding)


def keys_of(call: Call) -> set[str]:
    """Return the work keys that a call is about, or has learned of."""
    named = {call.args.get("key", ""), call.answer.get("key", ""), *(call.args.get("keys") or ())}
    named |= {record["key"] for record in call.answer.get("records", ())}
    return (named | {*(call.args.get("candidates") or ())}) - {""}


def _complains(history: History, finding: Finding) -> bool:
    only = {finding.work_key} if finding.rule == ORDER else None
    found = check(history, only).findings
    return any((each.rule, each.work_key) == (finding.rule, finding.work_key) for each in found)


def _without_end(history: History, finding: Finding) -> History:
    """Cut off the end: what had not been answered by then is not known."""
    times = sorted({call.ended for call in history.calls if not math.isinf(call.ended)})
    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        if _complains(_until(history, times[middle]), finding):
            high = middle
        else:
            low = middle + 1
    cut = _until(history, times[low]) if times else history
    return cut if _complains(cut, finding) else history


def _until(history: History, time: float) -> History:
    calls = []
    for call in history.calls:
        if call.began > time:
            break
        calls.append(call if call.ended <= time else replace(call, ended=math.inf, answer={"error": "Crashed"}))
    return replace(history, calls=tuple(calls))


def _without_calls(history: History, finding: Finding) -> History:
    """Leave out, in ever smaller portions, calls that have changed nothing."""
    checks, size = 0, max(1, len(history.calls) // 2)
    while checks < MOST_CHECKS:
        start, progress = 0, False
        while start < len(history.calls) and checks < MOST_CHECKS:
            portion = {call.id for call in history.calls[start : start + size] if _only_learns(call)}
            rest = replace(history, calls=tuple(call for call in history.calls if call.id not in portion))
            checks += 1
            if portion and _complains(rest, finding):
                history, progress = rest, True
            else:
                start += size
        if size == 1 and not progress:
            break
        size = max(1, size // 2)
    return history


def _only_learns(call: Call) -> bool:
    if call.do in _LEARNING or (call.error and not call.is_unknown):
        return True
    return call.answer.get("is") == "denied"
