"""The state of one work key in the model: its claim, its record, its ended attempts, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from unittest.mock import ANY

from coordinator.model import Cause, State
from tests.property.history_words import Event, Shown


@dataclass(frozen=True)
class Held:
    """A live claim."""

    session: str
    instance: str
    request_id: str
    attempt: int
    note: str
    ttl: float
    claimed_at: datetime
    renewed: bool = False


@dataclass(frozen=True)
class Known:
    """A record."""

    state: State
    session: str
    attempt: int
    attempts: int
    request_id: str
    claimed_at: datetime
    note: str
    cause: Cause | None = None
    reason: str = ""
    result: str = ""
    ended_at: datetime | None = None
    late: bool = False
    withdrawn: bool = False
    completion: Known | None = None


@dataclass(frozen=True)
class End:
    """A history entry."""

    session: str
    attempt: int
    ended: State
    ended_at: datetime
    claimed_at: datetime
    note: str
    cause: Cause | None
    reason: str
    result: str
    late: bool
    contenders: int
    request_id: str
    withdrawn: bool = False


@dataclass(frozen=True)
class Work:
    """Everything about one work key. ``tokens`` and ``deadlines`` go by attempt, and come from the store.

    ``promised`` is how long the live claim must last at least, ``events`` what the metrics are to hear of. ``seen`` is
    what a request that ends the claim has read as its note, if that is another than there is by now: it compares the
    claim's create_revision only, so that heartbeats do not get in its way. ``pinned`` is the attempt that a completion
    without a token found first, which is the one that it means. ``withdrawn`` are sessions and their requests.
    """

    held: Held | None = None
    known: Known | None = None
    history: tuple[End, ...] = ()
    contenders: frozenset[str] = frozenset()
    tokens: Mapping[int, int] = field(default_factory=dict)
    deadlines: Mapping[int, datetime] = field(default_factory=dict)
    promised: datetime | None = None
    events: tuple[Event, ...] = ()
    seen: str | None = None
    pinned: int | None = None
    withdrawn: frozenset[tuple[str, str]] = frozenset()

    @property
    def expired(self) -> Known | None:
        """The record of a claim that ran out, if it is not recorded yet."""
        return self.known if self.held is None and self.known and self.known.state is State.CLAIMED else None

    @property
    def token(self) -> int | None:
        """The fencing token of the live claim, None where it is so new that no request can name it."""
        return self.tokens.get(self.held.attempt) if self.held else None

    def entry(self, attempt: int) -> End | None:
        """The history entry of an attempt."""
        return next((end for end in self.history if end.attempt == attempt), None)


def show(known: Known) -> Shown:
    """A record as it is answered."""
    return Shown(
        state=known.state,
        session=known.session,
        attempt=known.attempt,
        cause=known.cause,
        reason=known.reason,
        result=known.result,
        note=known.note,
        claimed_at=known.claimed_at,
        ended_at=known.ended_at,
        late=known.late,
    )


def effective(work: Work) -> Shown:
    """The state as it is shown: what has expired is abandoned, whether or not that was written down."""
    if work.known is None:
        return Shown(State.AVAILABLE)
    if work.expired is None:
        return show(work.known)
    if work.expired.completion is not None:
        return show(work.expired.completion)
    ended_at = work.deadlines.get(work.known.attempt, ANY)
    return show(work.known)._replace(state=State.ABANDONED, cause=Cause.EXPIRED, ended_at=ended_at)


def as_known(end: End) -> Known:
    return Known(
        state=end.ended,
        session=end.session,
        attempt=end.attempt,
        attempts=end.attempt,
        request_id="",
        claimed_at=end.claimed_at,
        note=end.note,
        cause=end.cause,
        reason=end.reason,
        result=end.result,
        ended_at=end.ended_at,
        late=end.late,
    )


def as_it_ended(end: End) -> Shown:
    return Shown(
        state=end.ended,
        session=end.session,
        attempt=end.attempt,
        cause=end.cause,
        reason=end.reason,
        result=end.result,
        note=end.note,
        claimed_at=end.claimed_at,
        ended_at=end.ended_at,
        late=end.late,
    )
