"""Promises of the pool: nothing is handed out before what it depends on, and the highest priority comes first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import Call, History
from tests.campaigns.faults.store_view import SAFE, StoreView

__all__ = ["over_pool"]

#: For how long work must have been free, and seen so, that no replica's view of the pool may lack it, in seconds.
SEEN_SECONDS = 20.0


def over_pool(history: History, store: StoreView) -> Iterator[Finding]:
    """Yield what the pool should not have handed out, or not yet."""
    choices = [call for call in history.calls if call.do == "claim_next" and call.args.get("candidates") is None]
    for call in choices:
        if call.error or call.answer["is"] != "granted":
            continue
        name, granted = quote(call.answer["key"], safe=SAFE), call.answer["token"]
        entry = store.value("pool", name, granted)
        if not _granted_here(store, call):
            continue
        if entry is None:
            yield Finding(
                "the pool hands out what is in it", call.answer["key"], f"call {call.id} got what was not in it"
            )
            continue
        for dependency in entry.get("depends", ()):
            if not _is_done(store, dependency, granted, entry):
                text = f"call {call.id} got it before {dependency} was completed"
                yield Finding("dependencies come first", call.answer["key"], text)
        yield from _order(store, call, choices, entry.get("priority", 0))


def _granted_here(store: StoreView, call: Call) -> bool:
    """Whether the grant that was answered was made for this call, and not for an earlier one of the request."""
    for attempt in store.attempts.get(call.answer["key"], ()):
        if attempt.token == call.answer["token"]:
            return attempt.seen_at >= call.began
    return False


def _is_done(store: StoreView, dependency: str, revision: int, entry: dict[str, list[str]]) -> bool:
    name = quote(dependency, safe=SAFE)
    record = store.value("record", name, revision)
    if record is None:
        return dependency not in entry.get("unknown", ()) and store.value("work", name, revision) is None
    return record["state"] == "completed" or bool(record.get("completion"))


def _order(store: StoreView, call: Call, choices: list[Call], priority: int) -> Iterator[Finding]:
    revision, seen_by = call.answer["token"], call.began - SEEN_SECONDS
    for name in store.names("pool"):
        entry = store.entry("pool", name, revision)
        if entry[1] is None or entry[1].get("priority", 0) <= priority or entry[2] > seen_by:
            continue
        if _is_free(store, name, revision, seen_by, call) and not _in_other_hands(name, call, choices):
            text = f"call {call.id} got {call.answer['key']}, priority {priority}, and not this, {entry[1]['priority']}"
            yield Finding("the highest priority comes first", name, text)


def _is_free(store: StoreView, name: str, revision: int, seen_by: float, call: Call) -> bool:
    """Whether it could have been handed out to the caller all the time since ``seen_by``."""
    entry, claim, record = (store.entry(table, name, revision) for table in ("pool", "claim", "record"))
    if claim[1] is not None or max(claim[2], record[2]) > seen_by:
        return False
    if call.session in entry[1].get("returned_by", ()) or call.args.get("kind", "pool") not in ("", "pool"):
        return False
    before = entry[1].get("not_before")
    # Wall clocks are compared here, those of one host, with room for a clock that was stepped.
    if before is not None and datetime.fromisoformat(before).timestamp() > call.args.get("wall", -math.inf) - 120:
        return False
    for dependency in entry[1].get("depends", ()):
        done = store.entry("record", quote(dependency, safe=SAFE), revision)
        if not _is_done(store, dependency, revision, entry[1]) or done[2] > seen_by:
            return False
    return True


def _in_other_hands(name: str, call: Call, choices: list[Call]) -> bool:
    """Whether another call may have been about to get it at that moment."""
    for other in choices:
        if other.id == call.id or other.began > call.ended or other.ended < call.began:
            continue
        if other.is_unknown or quote(str(other.answer.get("key", "")), safe=SAFE) == name or other.error:
            return True
    return False
