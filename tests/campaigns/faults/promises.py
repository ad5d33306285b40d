"""Promises that hold over all that callers were answered, whatever the store has done.

Each of the functions looks for one kind of breach, and knows nothing of how the product keeps the promise.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import Call, History

__all__ = ["Grant", "grants_of", "over_answers"]


class Grant(NamedTuple):
    """A grant that its caller knows of: it holds the work from ``since`` until ``until`` for certain."""

    call: Call
    attempt: int
    token: int
    since: float
    until: float


def grants_of(calls: tuple[Call, ...]) -> dict[str, list[Grant]]:
    """Return the grants and renewals that were answered, by work key."""
    found: dict[str, list[Grant]] = defaultdict(list)
    for call in calls:
        for key, answer in _answers(call):
            if answer.get("is") in ("granted", "renewed"):
                found[key].append(Grant(call, answer["attempt"], answer["token"], call.ended, answer["deadline"]))
    return found


def _answers(call: Call) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if call.do in ("claim", "renew") and not call.error:
        yield call.args["key"], call.answer
    elif call.do == "claim_next" and not call.error:
        yield call.answer.get("key", ""), call.answer
    elif call.do == "claim_many":
        yield from zip(call.args["keys"], call.answer.get("many", ()), strict=False)


def over_answers(history: History) -> Iterator[Finding]:
    """Yield what cannot be, whatever the store has done."""
    ends: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.do in ("complete", "release", "revoke"):
            ends[call.args["key"]].append(call)
    for key, grants in grants_of(history.calls).items():
        yield from _tokens(key, grants)
        yield from _one_at_a_time(key, grants, ends[key])


def _tokens(key: str, grants: list[Grant]) -> Iterator[Finding]:
    by_attempt: dict[int, set[tuple[int, str]]] = defaultdict(set)
    for grant in grants:
        by_attempt[grant.attempt].add((grant.token, grant.call.session))
    for attempt, seen in by_attempt.items():
        if len(seen) > 1:
            yield Finding(
                "one claim an attempt", key, f"attempt {attempt} has several tokens or holders: {sorted(seen)}"
            )
    tokens = [max(seen)[0] for _, seen in sorted(by_attempt.items())]
    if any(later <= earlier for earlier, later in itertools.pairwise(tokens)):
        yield Finding("tokens grow", key, f"tokens by attempt: {tokens}")


def _one_at_a_time(key: str, grants: list[Grant], ends: list[Call]) -> Iterator[Finding]:
    """Two sessions cannot both have been certain that they hold it."""
    spans: dict[int, tuple[float, float, str]] = {}
    for grant in grants:
        own = [
            call.began
            for call in ends
            if call.ended >= grant.call.began
            and (call.do == "revoke" or call.session == grant.call.session)
            and call.args.get("token", 0) in (0, grant.token)
        ]
        until = min([grant.until, *own])
        since, before, session = spans.get(grant.attempt, (grant.since, -math.inf, grant.call.session))
        spans[grant.attempt] = (min(since, grant.since), max(before, until), session)
    for (one, (since, until, session)), (two, (then, _, other)) in itertools.pairwise(sorted(spans.items())):
        if max(since, then) < until and session != other:
            yield Finding(
                "one live claim",
                key,
                f"{session} held attempt {one} until {until:.3f}, {other} attempt {two} from {then:.3f}",
            )
