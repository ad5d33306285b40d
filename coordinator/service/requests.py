"""From request messages to values that have been checked, and to the commands of the engine.

Invariant: every command of the engine is built here and nowhere else, so nothing reaches it unchecked; every refusal
names the field and what is allowed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from coordinator.engine.acknowledge import AcknowledgeCommand
from coordinator.engine.briefing import BriefingCommand
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.events import EventFilter
from coordinator.engine.finish import FinishCommand
from coordinator.engine.hot import HotCommand
from coordinator.engine.layout import FleetPaths, NoSession, WorkPaths
from coordinator.engine.listing import ListCommand, LogCommand
from coordinator.engine.policy import PolicyBook, RepeatingBook, WorkPolicy
from coordinator.engine.renew import RenewCommand
from coordinator.engine.reopen import ReopenCommand
from coordinator.engine.revoke import RevokeCommand
from coordinator.engine.withdrawal import WithdrawCommand
from coordinator.errors import InvalidInput
from coordinator.keys import WorkKey, parse_pattern, parse_work_key
from coordinator.limits import (
    DEFAULT_BRIEFED_SECONDS,
    DEFAULT_BRIEFING_CHARACTERS,
    DEFAULT_HOT_KEYS,
    DEFAULT_HOT_SECONDS,
    MAX_BRIEFED_KINDS,
    MAX_BRIEFED_SECONDS,
    MAX_HOT_KEYS,
    MAX_ID_BYTES,
    MAX_ITEMS,
    MAX_MAX_ATTEMPTS,
    MAX_MAX_LIVE,
    MAX_TEXT_BYTES,
    check_briefing_characters,
    check_page_size,
    check_repeat_after,
    check_ttl,
)
from coordinator.model import Claim, Denial, Policy, Repeat, State
from coordinator.names import check_fleet, check_kind, check_session, check_session_filter, check_text
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import REPEATS, STATES, policy_from, seconds_of

__all__ = [
    "Keyed",
    "acknowledge_command",
    "briefing_command",
    "change_request_id",
    "check_items",
    "check_min_age",
    "check_revision",
    "claim_command",
    "complete_command",
    "event_filter",
    "hot_command",
    "list_command",
    "log_command",
    "new_request_id",
    "next_command",
    "next_policies",
    "placed_as_sent",
    "policy_of",
    "release_command",
    "renew_command",
    "reopen_command",
    "revoke_command",
    "sender_of",
    "withdraw_command",
]


#: 292 years, which is what a Go duration can hold: beyond any claim's age.
_MAX_AGE_SECONDS = 2**63 / 1e9


#: How many work keys are kept as they were read, the latest ones: some 4 KiB each at most.
_KEYS_KEPT = 4_096


class _HasKey(Protocol):
    @property
    def fleet(self) -> str: ...
    @property
    def work_key(self) -> str: ...


class Keyed(NamedTuple):
    """The fleet and the work key of a request; ``typed`` is the key as it came."""

    fleet: str
    work_key: WorkKey
    typed: str
    paths: WorkPaths

    @classmethod
    def of(cls, request: _HasKey, topic_kinds: frozenset[str]) -> Keyed:
        """Read them from a request."""
        return cls.read(request.fleet, request.work_key, topic_kinds)

    @classmethod
    def read(cls, fleet: str, typed: str, topic_kinds: frozenset[str]) -> Keyed:
        """Read them as they came."""
        return _read_keyed(fleet, typed, topic_kinds)


# Sessions of a fleet ask for the same work: of a list of 1,000 candidates each would read all of them again.
@lru_cache(maxsize=_KEYS_KEPT)
def _read_keyed(fleet: str, typed: str, topic_kinds: frozenset[str]) -> Keyed:
    fleet = check_fleet(fleet)
    work_key = parse_work_key(typed, topic_kinds=topic_kinds)
    return Keyed(fleet, work_key, typed, FleetPaths(fleet).of(work_key))


def check_items(count: int) -> None:
    """Check how many items a call has."""
    if not 1 <= count <= MAX_ITEMS:
        raise InvalidInput(f"{count} items; allowed are 1 to {MAX_ITEMS}", field="items")


def new_request_id() -> str:
    """Make up a request id for a caller who named none."""
    return uuid.uuid4().hex


def claim_command(
    whose: pb.ClaimRequest | pb.ClaimManyRequest,
    wanted: pb.ClaimRequest | pb.ClaimItem,
    session: str,
    now: datetime,
    policy: WorkPolicy,
) -> ClaimCommand:
    """Read one claim; of a ClaimMany ``wanted`` is the item, and ``session`` is checked already.

    ``policy`` is that of the work; a ``repeat_after`` of the request counts before it.
    """
    if isinstance(wanted, pb.ClaimRequest) and wanted.HasField("repeat_after"):
        seconds = check_repeat_after(seconds_of(wanted.repeat_after))
        policy = replace(policy, repeat_after=seconds, repeat_pattern="")
    return ClaimCommand(
        session=session,
        request_id=_request_id(wanted.request_id),
        now=now,
        ttl_seconds=_ttl(wanted),
        note=_text("note", wanted.note),
        reopen=wanted.reopen,
        instance=_id("instance", whose.instance),
        token=_token(wanted.fencing_token),
        policy=policy,
    )


def next_command(request: pb.ClaimNextRequest, now: datetime) -> ClaimCommand:
    """Read a ClaimNext, its candidates excepted."""
    return ClaimCommand(
        session=check_session(request.session),
        request_id=_request_id(request.request_id),
        now=now,
        ttl_seconds=_ttl(request),
        note=_text("note", request.note),
        instance=_id("instance", request.instance),
        one_of_many=True,
    )


def next_policies(request: pb.ClaimNextRequest, policies: PolicyBook) -> PolicyBook:
    """Return what holds for the candidates of a ClaimNext: its ``repeat_after`` counts before their policies."""
    if not request.HasField("repeat_after"):
        return policies
    return RepeatingBook(policies, check_repeat_after(seconds_of(request.repeat_after)))


def placed_as_sent(answer: Claim | Denial, keyed: Keyed, request: pb.ClaimNextRequest) -> Claim | Denial:
    """Return an answer whose place is that on the list as it was sent, where a work key may stand twice."""
    choice = answer.choice
    if choice is None or choice.place is None:
        return answer
    return replace(answer, choice=choice._replace(place=list(request.candidates).index(keyed.typed) + 1))


def renew_command(
    whose: pb.RenewRequest | pb.RenewManyRequest, wanted: pb.RenewRequest | pb.RenewItem, session: str, now: datetime
) -> RenewCommand:
    """Read one renewal; of a RenewMany ``wanted`` is the item, and ``session`` is checked already."""
    return RenewCommand(
        session=session,
        now=now,
        ttl_seconds=_ttl(wanted),
        note=_text("note", wanted.note) if wanted.HasField("note") else None,
        instance=_id("instance", whose.instance),
        token=_token(wanted.fencing_token),
        request_id=_id("request_id", wanted.request_id),
    )


def complete_command(request: pb.CompleteRequest, now: datetime) -> FinishCommand:
    """Read a completion."""
    return _finish_command(request, _text("result", request.result), now)


def release_command(request: pb.ReleaseRequest, now: datetime, policy: WorkPolicy) -> FinishCommand:
    """Read a release."""
    command = _finish_command(request, _text("reason", request.reason), now)
    return replace(command, loose_ends=policy.loose_ends)


def revoke_command(request: pb.RevokeRequest, now: datetime, policy: WorkPolicy) -> RevokeCommand:
    """Read a revocation."""
    return RevokeCommand(
        request_id=_request_id(request.request_id),
        now=now,
        reason=_text("reason", request.reason),
        at_once=request.at_once,
        loose_ends=policy.loose_ends,
    )


def reopen_command(request: pb.ReopenRequest, now: datetime, policy: WorkPolicy) -> ReopenCommand:
    """Read a request to put completed work back."""
    reason = _text("reason", request.reason)
    return ReopenCommand(_request_id(request.request_id), now, reason, loose_ends=policy.loose_ends)


def change_request_id(request: pb.SetPolicyRequest | pb.UnsetPolicyRequest) -> str:
    """Return the id of a request to change a policy, made up where it has none."""
    return _request_id(request.request_id)


def policy_of(request: pb.SetPolicyRequest, topic_kinds: frozenset[str]) -> Policy:
    """Read the policy that is to be set."""
    wanted = request.policy
    policy = replace(
        policy_from(wanted), pattern=parse_pattern(wanted.pattern, topic_kinds=topic_kinds), built_in=False
    )
    if wanted.repeat not in REPEATS:
        raise InvalidInput(f"{wanted.repeat} is not a repeat; allowed are {', '.join(Repeat)}", field="repeat")
    if policy.repeat is Repeat.AFTER:
        check_repeat_after(policy.repeat_after_seconds or 0.0)
    elif policy.repeat_after_seconds is not None:
        raise InvalidInput("repeat_after is given without repeat=after", field="repeat_after")
    _check_count("max_live", policy.max_live, 0, MAX_MAX_LIVE)
    _check_count("max_attempts", policy.max_attempts, 1, MAX_MAX_ATTEMPTS)
    if (policy.repeat, policy.max_live, policy.max_attempts, policy.loose_ends) == (None, None, None, None):
        raise InvalidInput(
            "the policy sets nothing; it must set repeat, max_live, max_attempts or loose_ends",
            field="policy",
            hint="`policy unset` takes one away",
        )
    return policy


def _check_count(field: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"a {field} of {value} is out of range; allowed are {least} to {most}", field=field)


def acknowledge_command(request: pb.AcknowledgeRequest, now: datetime) -> AcknowledgeCommand:
    """Read an acknowledgement."""
    return AcknowledgeCommand(_request_id(request.request_id), now, _text("reason", request.reason))


def sender_of(request: pb.WithdrawRequest) -> str | NoSession:
    """Read whose requests are to be withdrawn."""
    if request.session and request.acknowledgements:
        raise InvalidInput("acknowledgements name no session; leave it empty to withdraw them", field="session")
    if request.session:
        return check_session(request.session)
    return NoSession.ACKNOWLEDGER if request.acknowledgements else NoSession.OPERATOR


def withdraw_command(
    item: pb.WithdrawItem, sender: str | NoSession, now: datetime, policies: PolicyBook
) -> WithdrawCommand:
    """Read one withdrawal."""
    if item.pattern and (item.work_key or sender is not NoSession.OPERATOR):
        raise InvalidInput(
            "a pattern is that of an operator's request about policies, and of no other", field="pattern"
        )
    if not item.request_id:
        raise InvalidInput("request_id is empty; it must be that of the request to withdraw", field="request_id")
    return WithdrawCommand(
        sender=sender,
        request_id=_id("request_id", item.request_id),
        now=now,
        token=_token(item.fencing_token),
        ttl_seconds=_ttl(item),
        policies=policies,
    )


def check_min_age(request: pb.ReapRequest) -> float:
    """Return the least age in seconds."""
    seconds = seconds_of(request.min_age) if request.HasField("min_age") else 0.0
    if not 0 <= seconds <= _MAX_AGE_SECONDS:
        raise InvalidInput(f"a min_age of {seconds:g} s is out of range; it must be 0 or more", field="min_age")
    return seconds


def list_command(request: pb.ListRequest) -> ListCommand:
    """Read a request to list."""
    return ListCommand(
        states=_states(request.states),
        kind=check_kind(request.kind) if request.kind else "",
        session=check_session_filter(request.session) if request.session else "",
        page_size=check_page_size(request.page_size),
        page_token=request.page_token,
    )


def log_command(request: pb.LogRequest, now: datetime) -> LogCommand:
    """Read a request for a session's log."""
    since: datetime | None = None
    if request.HasField("since"):
        try:
            since = request.since.ToDatetime(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise InvalidInput("since is not a time between the years 1 and 9999", field="since") from None
    return LogCommand(
        session=check_session_filter(request.session),
        now=now,
        since=since,
        page_size=check_page_size(request.page_size),
        page_token=request.page_token,
    )


def briefing_command(request: pb.BriefingRequest, now: datetime) -> BriefingCommand:
    """Read a request for a briefing."""
    if len(request.kinds) > MAX_BRIEFED_KINDS:
        raise InvalidInput(f"{len(request.kinds)} kinds; allowed are at most {MAX_BRIEFED_KINDS}", field="kinds")
    seconds = _max_age(request, DEFAULT_BRIEFED_SECONDS)
    characters = request.max_characters or DEFAULT_BRIEFING_CHARACTERS
    check_briefing_characters(characters)
    return BriefingCommand(now, tuple(dict.fromkeys(check_kind(kind) for kind in request.kinds)), seconds, characters)


def hot_command(request: pb.HotRequest, now: datetime) -> HotCommand:
    """Read a request for the work keys that are fought over."""
    if not 0 <= request.limit <= MAX_HOT_KEYS:
        raise InvalidInput(
            f"a limit of {request.limit} is out of range; allowed are 1 to {MAX_HOT_KEYS}", field="limit"
        )
    return HotCommand(
        now=now,
        kind=check_kind(request.kind) if request.kind else "",
        limit=request.limit or DEFAULT_HOT_KEYS,
        max_age_seconds=_max_age(request, DEFAULT_HOT_SECONDS),
    )


def event_filter(request: pb.WatchRequest) -> EventFilter:
    """Read which events a watcher wants."""
    return EventFilter(
        kind=check_kind(request.kind) if request.kind else "",
        session=check_session_filter(request.session) if request.session else "",
    )


def check_revision(field: str, revision: int) -> int:
    """Return a revision of the store, 0 where none is named."""
    if revision < 0:
        raise InvalidInput(f"{revision} is not a revision; it must be above 0, or 0 for from now on", field=field)
    return revision


def _finish_command(request: pb.CompleteRequest | pb.ReleaseRequest, text: str, now: datetime) -> FinishCommand:
    return FinishCommand(
        session=check_session(request.session),
        request_id=_request_id(request.request_id),
        now=now,
        text=text,
        token=_token(request.fencing_token),
    )


def _id(field: str, value: str) -> str:
    """Return an identifier chosen by the caller."""
    return check_text(field, value, MAX_ID_BYTES)


def _request_id(value: str) -> str:
    return _id("request_id", value) or new_request_id()


def _token(token: int) -> int:
    """Return a fencing token, 0 where none is named."""
    if token < 0:
        raise InvalidInput(f"{token} is not a fencing token; it must be above 0, or 0 for none", field="fencing_token")
    return token


def _text(field: str, value: str) -> str:
    """Return a note, reason or result."""
    return check_text(field, value, MAX_TEXT_BYTES)


def _ttl(
    request: pb.ClaimRequest | pb.ClaimNextRequest | pb.RenewRequest | pb.ClaimItem | pb.RenewItem | pb.WithdrawItem,
) -> float | None:
    """Return the ttl in seconds, None where the request has none."""
    return check_ttl(seconds_of(request.ttl)) if request.HasField("ttl") else None


def _max_age(request: pb.BriefingRequest | pb.HotRequest, default: float) -> float:
    seconds = seconds_of(request.max_age) if request.HasField("max_age") else default
    if not 0 < seconds <= MAX_BRIEFED_SECONDS:
        raise InvalidInput(f"a max_age of {seconds:g} s is out of range; it must be above 0", field="max_age")
    return seconds


def _states(states: Sequence[types.State]) -> frozenset[State]:
    for state in states:
        # proto3 lets numbers through that no enumerator has.
        if state not in STATES:
            raise InvalidInput(f"{state} is not a state; allowed are {', '.join(State)}", field="states")
    return frozenset(STATES[state] for state in states)
