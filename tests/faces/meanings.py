"""What an answer means, in the same words for all faces; whatever there is nothing to say of is left out.

- ``outcome``: ``granted``, ``renewed``, ``denied``, ``error``, what became of submitted work, or the state of the work;
- ``work_key``: the canonical work key;
- ``lasts``: how long the claim lasts, in seconds; somewhat longer counts as that long;
- ``attempt`` from the second on, ``previous``: the attempt before, its session and how it ended, ``left``: its reason
  and its last note;
- ``why``: the reason of a denial, ``own`` if another process of the session holds it, ``none`` if nothing was free;
  ``who`` holds or has finished it, ``until``: whether it is said when that changes, ``policy`` which one says so;
- ``skipped``: how many candidates for which reason, ``also_held``, ``empty``: whether there was nothing to choose from;
- ``code`` and ``says``: the code and the sentence of an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.faces.table import TTL_SECONDS

__all__ = ["ADVICE", "Meaning", "failed", "meaning_of_json", "meaning_of_message", "meaning_of_tool"]

Meaning = dict[str, Any]
#: How much longer a claim may last than was asked for, in seconds (docs/limits.md).
_LONGER_SECONDS = 31


#: What a tool says of an error, which has no code there: the codes for which it is said, and how it begins.
ADVICE = {
    "Nothing was changed. Start no new work; try again": ("RESOURCE_EXHAUSTED",),
    "Nothing was changed. Start no work; a person has to change this": ("PERMISSION_DENIED", "UNAUTHENTICATED"),
    "Nothing was changed. Try again": ("UNAVAILABLE", "ABORTED"),
    "It may have taken effect": ("DEADLINE_EXCEEDED",),
    "Your session does not hold it": ("NOT_FOUND", "FAILED_PRECONDITION"),
    "The claim is lost": ("FAILED_PRECONDITION",),
    "Whether it has taken effect is not known": ("INTERNAL",),
    "look says how it stands": ("FAILED_PRECONDITION", "UNIMPLEMENTED"),
    "Nothing was changed.": ("INVALID_ARGUMENT",),
}


def without_nothing(found: Mapping[str, Any]) -> Meaning:
    return {
        name: value
        for name, value in found.items()
        if value not in (None, "", 0, [], {}, False, ("", "", ""), ("", ""))
    }


def failed(code: str, says: str) -> Meaning:
    return {"outcome": "error", "code": code, "says": says}


def lasts(seconds: float) -> float:
    """Return how long a claim lasts, as it was asked for; a moment has passed since the answer."""
    return TTL_SECONDS if TTL_SECONDS - 5 <= seconds <= TTL_SECONDS + _LONGER_SECONDS else seconds


def later(attempt: int) -> int:
    return attempt if attempt > 1 else 0


def _named(enumeration: Any, value: int, prefix: str) -> str:
    found: str = enumeration.Name(value).removeprefix(prefix).lower()
    return "" if found == "unspecified" else found


def _none_free(skipped: Collection[str], *, until: bool, empty: bool) -> Meaning:
    """Return what it means that no candidate was free. A tool has no word for what the numbers say already."""
    until = until and skipped != {"own"}
    return {"outcome": "denied", "why": "none", "until": until, "empty": empty and not skipped}


# ---- gRPC, and HTTP with the same messages


def meaning_of_message(answer: Any) -> Meaning:
    """Return what a response of the API means."""
    match answer:
        case pb.ClaimResponse() | pb.ClaimNextResponse():
            return _claimed(answer)
        case pb.RenewResponse():
            return {
                "outcome": "renewed",
                "work_key": answer.claim.work_key,
                "lasts": lasts(answer.claim.remaining.seconds),
            }
        case pb.CompleteResponse() | pb.ReleaseResponse():
            record = answer.record
            state = _named(types.State, record.state, "STATE_")
            return without_nothing({"outcome": state, "work_key": record.work_key, "late": record.late})
        case pb.SubmitResponse():
            (result,) = answer.results
            if result.HasField("error"):
                return failed(result.error.code, result.error.message)
            found = result.answer
            outcome = _named(pb.Submission.Outcome, found.outcome, "OUTCOME_")
            return without_nothing({"outcome": outcome, "work_key": found.work_key, "unknown": [*found.unknown]})
        case pb.GetResponse():
            record = answer.record
            state, words = _named(types.State, record.state, "STATE_"), (record.note, record.reason, record.result)
            return without_nothing(
                {"outcome": state, "work_key": record.work_key, "who": record.session, "words": words}
            )
    raise AssertionError(answer)


def _claimed(answer: Any) -> Meaning:
    choice = answer.choice if isinstance(answer, pb.ClaimNextResponse) else types.Choice()
    skipped = {_named(types.SkipReason, each.reason, "SKIP_REASON_"): each.count for each in choice.skipped_counts}
    shared = {
        "similar": [each.work_key for each in answer.similar],
        "skipped": skipped,
        "also_held": [*choice.also_held],
    }
    if answer.outcome == types.OUTCOME_DENIED:
        return without_nothing(shared | _denied(answer, choice))
    previous = answer.previous
    how = _named(types.Cause, previous.cause, "CAUSE_") or "completed"
    return without_nothing(
        shared
        | {
            "outcome": _named(types.Outcome, answer.outcome, "OUTCOME_"),
            "work_key": answer.work_key,
            "lasts": lasts(answer.claim.remaining.seconds),
            "attempt": later(answer.claim.attempt),
            "previous": (previous.attempt, previous.session, how) if previous.attempt else None,
            "left": (previous.reason, previous.note),
            "brief": answer.brief,
            "blocked_by": [*answer.blocked_by],
        }
    )


def _denied(answer: Any, choice: Any) -> Meaning:
    denial = answer.denial
    until = denial.HasField("retry_after")
    if isinstance(answer, pb.ClaimNextResponse):
        skipped = {_named(types.SkipReason, each.reason, "SKIP_REASON_") for each in choice.skipped_counts}
        return _none_free(skipped, until=until, empty=choice.nothing_free == types.NOTHING_FREE_EMPTY)
    why = _named(types.DenialReason, denial.reason, "DENIAL_REASON_")
    if denial.own_session:
        return {"outcome": "denied", "work_key": answer.work_key, "why": "own"}
    return {
        "outcome": "denied", "work_key": answer.work_key, "why": why, "who": denial.holder or denial.completed_by,
        "until": until, "policy": denial.policy,
    }  # fmt: skip


# ---- JSON of the command line


def meaning_of_json(verb: str, found: Mapping[str, Any]) -> Meaning:
    """Return what the object that a command has printed means."""
    if "error" in found:
        return failed(found["error"]["code"], found["error"]["message"])
    if verb in ("claim", "renew", "next"):
        return _claimed_json(verb, found)
    if verb == "submit":
        (each,) = found["submitted"]
        if each["error"] is not None:
            return failed(each["error"]["code"], each["error"]["message"])
        return without_nothing({name: each[name] for name in ("outcome", "work_key", "unknown")})
    record = found.get("record", found)
    meaning = {"outcome": record["state"], "work_key": record["work_key"], "late": record["late"]}
    if verb == "look":
        words = tuple(record[name] or "" for name in ("note", "reason", "result"))
        meaning |= {"who": record["session"], "words": words}
    return without_nothing(meaning)


def _claimed_json(verb: str, found: Mapping[str, Any]) -> Meaning:
    shared = {
        "similar": [each["work_key"] for each in found["similar"]],
        "skipped": found.get("skipped_counts"),
        "also_held": found.get("also_held"),
    }
    if found["outcome"] == "denied" and verb == "next":
        until, empty = found["retry_after_seconds"] is not None, found["nothing_free"] == "empty"
        return without_nothing(shared | _none_free({*found["skipped_counts"]}, until=until, empty=empty))
    if found["outcome"] == "denied":
        denial = found["denial"]
        meaning = {
            "outcome": "denied",
            "work_key": found["work_key"],
            "why": "own" if denial["own_session"] else denial["reason"],
        }
        if not denial["own_session"]:
            until = denial["retry_after_seconds"] is not None
            meaning |= {"who": denial["holder"] or denial["completed_by"], "until": until, "policy": denial["policy"]}
        return without_nothing(shared | meaning)
    claim = found["claim"]
    if verb == "renew":
        return {"outcome": found["outcome"], "work_key": found["work_key"], "lasts": lasts(claim["remaining_seconds"])}
    previous = found["previous"]
    return without_nothing(
        shared
        | {
            "outcome": found["outcome"],
            "work_key": found["work_key"],
            "lasts": lasts(claim["remaining_seconds"]),
            "attempt": later(claim["attempt"]),
            "previous": None
            if previous is None
            else (previous["attempt"], previous["session"], previous["cause"] or "completed"),
            "left": None if previous is None else (previous["reason"] or "", previous["note"] or ""),
            "brief": found["brief"],
            "blocked_by": found["blocked_by"],
        }
    )


# ---- tools of MCP


def meaning_of_tool(verb: str, text: str, found: Mapping[str, Any], *, is_error: bool) -> Meaning:
    """Return what a tool's answer means."""
    if is_error:
        advice = next(each for each in ADVICE if f". {each}" in text)
        says, _, _ = text.partition(f". {advice}")
        return failed("|".join(ADVICE[advice]), says)
    if verb in ("claim", "next"):
        return _claimed_tool(found)
    if verb == "renew":
        return {"outcome": "renewed", "work_key": found["work_key"], "lasts": lasts(found["expires_in_seconds"])}
    if verb == "submit":
        return without_nothing({name: found.get(name) for name in ("outcome", "work_key", "unknown")})
    meaning = {"outcome": found["state"], "work_key": found["work_key"], "late": found.get("late")}
    if verb == "look":
        ended = re.search(r"(?:by|claim of) (\S+)", found.get("ended", ""))
        who = found.get("holder") or (ended and ended[1])
        meaning |= {"who": who, "words": tuple(_said(found, what) for what in ("note", "reason", "result"))}
    return without_nothing(meaning)


def _said(found: Mapping[str, Any], what: str) -> str:
    """Return what is quoted after words that begin so."""
    pattern = re.compile(rf'(?:its |its last |an operator\'s )?{what}(?: by [^:]+)?: "(.*)"')
    return next((match[1] for each in found.get("said", ()) if (match := pattern.fullmatch(each))), "")


def _claimed_tool(found: Mapping[str, Any]) -> Meaning:
    shared = {
        "similar": [each.partition(",")[0] for each in found.get("similar", ())],
        "skipped": found.get("skipped"),
        "also_held": found.get("also_held"),
    }
    if found["outcome"] == "denied":
        return without_nothing(shared | {"outcome": "denied", "work_key": found.get("work_key")} | _denied_tool(found))
    ended = re.match(r"attempt (\d+) by (\S+) (?:was )?(\w+)", found.get("previous", ""))
    return without_nothing(
        shared
        | {
            "outcome": "granted",
            "work_key": found["work_key"],
            "lasts": lasts(found["expires_in_seconds"]),
            "attempt": found.get("attempt"),
            "previous": ended and (int(ended[1]), ended[2], ended[3]),
            "left": (_said(found, "reason"), _said(found, "note")),
            "brief": _said(found, "brief"),
            "blocked_by": found.get("blocked_by"),
        }
    )


_WHY = {
    "own": r"your own session holds it already, maybe by another of its agents",
    "held": r"held by (?P<who>\S+) for at most (?P<until>.+)",
    "completed": r"completed by (?P<who>\S+) .* ago",
    "cooldown": r"already completed by (?P<who>\S+) .*; policy (?P<policy>\S+) allows it again from (?P<until>\S+) on",
    "limit": r"at the limit of policy (?P<policy>\S+): no more claims of this work may be live now",
    "similar": r"maybe the same work as (?P<other>.+), (?:claimed|completed) by \S+.*",
    "none": r"nothing is free: .*",
}


def _denied_tool(found: Mapping[str, Any]) -> Meaning:
    why, match = next((why, match) for why, each in _WHY.items() if (match := re.fullmatch(each, found["why"])))
    said = match.groupdict()
    until = "until" in said if why != "none" else "this may change in" in found["do"]
    return {
        "why": why, "who": said.get("who"), "policy": said.get("policy"), "until": until,
        "empty": found["why"].endswith("is empty"),
    }  # fmt: skip
