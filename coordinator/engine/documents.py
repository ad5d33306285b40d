"""What stands in etcd's values: compact JSON, so that an operator can read it with etcdctl.

docs/storage.md has the table of field names and types. Decoding checks every field; a value that does not hold raises
``Undecodable`` and is skipped by its readers, never fatal (``document_codec.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from json.encoder import encode_basestring
from typing import Any

from coordinator.engine.document_codec import Document
from coordinator.engine.layout import format_stamp
from coordinator.model import Cause, Repeat, Similar, State

__all__ = [
    "Contender",
    "Distinct",
    "Ended",
    "Failed",
    "LooseEnd",
    "OnOff",
    "PolicyChange",
    "Pooled",
    "StoredClaim",
    "StoredFailure",
    "StoredHistory",
    "StoredPolicy",
    "StoredRecord",
    "StoredRequest",
    "StoredSignature",
    "StoredTopic",
    "StoredWork",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClaim(Document):
    """``claim/K``: the claim itself. ``renewed``: it was, so that its holder knows that it has the claim.

    ``revoked``: an operator wants it to end, and has given ``reason``: it is renewed no more. ``again``: the
    work was finished before, and its record keeps that ``completion``. ``topic``: similar topics are looked for before
    the claim is answered, and it may be taken back until then.
    """

    session: str
    attempt: int
    ttl: float
    claimed_at: datetime
    expires_at: datetime
    request_id: str = ""
    instance: str = ""
    note: str = ""
    renewed: bool = False
    revoked: bool = False
    reason: str = ""
    again: bool = False
    topic: bool = False

    def written_of_grant(self) -> tuple[bytes, ...]:
        """Return what stands of the grant in the claim, in the record and in the history entry alike."""
        whose = f'"session":{encode_basestring(self.session)},"attempt":{self.attempt},'
        return whose.encode(), f'"claimed_at":"{format_stamp(self.claimed_at)}"'.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord(Document):
    """``record/K``: the last known state of the work.

    ``fencing_token`` is None in the record that a grant writes, as it is the revision of that very write: the record's
    own mod_revision. ``attempts`` is the number of the latest attempt; it differs from ``attempt`` only after a
    reopened attempt was not completed, or any was withdrawn, when the record describes the attempt before again.
    ``completion`` is the completed record, kept while finished work is claimed again. ``repeated``: that was a
    repetition that its policy allows, so the record describes it also where it was abandoned, and keeps the
    ``completion``. ``reopened`` is the request by which an operator has put completed work back. ``withdrawn`` is set
    in the record of an attempt that was withdrawn if there is none before it to describe. A record that says
    ``claimed`` and has the cause ``revoked`` is that of a claim that an operator wants to end.
    ``renewed_at`` is when the live claim was written last, None where that was its grant. ``repeatable``: finished
    work that may be claimed again, once, because it was imported from where that is so.
    """

    state: State
    session: str
    attempt: int
    attempts: int = 0
    fencing_token: int | None = None
    cause: Cause | None = None
    reason: str = ""
    result: str = ""
    note: str = ""
    claimed_at: datetime | None = None
    expires_at: datetime | None = None
    renewed_at: datetime | None = None
    ended_at: datetime | None = None
    late: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_reason: str = ""
    request_id: str = ""
    withdrawn: bool = False
    repeated: bool = False
    reopened: str = ""
    repeatable: bool = False
    completion: StoredRecord | None = None

    def __post_init__(self) -> None:
        if self.state is State.AVAILABLE:
            raise ValueError("available is never stored")
        if self.completion is not None and self.completion.state is not State.COMPLETED:
            raise ValueError("completion is not of finished work")
        object.__setattr__(self, "attempts", max(self.attempts, self.attempt))

    def with_token(self, mod_revision: int) -> StoredRecord:
        """Return it with its fencing token filled in; ``mod_revision`` is the one it was read at."""
        return self if self.fencing_token is not None else replace(self, fencing_token=mod_revision)

    @property
    def latest_completion(self) -> StoredRecord | None:
        """The record of the latest completion; None where the work was never finished, or was put back."""
        return self if self.state is State.COMPLETED else self.completion

    @property
    def is_open(self) -> bool:
        """Whether the work is not finished: never, or it is repeatable, or its latest repetition was abandoned.

        Asked where no claim is live: a record that says ``claimed`` is that of a claim which has expired then.
        """
        if self.state is State.COMPLETED:
            return self.repeatable
        # An attempt that had reopened finished work leaves it finished.
        return self.completion is None or self.repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHistory(Document):
    """``history/K/attempt``: how an attempt ended; ``request_id`` is that of the request which ended it.

    ``withdrawn``: it was granted when its caller had been answered already, so that no session ever worked on it.
    ``reopened`` is the request by which an operator has put the completed work back, ``reopened_at`` when and
    ``reopened_reason`` why. ``recorded_at`` is when an expiry was written down.
    """

    session: str
    attempt: int
    fencing_token: int
    ended: State
    ended_at: datetime
    claimed_at: datetime | None = None
    expires_at: datetime | None = None
    cause: Cause | None = None
    reason: str = ""
    result: str = ""
    note: str = ""
    late: bool = False
    contenders: int = 0
    request_id: str = ""
    withdrawn: bool = False
    reopened: str = ""
    reopened_at: datetime | None = None
    reopened_reason: str = ""
    recorded_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.ended not in (State.COMPLETED, State.ABANDONED):
            raise ValueError("an attempt ends completed or abandoned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Document):
    """``ended/time/K/attempt``: who ended, and how."""

    session: str
    ended: State
    cause: Cause | None = None

    def __post_init__(self) -> None:
        if self.ended not in (State.COMPLETED, State.ABANDONED):
            raise ValueError("an attempt ends completed or abandoned")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseEnd(Document):
    """``loose/K``: an abandoned attempt that has not been taken up or acknowledged."""

    session: str
    attempt: int
    cause: Cause
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender(Document):
    """``contender/K/session``: when that session was first denied during the present attempt, and by which request."""

    denied_at: datetime
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignature(Document):
    """``signature/hash``: the topics that have the same words, in the order in which they were claimed first."""

    work_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTopic(Document):
    """``topic/K``: which signature lists the topic."""

    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct(Document):
    """``distinct/K1/K2``: which session has said, and when, that two similar topics are different work."""

    session: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest(Document):
    """``request/session/id``: when a request was withdrawn or done; with neither, what a ClaimNext was granted.

    ``work_key`` is what it was granted or had asked for, "" where that is not known; a pattern for a change of a
    policy. ``had_no_effect``: it was done where there was nothing to do.
    """

    work_key: str = ""
    attempt: int | None = None
    withdrawn_at: datetime | None = None
    done_at: datetime | None = None
    had_no_effect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFailure(Document):
    """One failed attempt; ``cause`` is ``released`` where its session said so, ``expired`` where it did not answer."""

    session: str
    attempt: int
    failed_at: datetime
    cause: Cause
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWork(Document):
    """``work/K``: what was submitted of the work, and how often it failed. A renewal does not touch it.

    ``unknown`` are those of ``depends`` of which nothing was known when they were submitted. ``failures`` counts the
    failed attempts since it was submitted or put back, ``latest`` has the last of them. ``returns`` counts how often it
    was given back, ``returned_by`` has the last sessions that did so, and before ``not_before`` it is offered to no
    session. ``failed_at`` is when it failed too often, ``withdrawn_at`` when it was taken out of the pool. ``requests``
    are the last ones that were about it, each with what it did.
    """

    submitted_at: datetime
    submitted_by: str
    priority: int = 0
    brief: str = ""
    depends: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failures: int = 0
    latest: tuple[StoredFailure, ...] = ()
    returns: int = 0
    returned_by: tuple[str, ...] = ()
    not_before: datetime | None = None
    failed_at: datetime | None = None
    withdrawn_at: datetime | None = None
    requests: tuple[str, ...] = ()

    def without_failures(self) -> StoredWork:
        """Return it as if no attempt had failed, nor been given back."""
        return replace(self, failures=0, latest=(), returns=0, returned_by=(), not_before=None, failed_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled(Document):
    """``pool/K``: what of ``work/K`` decides when it is handed out, and to whom: all but the brief and the failures."""

    submitted_at: datetime
    priority: int = 0
    depends: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    returned_by: tuple[str, ...] = ()
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Document):
    """``failed/K``: when the work failed too often, and how often it has."""

    failed_at: datetime
    failures: int


class OnOff(StrEnum):
    """A switch that may also be left alone."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy(Document):
    """``policy/pattern``: the fields of a policy that are set. ``repeat_after`` goes with ``after``, in seconds."""

    repeat: Repeat | None = None
    repeat_after: float | None = None
    max_live: int | None = None
    max_attempts: int | None = None
    loose_ends: OnOff | None = None
    similar: Similar | None = None

    def __post_init__(self) -> None:
        if (self.repeat is Repeat.AFTER) != bool(self.repeat_after):
            raise ValueError("repeat_after does not go with repeat")

    @classmethod
    def _as_understood(cls, values: dict[str, Any]) -> dict[str, Any]:
        # A repeat of a newer coordinator may go with a time, too.
        return values if "repeat" in values else {name: values[name] for name in values if name != "repeat_after"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange(Document):
    """``/coordination-meta/v1/policy/fleet``: which policy of a fleet was changed last, and when."""

    pattern: str
    changed_at: datetime
