"""The words that say what became of something: states, causes, outcomes, reasons and events."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "Cause",
    "DenialReason",
    "Event",
    "ImportOutcome",
    "NothingFree",
    "Outcome",
    "PoolStanding",
    "PoolState",
    "Repeat",
    "Similar",
    "SkipReason",
    "State",
    "Submitted",
]


class State(StrEnum):
    """The state of a work key."""

    AVAILABLE = "available"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


class Cause(StrEnum):
    """Why an attempt was abandoned."""

    EXPIRED = "expired"
    RELEASED = "released"
    REVOKED = "revoked"


class Outcome(StrEnum):
    """What became of a request to claim."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"


class DenialReason(StrEnum):
    """Why a claim was denied; the last three are for a policy to say."""

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"
    SIMILAR = "similar"


class SkipReason(StrEnum):
    """Why a candidate was passed over; ``own``: the session holds it already.

    Of the pool only: ``blocked`` by what it depends on; ``returned``: this session gave it back, or it was given back a
    short time ago; ``failed`` too often.
    """

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"
    SIMILAR = "similar"
    OWN = "own"
    BLOCKED = "blocked"
    RETURNED = "returned"
    FAILED = "failed"


class NothingFree(StrEnum):
    """Why there was nothing to hand out: all of it is finished, some is held, what is left is blocked, or failed."""

    EMPTY = "empty"
    HELD = "held"
    BLOCKED = "blocked"
    FAILED = "failed"


class PoolState(StrEnum):
    """How submitted work stands: in the pool until it is completed, failed too often, or was taken out."""

    POOLED = "pooled"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Submitted(StrEnum):
    """What became of a submission: the work is new in the pool, was there already, or was taken out."""

    CREATED = "created"
    UPDATED = "updated"
    WITHDRAWN = "withdrawn"


class Repeat(StrEnum):
    """Whether finished work may be claimed again; ``after``: some time after its completion."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER = "after"


class Similar(StrEnum):
    """Whether the same work is looked for under other names: not at all, to tell the claimant, or to ask it first."""

    OFF = "off"
    TELL = "tell"
    ASK = "ask"


class Event(StrEnum):
    """What happened to a claim, or to work of the pool."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    #: Put into the pool, or failed too often there.
    SUBMITTED = "submitted"
    FAILED = "failed"


class PoolStanding(StrEnum):
    """How work stands in the pool.

    ``returned``: it was given back, and is offered to no session for a time. ``failed``: its attempts failed too often.
    """

    AVAILABLE = "available"
    HELD = "held"
    BLOCKED = "blocked"
    RETURNED = "returned"
    FAILED = "failed"


class ImportOutcome(StrEnum):
    """What became of work that was imported.

    ``known``: something is known of it here, and it was left as it is; ``too old``: it ended longer ago than the
    coordinator remembers ended work, and was left out.
    """

    IMPORTED = "imported"
    KNOWN = "known"
    TOO_OLD = "too-old"
