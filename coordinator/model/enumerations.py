"""The words that say what became of something: states, causes, outcomes, reasons and events."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cause", "DenialReason", "Event", "NothingFree", "Outcome", "Repeat", "SkipReason", "State"]


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
    """Why a claim was denied; the last two are for a policy to say."""

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"


class SkipReason(StrEnum):
    """Why a candidate was passed over; ``own``: the session holds it already."""

    HELD = "held"
    COMPLETED = "completed"
    COOLDOWN = "cooldown"
    LIMIT = "limit"
    SIMILAR = "similar"
    OWN = "own"
    BLOCKED = "blocked"


class NothingFree(StrEnum):
    """Why there was nothing to hand out: all of it is finished, some is held, what is left is blocked, or failed."""

    EMPTY = "empty"
    HELD = "held"
    BLOCKED = "blocked"
    FAILED = "failed"


class Repeat(StrEnum):
    """Whether finished work may be claimed again; ``after``: some time after its completion."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER = "after"


class Event(StrEnum):
    """What happened to a claim."""

    GRANTED = "granted"
    RENEWED = "renewed"
    DENIED = "denied"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
