"""Promises that hold over all that the store has written, and of what callers were answered of it.

Each of the functions looks for one kind of breach, and knows nothing of how the product keeps the promise.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import NOTHING_DONE, Call, History
from tests.campaigns.faults.promises import grants_of
from tests.campaigns.faults.steps import requests_of
from tests.campaigns.faults.store_view import Attempt, StoreView

__all__ = ["Lateness", "count_ends", "counters_are_right", "lateness_of", "over_store"]

#: How long a claim may outlive its deadline once no fault disturbs etcd or the reapers, in seconds: docs/guarantees.md.
#: A lease that etcd has started again, and that no reaper had seen before of those that run, lasts as long as it was
#: granted for besides. That may be longer than the claim: a withdrawal is remembered for the claim's TTL and a minute,
#: on a lease that claims which end at the same time share.
LATEST_SECONDS, WITHDRAWAL_SECONDS = 12.0, 60.0


class Lateness(NamedTuple):
    """How long after its deadline a claim has expired, in seconds, and after the last fault until then."""

    work_key: str
    attempt: int
    seconds: float
    undisturbed: float
    allowed: float


def over_store(history: History, store: StoreView) -> Iterator[Finding]:
    """Yield what the store should never have written, and what it should have."""
    for key, text in store.problems:
        yield Finding("each attempt ends once", key, text)
    by_request = requests_of(history.calls)
    for key, attempts in store.attempts.items():
        numbers = [attempt.number for attempt in attempts]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Finding("attempts are gapless", key, f"attempts were granted as {numbers}")
        if any(later.token <= earlier.token for earlier, later in itertools.pairwise(attempts)):
            yield Finding("tokens grow", key, f"tokens in the store: {[attempt.token for attempt in attempts]}")
        for attempt in attempts:
            yield from _ends(attempt, is_last=attempt is attempts[-1])
            yield from _done_all_the_same(attempt, by_request)
            if (attempt.session, attempt.request) not in by_request:
                yield Finding("only what was asked for", key, f"attempt {attempt.number} was asked for by no session")
    yield from _answered_is_stored(history, store)
    yield from _twice(store, by_request)
    yield from _completions(history, store)
    yield from _left_behind(store)
    yield from expires_in_time(history, store)
    yield from counters_are_right(history, store)


def _ends(attempt: Attempt, *, is_last: bool) -> Iterator[Finding]:
    key, name = attempt.work_key, f"attempt {attempt.number} of {attempt.session}"
    if attempt.gone is None:
        if not is_last:
            yield Finding("each attempt ends once", key, f"{name} was never seen to end")
        return
    if not attempt.written:
        yield Finding("each attempt ends once", key, f"{name} has ended and has no history")
        return
    for (_, first), (_, second) in itertools.pairwise(attempt.written):
        late = first["ended"] == "abandoned" and first.get("cause") == "expired" and second.get("late")
        put_back = first["ended"] == second["ended"] and second.get("reopened")
        if not (late or put_back):
            yield Finding("each attempt ends once", key, f"{name} ended as {first} and again as {second}")
    entry = attempt.written[-1][1]
    if entry["session"] != attempt.session or entry["fencing_token"] != attempt.token:
        yield Finding("each attempt ends once", key, f"{name}, token {attempt.token}, has the history {entry}")


def _done_all_the_same(attempt: Attempt, by_request: Mapping[tuple[str, str], list[Call]]) -> Iterator[Finding]:
    """A request whose answer says that nothing was changed has changed nothing."""
    made = [attempt.request, *(entry.get("request_id", "") for _, entry in attempt.written)]
    for request in made:
        calls = by_request.get((attempt.session, request), [])
        if calls and all(call.error in NOTHING_DONE and not call.loose for call in calls):
            said = f"call {calls[0].id} was answered {calls[0].error}, and attempt {attempt.number} is its work"
            yield Finding("no change without an answer that says so", attempt.work_key, said)


def _answered_is_stored(history: History, store: StoreView) -> Iterator[Finding]:
    for key, grants in grants_of(history.calls).items():
        stored = {attempt.token: attempt for attempt in store.attempts.get(key, ())}
        for grant in grants:
            attempt = stored.get(grant.token)
            if attempt is None or (attempt.number, attempt.session) != (grant.attempt, grant.call.session):
                yield Finding("what is answered is stored", key, f"call {grant.call.id} was granted {grant[1:3]}")
            elif attempt.is_taken_back and grant.call.answer.get("is") == "granted":
                yield Finding("what is known is not withdrawn", key, f"attempt {attempt.number} of {attempt.session}")
            elif _has_expired(attempt) and attempt.gone_at < grant.until:
                early = grant.until - attempt.gone_at
                yield Finding(
                    "no early expiry", key, f"attempt {attempt.number} ended {early:.3f} s before its deadline"
                )


def _twice(store: StoreView, by_request: Mapping[tuple[str, str], list[Call]]) -> Iterator[Finding]:
    """One request makes one claim of a work key, until that was claimed again, and one at a time of many."""
    made: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in itertools.chain.from_iterable(store.attempts.values()):
        if attempt.request and not attempt.is_taken_back:
            made[attempt.session, attempt.request].append(attempt)
    for request, attempts in made.items():
        one_of_many = any(call.do == "claim_next" for call in by_request.get(request, ()))
        for one, two in itertools.pairwise(sorted(attempts, key=lambda attempt: attempt.token)):
            if one.work_key == two.work_key and two.number == one.number + 1:
                text = f"request {request} was granted attempts {one.number} and {two.number}"
                yield Finding("one request is granted once", one.work_key, text)
            if one_of_many and (one.gone is None or one.gone > two.token):
                yield Finding("one request is granted once", two.work_key, f"request {request} held two at once")


def _completions(history: History, store: StoreView) -> Iterator[Finding]:
    for call in history.calls:
        if call.do == "complete" and not call.error:
            key, number = call.args["key"], call.answer["attempt"]
            found = [attempt for attempt in store.attempts.get(key, ()) if attempt.number == number]
            if not any(entry["ended"] == "completed" for attempt in found for _, entry in attempt.written):
                yield Finding("no completion is lost", key, f"that of attempt {number}, call {call.id}")


def _left_behind(store: StoreView) -> Iterator[Finding]:
    """At the end each loose end is that of an abandoned record, and each record has what it needs."""
    for name in store.names("record"):
        record, key = store.value("record", name), unquote(name)
        held, loose = store.value("claim", name), store.value("loose", name)
        if record is None:
            continue
        wanted = held is None and record["state"] == "abandoned" and not record.get("acknowledged_at")
        if wanted != (loose is not None):
            yield Finding("loose ends are what was left", key, f"state {record['state']}, loose end: {loose}")
        elif loose is not None and (loose["session"], loose["attempt"]) != (record["session"], record["attempt"]):
            yield Finding("loose ends are what was left", key, f"of {loose}, while the record is {record}")
        if record["state"] == "claimed" and held is None:
            yield Finding("what expires is recorded", key, f"attempt {record['attempt']} has expired without a record")


def count_ends(store: StoreView) -> Counter[str]:
    """Return how often what should have been counted has happened, by the names of the counters."""
    counted: Counter[str] = Counter()
    for attempt in itertools.chain.from_iterable(store.attempts.values()):
        counted["granted"] += 1
        for _, entry in attempt.written:
            if not entry.get("reopened"):
                counted["completed" if entry["ended"] == "completed" else entry.get("cause", "")] += 1
    return counted


def _has_expired(attempt: Attempt) -> bool:
    """Whether no session ended it: etcd did, or a coordinator that found it overdue."""
    written = attempt.written[0] if attempt.written else None
    return attempt.expired or (
        written is not None and written[0] == attempt.gone and written[1].get("cause") == "expired"
    )


def lateness_of(history: History, store: StoreView) -> list[Lateness]:
    """Return how late each claim expired whose last deadline its holder knew, the latest first."""
    deadlines: dict[tuple[str, int], list[float]] = defaultdict(list)
    for key, grants in grants_of(history.calls).items():
        for grant in grants:
            deadlines[key, grant.token].append(grant.until)
    found = []
    for attempt in itertools.chain.from_iterable(store.attempts.values()):
        known = deadlines.get((attempt.work_key, attempt.token), [])
        if not _has_expired(attempt) or len(known) <= len(attempt.renewals):
            continue
        faults = [fault for fault in history.faults if fault.at <= attempt.gone_at and fault.until >= attempt.seen_at]
        last_fault = max((fault.until for fault in faults), default=0.0)
        again = attempt.ttl + WITHDRAWAL_SECONDS + 2.0 if faults else 0.0
        late, undisturbed = attempt.gone_at - max(known), attempt.gone_at - max(*known, last_fault)
        found.append(Lateness(attempt.work_key, attempt.number, late, undisturbed, LATEST_SECONDS + again))
    return sorted(found, key=lambda each: -each.seconds)


def expires_in_time(history: History, store: StoreView) -> Iterator[Finding]:
    """No claim outlives its deadline by more than is promised, counted from the end of the faults that disturb."""
    for late in lateness_of(history, store):
        if late.undisturbed > late.allowed:
            said = f"attempt {late.attempt} ended {late.seconds:.1f} s after its deadline"
            yield Finding(
                "late expiry is bounded", late.work_key, f"{said}, {late.undisturbed:.1f} s after the last fault"
            )


def counters_are_right(history: History, store: StoreView) -> Iterator[Finding]:
    """What was counted is what has happened, if no coordinator was killed; one that was may have counted less."""
    if history.counters is None:
        return
    exact, happened = not history.header.get("killed_coordinators"), count_ends(store)
    for name in ("granted", "completed", "expired", "released", "revoked"):
        counted = history.counters.get(name, 0)
        if counted > happened[name] or (exact and counted != happened[name]):
            text = f"{name} was counted {counted:g} times and has happened {happened[name]} times"
            yield Finding("counters are right", "", text)
