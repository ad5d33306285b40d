"""From calls to the steps of each work key, with what may have been done and was never answered."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.campaigns.faults.history import NOTHING_DONE, Call, History
from tests.campaigns.faults.key_state import End, Shown, Step
from tests.campaigns.faults.store_view import Attempt, StoreView

__all__ = ["requests_of", "steps_of"]

#: What changes a work key, beside a claim; a caller that gets no answer may have done it all the same.
_CHANGES = ("complete", "release", "revoke", "reopen")
#: Errors that say that a request was refused, by what the work was.
_REFUSALS = frozenset({"NotHolder", "ClaimLost", "NotFound", "Refused"})
#: Of the kinds whose finished work may be claimed again: always, or at some times only.
REPEATS = {"lock": "always", "recurring": "always", "job": "either"}


def steps_of(history: History, store: StoreView | None) -> dict[str, list[Step]]:
    """Return the steps of each work key. With a store it is known which requests have made a claim."""
    times = Counter(request for call in history.calls for request in call.requests)
    steps: dict[str, list[Step]] = defaultdict(list)
    for call in history.calls:
        for key, step in _steps_of_call(call, times, grants_known=store is not None):
            steps[key].append(step)
    if store is not None:
        by_request = requests_of(history.calls)
        for attempts in store.attempts.values():
            for attempt in attempts:
                _add_grant(attempt, by_request.get((attempt.session, attempt.request), []), steps[attempt.work_key])
    return steps


def requests_of(calls: Iterable[Call]) -> dict[tuple[str, str], list[Call]]:
    """Return the calls of each request of each session."""
    found: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in calls:
        for request in call.requests:
            found[call.session, request].append(call)
    return found


def _add_grant(attempt: Attempt, calls: list[Call], steps: list[Step]) -> None:
    """Add a grant that was made for one of the calls; their answers may say so too, as repetitions."""
    calls = [call for call in calls if call.loose or call.error not in NOTHING_DONE]
    if not calls:
        return
    first = calls[0]
    loose = any(call.is_unknown or call.loose for call in calls)
    steps.append(
        Step(
            first.id,
            "claim",
            "granted",
            attempt.session,
            first.began,
            math.inf if loose else max(call.ended for call in calls),
            must=False,
            instance=first.args.get("instance", ""),
            request=attempt.request,
            attempt=attempt.number,
            token=attempt.token,
            until=first.began + first.args.get("ttl", 0.0),
            reopen=bool(first.args.get("reopen")),
            repeat=_repeat(attempt.work_key),
        )
    )


def _repeat(key: str) -> str:
    return REPEATS.get(key.partition(":")[0], "never")


def _steps_of_call(call: Call, times: Mapping[str, int], *, grants_known: bool) -> Iterator[tuple[str, Step]]:
    if call.do == "claim":
        yield from _claim(call, call.args["key"], call.answer, call.requests[0], grants_known=grants_known)
    elif call.do == "claim_many":
        answers = call.answer.get("many") or [call.answer] * len(call.args["keys"])
        for key, answer, request in zip(call.args["keys"], answers, call.requests, strict=True):
            yield from _claim(call, key, answer, request, grants_known=grants_known)
    elif call.do == "claim_next":
        yield from _choice(call, grants_known=grants_known)
    elif call.do in ("get", "list"):
        for record in call.answer.get("records", ()):
            yield record["key"], _seen(call, record)
    elif call.do in ("renew", "acknowledge", *_CHANGES):
        step = _other(call, sent_again=times[call.requests[0]] > 1)
        if step is not None:
            yield call.args["key"], step


def _claim(
    call: Call, key: str, answer: Mapping[str, Any], request: str, *, grants_known: bool
) -> Iterator[tuple[str, Step]]:
    error = answer.get("error", "")
    common: dict[str, Any] = {
        "instance": call.args.get("instance", ""),
        "request": request,
        "reopen": bool(call.args.get("reopen")),
        "repeat": _repeat(key),
    }
    if error in ("Crashed", "OutcomeUnknown", "InternalError"):
        if not grants_known:
            until = call.began + call.args.get("ttl", 0.0)
            yield key, Step(call.id, "claim", "granted", call.session, call.began, must=False, until=until, **common)
    elif error:
        yield key, Step(call.id, "claim", "free", call.session, call.began, call.ended, **common)
    elif answer["is"] in ("granted", "renewed"):
        yield (
            key,
            Step(
                call.id,
                "claim",
                answer["is"],
                call.session,
                call.began,
                call.ended,
                attempt=answer["attempt"],
                token=answer["token"],
                until=answer["deadline"],
                **common,
            ),
        )
    else:
        outcome = answer["reason"] if answer["reason"] in ("held", "completed") else "free"
        holder = answer.get("holder") or ""
        yield key, Step(call.id, "claim", outcome, call.session, call.began, call.ended, holder=holder, **common)


def _choice(call: Call, *, grants_known: bool) -> Iterator[tuple[str, Step]]:
    answer = call.answer
    if call.error:
        if call.is_unknown and not grants_known:
            for key in call.args.get("candidates") or ():
                yield from _claim(call, key, answer, call.requests[0], grants_known=False)
        return
    if answer["is"] in ("granted", "renewed"):
        yield from _claim(call, answer["key"], answer, call.requests[0], grants_known=grants_known)
        return
    if call.args.get("candidates"):
        # Before a denial all candidates are looked at.
        for skipped in answer.get("skipped", ()):
            if skipped["reason"] == "held" and skipped.get("holder"):
                yield (
                    skipped["key"],
                    Step(
                        call.id,
                        "claim",
                        "held",
                        call.session,
                        call.began,
                        call.ended,
                        holder=skipped["holder"],
                        repeat=_repeat(skipped["key"]),
                    ),
                )


def _seen(call: Call, record: Mapping[str, Any]) -> Step:
    history = record.get("history")
    ends = None if history is None else tuple(sorted(End(*entry) for entry in history))
    live = record.get("live")
    shown = Shown(
        record["state"], record.get("session") or "", record.get("attempt") or 0, live["token"] if live else 0, ends
    )
    return Step(call.id, "get", "shown", call.session, call.began, call.ended, shown=shown)


def _other(call: Call, *, sent_again: bool) -> Step | None:
    answer, refused = call.answer, call.error in _REFUSALS
    key = call.args["key"]
    common: dict[str, Any] = {
        "instance": call.args.get("instance", ""),
        "request": call.requests[0],
        "sent_again": sent_again,
        "named": call.args.get("token", 0),
        "at_once": bool(call.args.get("at_once", True)),
        "pooled": bool(call.args.get("pooled")),
        "repeat": _repeat(key),
    }
    # Copies of the request may be carried out, whatever the answer to its own was.
    if call.is_unknown or (call.error and call.loose):
        if call.do not in _CHANGES:
            return None
        return Step(call.id, call.do, "ok", call.session, call.began, must=False, **common)
    if call.error and not refused:
        return None
    if refused and answer.get("withdrawn"):
        return None  # it speaks of a copy of the request, and not of the work
    return Step(
        call.id,
        call.do,
        "refused" if refused else "ok",
        call.session,
        call.began,
        call.ended,
        attempt=answer.get("attempt") or 0,
        token=answer.get("token") or 0,
        until=answer.get("deadline") or 0.0,
        holder="" if call.do != "revoke" else answer.get("session") or "",
        late=bool(answer.get("late")),
        **common,
    )
