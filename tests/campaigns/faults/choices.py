"""One of many: no choice is denied while a candidate was free at every moment of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import Call, History
from tests.campaigns.faults.steps import requests_of
from tests.campaigns.faults.store_view import SAFE, StoreView

__all__ = ["over_choices"]

#: What may end a claim, or make one.
_CHANGES = frozenset({"claim", "claim_many", "claim_next", "complete", "release", "revoke", "reopen"})


def over_choices(history: History, store: StoreView | None) -> Iterator[Finding]:
    """Yield the choices that were denied while something was free, as the store says, or else the answers."""
    touched: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        for key in {call.args.get("key", ""), *call.args.get("keys", ()), *(call.args.get("candidates") or ())} - {""}:
            touched[key].append(call)
    by_request = requests_of(history.calls)
    for call in history.calls:
        if call.do != "claim_next" or call.error or call.answer["is"] != "denied":
            continue
        for key in call.args.get("candidates") or ():
            # The policies of jobs change meanwhile.
            if key.partition(":")[0] == "job":
                continue
            free = _never_asked_for(key, call, touched[key])
            if not free and store is not None:
                free = _free_in_store(key, call, store, by_request)
            elif not free:
                free = _released(call, touched[key])
            if free:
                yield Finding("no denial while something was free", key, f"call {call.id} was denied, and it was free")


def _never_asked_for(key: str, call: Call, touched: list[Call]) -> bool:
    others = [other for other in touched if other.do in _CHANGES and other.id != call.id and other.began <= call.ended]
    return not others and not key.startswith("pool:")


def _released(call: Call, touched: list[Call]) -> bool:
    """Whether the last thing that was done to it was a release, before the call, and no session has asked since."""
    others = [other for other in touched if other.do in _CHANGES and other.id != call.id and other.began <= call.ended]
    last = max(others, key=lambda other: other.began)
    if last.do != "release" or last.error or last.ended >= call.began or last.answer.get("state") != "abandoned":
        return False
    return all(other is last or (other.ended <= last.began and not other.loose) for other in others)


def _free_in_store(key: str, call: Call, store: StoreView, by_request: Mapping[tuple[str, str], list[Call]]) -> bool:
    """Whether its last attempt before the call was seen to have ended unfinished, and the next was asked for later."""
    before, following = None, None
    for attempt in store.attempts.get(key, ()):
        asked = min((each.began for each in by_request.get((attempt.session, attempt.request), ())), default=0.0)
        if asked > call.ended:
            following = attempt
            break
        before = attempt
    if before is None or before.gone is None or before.gone_at >= call.began:
        return False
    # A late completion or an operator may have changed it since.
    end = following.token if following is not None else store.revision + 1
    states = [
        value["state"]
        for revision, value, at in store.tables["record"][quote(key, safe=SAFE)]
        if before.gone <= revision < end and at <= call.ended + 1.0 and value is not None
    ]
    return bool(states) and all(state == "abandoned" for state in states)
