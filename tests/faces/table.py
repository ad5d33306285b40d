"""The exchanges that mean the same over gRPC, HTTP, MCP and on the command line: one table for all four.

Each exchange has a fleet of its own at each face, so that all of them speak of the same work keys. ``ME`` asks, and
``OTHER`` is another session. What is left out of ``means`` must not be said: see ``meanings.py`` for the words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["EXCHANGES", "ME", "OTHER", "TTL_SECONDS", "Ask", "Exchange", "Step"]

ME, OTHER = "session-me", "session-other"
#: How long all claims last; MCP's are given it by the server's option.
TTL_SECONDS = 600

X, Y, Z = "task:x", "task:y", "task:z"
TOPIC, ALIKE = "topic:cache-the-api-answers-of-tenants", "topic:cache-api-answers"
SAME = "topic:cache-the-answers-of-api-tenants"


@dataclass(frozen=True)
class Step:
    """What has happened before: a method of ``Client``, or ``expire``, with its arguments."""

    verb: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What is asked: a call, in one word that all faces translate, with its options.

    ``bearing`` is whose token the caller has: ``all`` may act for every session, ``narrow`` for others than ``ME``,
    ``elsewhere`` in another fleet; ``none`` has no token, and ``wrong`` one that is not known.
    """

    verb: str
    keys: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    bearing: str = "all"


@dataclass(frozen=True)
class Exchange:
    """What is asked, what has happened before, what every face must say, and how the work stands afterwards.

    ``stands`` is the state of the first key, and its holder or who had it last, with the attempt; None where nothing of
    it can be read.
    """

    name: str
    ask: Ask
    means: dict[str, Any]
    before: tuple[Step, ...] = ()
    stands: str | None = None


def did(verb: str, *arguments: Any, **options: Any) -> Step:
    """Something that has happened."""
    return Step(verb, arguments, options)


def held(key: str = X, by: str = OTHER, **more: Any) -> Step:
    return did("claim", by, key, ttl=TTL_SECONDS, **more)


def finished(key: str = X, by: str = OTHER, **more: Any) -> tuple[Step, Step]:
    return held(key, by), did("complete", by, key, **more)


def asks(verb: str, *keys: str, bearing: str = "all", **options: Any) -> Ask:
    """Something that is asked, of task:x where no key is named."""
    return Ask(verb, keys or (X,), options, bearing)


def granted(key: str = X, **more: Any) -> dict[str, Any]:
    return {"outcome": "granted", "work_key": key, "lasts": TTL_SECONDS, **more}


def denied(why: str, **more: Any) -> dict[str, Any]:
    return {"outcome": "denied", "work_key": X, "why": why, **more}


def fails(code: str, says: str, **more: Any) -> dict[str, Any]:
    """An error; ``says`` is a pattern of its sentence."""
    return {"outcome": "error", "code": code, "says": says, **more}


MINE, THEIRS = f"claimed by {ME}, attempt 1", f"claimed by {OTHER}, attempt 1"
DONE = f"completed by {OTHER}, attempt 1"
FREE = "available"

_GRANTS = (
    Exchange("new work", asks("claim"), granted(), stands=MINE),
    Exchange("a bare name", asks("claim", "x"), granted(), stands=MINE),
    Exchange("a reference", asks("claim", "acme/web#7"), granted("github:acme/web#7"), stands=MINE),
    Exchange(
        "the URL of a pull request",
        asks("claim", "https://github.com/Acme/Web/pull/7/files"),
        granted("github:acme/web#7"),
        stands=MINE,
    ),
    Exchange("a key in another script", asks("claim", "task:übersetzung"), granted("task:übersetzung"), stands=MINE),
    Exchange("with a note", asks("claim", note="about to begin"), granted(), stands=f"{MINE}: about to begin"),
    Exchange(
        "released before",
        asks("claim"),
        granted(attempt=2, previous=(1, OTHER, "released"), left=("tired", "half done")),
        before=(held(note="half done"), did("release", OTHER, X, reason="tired")),
        stands=f"claimed by {ME}, attempt 2",
    ),
    Exchange(
        "expired before",
        asks("claim"),
        granted(attempt=2, previous=(1, OTHER, "expired"), left=("", "half done")),
        before=(held(note="half done"), did("expire", X)),
        stands=f"claimed by {ME}, attempt 2",
    ),
    Exchange(
        "revoked before",
        asks("claim"),
        granted(attempt=2, previous=(1, OTHER, "revoked"), left=("stuck", "")),
        before=(held(), did("revoke", X, reason="stuck", at_once=True)),
        stands=f"claimed by {ME}, attempt 2",
    ),
    Exchange(
        "completed, of a kind that may be repeated",
        asks("claim", "recurring:nightly"),
        granted("recurring:nightly", attempt=2, previous=(1, OTHER, "completed")),
        before=finished("recurring:nightly"),
        stands=f"claimed by {ME}, attempt 2",
    ),
    Exchange(
        "submitted with a brief",
        asks("claim"),
        granted(brief="into French"),
        before=(did("submit", OTHER, X, brief="into French"),),
        stands=MINE,
    ),
    Exchange(
        "submitted, and waits for other work",
        asks("claim"),
        granted(blocked_by=[Y]),
        before=(did("submit", OTHER, Y), did("submit", OTHER, X, depends=[Y])),
        stands=MINE,
    ),
    Exchange(
        "maybe another topic under another name",
        asks("claim", ALIKE),
        granted(ALIKE, similar=[TOPIC]),
        before=(*finished(TOPIC),),
        stands=MINE,
    ),
    Exchange(
        "certainly another topic",
        asks("claim", SAME, distinct_from=[TOPIC]),
        granted(SAME),
        before=(held(TOPIC),),
        stands=MINE,
    ),
    Exchange("free work, with the patience to wait", asks("claim", wait=20), granted(), stands=MINE),
)

_DENIALS = (
    Exchange("held", asks("claim"), denied("held", who=OTHER, until=True), before=(held(),), stands=THEIRS),
    Exchange(
        "held by another process of this session",
        asks("claim", instance="another"),
        denied("own"),
        before=(did("claim", ME, X, ttl=TTL_SECONDS),),
        stands=MINE,
    ),
    Exchange("completed", asks("claim"), denied("completed", who=OTHER), before=finished(), stands=DONE),
    Exchange(
        "completed too lately",
        asks("claim"),
        denied("cooldown", who=OTHER, until=True, policy="task"),
        before=(did("set_policy", "task", repeat=3600), *finished()),
        stands=DONE,
    ),
    Exchange(
        "at the limit",
        asks("claim"),
        denied("limit", policy="task"),
        before=(did("set_policy", "task", max_live=1), held(Y)),
        stands=FREE,
    ),
    Exchange(
        "paused",
        asks("claim"),
        denied("limit", policy="task"),
        before=(did("set_policy", "task", max_live=0),),
        stands=FREE,
    ),
    Exchange(
        "the same topic under another name",
        asks("claim", SAME),
        denied("similar", work_key=SAME, similar=[TOPIC]),
        before=(held(TOPIC),),
        stands=FREE,
    ),
    Exchange(
        "an alike topic where it is to be asked",
        asks("claim", ALIKE),
        denied("similar", work_key=ALIKE, similar=[TOPIC]),
        before=(did("set_policy", "topic", similar="ask"), *finished(TOPIC)),
        stands=FREE,
    ),
)

_CHOICES = (
    Exchange(
        "the first that is free",
        asks("next", X, Y, Z),
        granted(Z, skipped={"held": 1, "completed": 1}),
        before=(held(), *finished(Y)),
        stands=MINE,
    ),
    Exchange(
        "passing over what this session holds",
        asks("next", X, Y),
        granted(Y, skipped={"own": 1}, also_held=[X]),
        before=(held(by=ME),),
        stands=MINE,
    ),
    Exchange(
        "all taken",
        asks("next", X, Y),
        denied("none", work_key="", skipped={"held": 1, "completed": 1}, until=True),
        before=(held(), *finished(Y)),
        stands=THEIRS,
    ),
    Exchange(
        "all finished",
        asks("next", X, Y),
        denied("none", work_key="", skipped={"completed": 2}),
        before=(*finished(), *finished(Y)),
        stands=DONE,
    ),
    Exchange(
        "all held by this session",
        asks("next", X, Y),
        denied("none", work_key="", skipped={"own": 2}, also_held=[X, Y]),
        before=(held(by=ME), held(Y, by=ME)),
        stands=MINE,
    ),
    Exchange(
        "one at its limit, one cooling down",
        asks("next", X, "other:y"),
        denied("none", work_key="", skipped={"limit": 1, "cooldown": 1}, until=True),
        before=(did("set_policy", "task", max_live=0), did("set_policy", "other", repeat=3600), *finished("other:y")),
        stands=FREE,
    ),
    Exchange(
        "the best of the pool",
        Ask("next", (), {}),
        granted(Y, brief="first of all", skipped={}),
        before=(did("submit", OTHER, X), did("submit", OTHER, Y, priority=7, brief="first of all")),
    ),
    Exchange("an empty pool", Ask("next", ()), denied("none", work_key="", empty=True)),
    Exchange(
        "a pool that waits for other work",
        Ask("next", ()),
        denied("none", work_key="", skipped={"blocked": 1, "held": 1}),
        before=(did("submit", OTHER, Y), did("submit", OTHER, X, depends=[Y]), held(Y)),
    ),
    Exchange(
        "a pool that has failed",
        Ask("next", ()),
        denied("none", work_key="", skipped={"failed": 1}),
        before=(
            did("set_policy", "task", max_attempts=1),
            did("submit", OTHER, X),
            held(),
            did("release", OTHER, X, reason="red", failed=True),
        ),
    ),
)

_NOT_HELD = f"claimed by {OTHER}, attempt 1"
_RENEWALS = (
    Exchange(
        "renewed",
        asks("renew"),
        {"outcome": "renewed", "work_key": X, "lasts": TTL_SECONDS},
        before=(held(by=ME, note="half done"),),
        stands=f"{MINE}: half done",
    ),
    Exchange(
        "renewed with a note",
        asks("renew", note="nearly done"),
        {"outcome": "renewed", "work_key": X, "lasts": TTL_SECONDS},
        before=(held(by=ME, note="half done"),),
        stands=f"{MINE}: nearly done",
    ),
    Exchange(
        "renewed, and held by another",
        asks("renew"),
        fails("FAILED_PRECONDITION", OTHER),
        before=(held(),),
        stands=_NOT_HELD,
    ),
    Exchange("renewed, and never claimed", asks("renew"), fails("NOT_FOUND", X), stands=FREE),
    Exchange(
        "renewed, and completed",
        asks("renew"),
        fails("FAILED_PRECONDITION", "completed"),
        before=finished(by=ME),
        stands=f"completed by {ME}, attempt 1",
    ),
    Exchange(
        "renewed, and expired",
        asks("renew"),
        fails("FAILED_PRECONDITION", "expired"),
        before=(held(by=ME), did("expire", X)),
        stands=f"abandoned by {ME}, attempt 1",
    ),
    Exchange(
        "renewed, and another has it since",
        asks("renew"),
        fails("FAILED_PRECONDITION", OTHER),
        before=(held(by=ME), did("expire", X), held()),
        stands=f"claimed by {OTHER}, attempt 2",
    ),
)

_ENDS = (
    Exchange(
        "completed with a result",
        asks("complete", result="PR #8"),
        {"outcome": "completed", "work_key": X},
        before=(held(by=ME),),
        stands=f"completed by {ME}, attempt 1: PR #8",
    ),
    Exchange(
        "completed late",
        asks("complete", result="PR #8"),
        {"outcome": "completed", "work_key": X, "late": True},
        before=(held(by=ME), did("expire", X)),
        stands=f"completed by {ME}, attempt 1: PR #8",
    ),
    Exchange(
        "completed, and held by another",
        asks("complete", result="mine"),
        fails("FAILED_PRECONDITION", OTHER),
        before=(held(),),
        stands=_NOT_HELD,
    ),
    Exchange("completed, and never claimed", asks("complete", result="mine"), fails("NOT_FOUND", X), stands=FREE),
    Exchange(
        "completed by another",
        asks("complete", result="mine"),
        fails("FAILED_PRECONDITION", "completed"),
        before=finished(),
        stands=DONE,
    ),
    Exchange(
        "completed, and revoked before",
        asks("complete", result="mine"),
        fails("FAILED_PRECONDITION", "revoked"),
        before=(held(by=ME), did("revoke", X, reason="stuck", at_once=True)),
        stands=f"abandoned by {ME}, attempt 1: stuck",
    ),
    Exchange(
        "released with a reason",
        asks("release", reason="needs a decision"),
        {"outcome": "abandoned", "work_key": X},
        before=(held(by=ME),),
        stands=f"abandoned by {ME}, attempt 1: needs a decision",
    ),
    Exchange(
        "released as failed",
        asks("release", reason="red", failed=True),
        {"outcome": "abandoned", "work_key": X},
        before=(did("submit", OTHER, X), held(by=ME)),
        stands=f"abandoned by {ME}, attempt 1: red",
    ),
    Exchange(
        "released, and held by another",
        asks("release", reason="r"),
        fails("FAILED_PRECONDITION", OTHER),
        before=(held(),),
        stands=_NOT_HELD,
    ),
    Exchange("released, and never claimed", asks("release", reason="r"), fails("NOT_FOUND", X), stands=FREE),
)

_SUBMISSIONS = (
    Exchange(
        "submitted", asks("submit", brief="into French", priority=7), {"outcome": "created", "work_key": X}, stands=FREE
    ),
    Exchange(
        "submitted again",
        asks("submit", priority=8),
        {"outcome": "updated", "work_key": X},
        before=(did("submit", OTHER, X),),
        stands=FREE,
    ),
    Exchange(
        "submitted behind what is not known",
        asks("submit", depends=[Y]),
        {"outcome": "created", "work_key": X, "unknown": [Y]},
        stands=FREE,
    ),
    Exchange(
        "submitted, and completed",
        asks("submit"),
        fails("FAILED_PRECONDITION", "completed"),
        before=finished(),
        stands=DONE,
    ),
    Exchange(
        "submitted behind itself",
        asks("submit", depends=[Y]),
        fails("FAILED_PRECONDITION|INVALID_ARGUMENT", "wait"),
        before=(did("submit", OTHER, Y, depends=[X]),),
        stands=FREE,
    ),
    Exchange(
        "submitted with a priority out of range",
        asks("submit", priority=10**7),
        fails("INVALID_ARGUMENT", "priority"),
        stands=FREE,
    ),
)

_LOOKS = (
    Exchange(
        "looked at, held",
        asks("look"),
        {"outcome": "claimed", "work_key": X, "who": OTHER, "words": ("half done", "", "")},
        before=(held(note="half done"),),
        stands=f"{THEIRS}: half done",
    ),
    Exchange("looked at, never claimed", asks("look"), {"outcome": "available", "work_key": X}, stands=FREE),
    Exchange(
        "looked at, completed",
        asks("look"),
        {"outcome": "completed", "work_key": X, "who": OTHER, "words": ("", "", "PR #8")},
        before=finished(result="PR #8"),
        stands=f"{DONE}: PR #8",
    ),
    Exchange(
        "looked at, released",
        asks("look"),
        {"outcome": "abandoned", "work_key": X, "who": OTHER, "words": ("", "tired", "")},
        before=(held(), did("release", OTHER, X, reason="tired")),
        stands=f"abandoned by {OTHER}, attempt 1: tired",
    ),
    Exchange(
        "looked at, expired",
        asks("look"),
        {"outcome": "abandoned", "work_key": X, "who": OTHER},
        before=(held(), did("expire", X)),
        stands=f"abandoned by {OTHER}, attempt 1",
    ),
)

#: The work of which the coordinator answers with an error of this code, whatever is asked: see ``world.py``.
BROKEN = "task:broken-"
#: The revision whose events are gone.
BROKEN_REVISION = 1
_ERRORS = (
    Exchange("no key", asks("claim", ""), fails("INVALID_ARGUMENT", "empty")),
    Exchange("a key that is too long", asks("claim", "task:" + "x" * 600), fails("INVALID_ARGUMENT", "512")),
    Exchange(
        "a key with a letter that turns others round",
        asks("claim", "task:\u202ex"),
        fails("INVALID_ARGUMENT", "invisible"),
    ),
    Exchange(
        "a note that is too long", asks("claim", note="x" * 16_385), fails("INVALID_ARGUMENT", "16384"), stands=FREE
    ),
    Exchange(
        "too many topics to tell apart",
        asks("claim", distinct_from=[f"topic:{n}" for n in range(40)]),
        fails("INVALID_ARGUMENT", "topic|distinct"),
        stands=FREE,
    ),
    Exchange("not as this session", asks("claim", bearing="narrow"), fails("PERMISSION_DENIED", ME)),
    Exchange("not in this fleet", asks("claim", bearing="elsewhere"), fails("PERMISSION_DENIED", "fleet")),
    Exchange(
        "completed, not as this session",
        asks("complete", result="mine", bearing="narrow"),
        fails("PERMISSION_DENIED", ME),
        before=(held(by=ME),),
    ),
    Exchange("without a credential", asks("claim", bearing="none"), fails("UNAUTHENTICATED", "credential")),
    Exchange("with an unknown credential", asks("claim", bearing="wrong"), fails("UNAUTHENTICATED", "credential")),
    *(
        Exchange(f"{verb}, {code}", asks(verb, f"{BROKEN}{code}".lower(), **more), fails(code, says))
        for verb, more in (("claim", {}), ("complete", {"result": "r"}))
        for code, says in (
            ("UNAVAILABLE", "no quorum"),
            ("RESOURCE_EXHAUSTED", "nearly full"),
            ("ABORTED", "others"),
            ("DEADLINE_EXCEEDED", "not known|may"),
            ("INTERNAL", "failed inside the coordinator"),
            ("UNIMPLEMENTED", "serves no"),
        )
    ),
    Exchange("events that are gone", Ask("events", ()), fails("OUT_OF_RANGE", "revision 7 are gone")),
)

EXCHANGES = (*_GRANTS, *_DENIALS, *_CHOICES, *_RENEWALS, *_ENDS, *_SUBMISSIONS, *_LOOKS, *_ERRORS)
