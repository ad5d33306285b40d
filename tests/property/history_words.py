"""Requests and answers, in words that the model and the engine's runs are compared in."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.errors import CoordinatorError
from coordinator.model import Cause, DenialReason, Outcome, State


class Asked(NamedTuple):
    """A request, the replica that it comes to, and the time by that one's clock."""

    request: Request
    replica: int
    now: datetime


class Grant(NamedTuple):
    """What the metrics hear of a grant."""


class Ending(NamedTuple):
    """The events of an attempt's end; ``counted`` says whether they include its contenders."""

    ended: State
    cause: Cause | None
    late: bool
    counted: bool


Event = Grant | Ending


class Claiming(NamedTuple):
    session: str
    request_id: str
    instance: str = ""
    token: int = 0
    ttl: float | None = None
    note: str = ""
    reopen: bool = False


class Renewing(NamedTuple):
    session: str
    instance: str = ""
    token: int = 0
    ttl: float | None = None
    note: str | None = None


class Completing(NamedTuple):
    session: str
    request_id: str
    token: int = 0
    text: str = ""


class Releasing(NamedTuple):
    session: str
    request_id: str
    token: int = 0
    text: str = ""


class Withdrawing(NamedTuple):
    session: str
    request_id: str
    token: int = 0


class Revoking(NamedTuple):
    request_id: str
    text: str = ""


class Reaping(NamedTuple):
    min_age: float = 0.0


class Expiring(NamedTuple):
    """The claim's key goes, as it does when its lease ends."""


class Getting(NamedTuple):
    pass


Request = Claiming | Renewing | Completing | Releasing | Withdrawing | Revoking | Reaping | Expiring | Getting


class Before(NamedTuple):
    """What the attempt before a grant left behind."""

    attempt: int
    session: str
    cause: Cause | None
    reason: str
    note: str
    ended_at: datetime | None


class Granted(NamedTuple):
    outcome: Outcome
    session: str
    attempt: int
    note: str
    ttl: float
    claimed_at: datetime
    previous: Before | None = None


class Denied(NamedTuple):
    reason: DenialReason
    holder: str | None = None
    own_session: bool = False
    completed_by: str | None = None
    completed_at: datetime | None = None


class Shown(NamedTuple):
    """A record as it is answered."""

    state: State
    session: str | None = None
    attempt: int | None = None
    cause: Cause | None = None
    reason: str = ""
    result: str = ""
    note: str = ""
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    late: bool = False


class Refusal(NamedTuple):
    why: type[CoordinatorError]
    holder: str | None = None


class Details(NamedTuple):
    """The answer to Get."""

    record: Shown
    holder: str | None
    contenders: frozenset[str]
    history: tuple[tuple[int, str, State, Cause | None, bool], ...]


Answer = Granted | Denied | Shown | Refusal | Details | bool | None
