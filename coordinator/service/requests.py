"""From request messages about claims and work to the engine's commands; ``fleet_requests.py`` has those about a fleet.

Invariant: every command of the engine is built in one of the two and nowhere else, from fields that
``request_fields.py`` has checked, so nothing reaches the engine unchecked; every refusal names the field and what is
allowed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from coordinator.engine.acknowledge import AcknowledgeCommand
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.finish import FinishCommand
from coordinator.engine.import_work import UNKNOWN_SESSION, ImportCommand
from coordinator.engine.layout import NoSession
from coordinator.engine.policy import PolicyBook, RepeatingBook, WorkPolicy
from coordinator.engine.pool.submit import SubmitCommand
from coordinator.engine.renew import RenewCommand
from coordinator.engine.reopen import ReopenCommand
from coordinator.engine.revoke import RevokeCommand
from coordinator.engine.withdrawal import WithdrawCommand
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules
from coordinator.limits import (
    DEFAULT_TTL_SECONDS,
    MAX_IMPORTED_ATTEMPT,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    check_dependencies,
    check_priority,
    check_repeat_after,
)
from coordinator.model import Cause, Claim, Denial, State
from coordinator.names import check_kind, check_session
from coordinator.service.request_fields import (
    Keyed,
    check_count,
    read_distinct_from,
    read_id,
    read_request_id,
    read_text,
    read_time,
    read_token,
    read_ttl,
)
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import CAUSES, STATES, seconds_of

__all__ = [
    "acknowledge_command",
    "claim_command",
    "complete_command",
    "import_command",
    "next_command",
    "next_policies",
    "placed_as_sent",
    "read_pool_request",
    "release_command",
    "renew_command",
    "reopen_command",
    "revoke_command",
    "submit_command",
    "withdraw_command",
]


def claim_command(
    whose: pb.ClaimRequest | pb.ClaimManyRequest,
    wanted: pb.ClaimRequest | pb.ClaimItem,
    session: str,
    now: datetime,
    policy: WorkPolicy,
    key_rules: KeyRules,
) -> ClaimCommand:
    """Read one claim; of a ClaimMany ``wanted`` is the item, and ``session`` is checked already.

    ``policy`` is that of the work; a ``repeat_after`` of the request counts before it.
    """
    if isinstance(wanted, pb.ClaimRequest) and wanted.HasField("repeat_after"):
        seconds = check_repeat_after(seconds_of(wanted.repeat_after))
        policy = replace(policy, repeat_after=seconds, repeat_pattern="")
    return ClaimCommand(
        session=session,
        request_id=read_request_id(wanted.request_id),
        now=now,
        ttl_seconds=read_ttl(wanted),
        note=read_text("note", wanted.note),
        reopen=wanted.reopen,
        instance=read_id("instance", whose.instance),
        token=read_token(wanted.fencing_token),
        policy=policy,
        waits=isinstance(wanted, pb.ClaimRequest) and wanted.HasField("wait"),
        distinct_from=read_distinct_from(whose.fleet, wanted.distinct_from, key_rules),
    )


def next_command(request: pb.ClaimNextRequest, now: datetime, key_rules: KeyRules) -> ClaimCommand:
    """Read a ClaimNext, its candidates excepted."""
    return ClaimCommand(
        session=check_session(request.session),
        request_id=read_request_id(request.request_id),
        now=now,
        ttl_seconds=read_ttl(request),
        note=read_text("note", request.note),
        instance=read_id("instance", request.instance),
        one_of_many=True,
        waits=request.HasField("wait"),
        distinct_from=read_distinct_from(request.fleet, request.distinct_from, key_rules),
    )


def read_pool_request(request: pb.ClaimNextRequest) -> str:
    """Return of which kind a ClaimNext from the pool is to be, "" for any."""
    if request.candidates:
        raise InvalidInput("candidates are named, and from_pool is set; give one of them", field="candidates")
    if request.HasField("wait") and request.explain:
        raise InvalidInput("explain claims nothing, so there is nothing to wait for; leave out wait", field="wait")
    return check_kind(request.kind) if request.kind else ""


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
    return answer._replace(choice=choice._replace(place=list(request.candidates).index(keyed.typed) + 1))


def renew_command(
    whose: pb.RenewRequest | pb.RenewManyRequest, wanted: pb.RenewRequest | pb.RenewItem, session: str, now: datetime
) -> RenewCommand:
    """Read one renewal; of a RenewMany ``wanted`` is the item, and ``session`` is checked already."""
    return RenewCommand(
        session=session,
        now=now,
        ttl_seconds=read_ttl(wanted),
        note=read_text("note", wanted.note) if wanted.HasField("note") else None,
        instance=read_id("instance", whose.instance),
        token=read_token(wanted.fencing_token),
        request_id=read_id("request_id", wanted.request_id),
    )


def complete_command(request: pb.CompleteRequest, now: datetime) -> FinishCommand:
    """Read a completion."""
    return _finish_command(request, read_text("result", request.result), now)


def release_command(request: pb.ReleaseRequest, now: datetime, policy: WorkPolicy) -> FinishCommand:
    """Read a release."""
    command = _finish_command(request, read_text("reason", request.reason), now)
    return replace(command, loose_ends=policy.loose_ends, failed=request.failed, max_attempts=policy.max_attempts)


def submit_command(
    item: pb.SubmitItem, session: str, now: datetime, policy: WorkPolicy, key_rules: KeyRules
) -> SubmitCommand:
    """Read one item of a Submit; ``session`` is checked already, ``policy`` is that of the work."""
    priority = item.priority if item.HasField("priority") else None
    if priority is not None:
        check_priority(priority)
    depends: tuple[str, ...] | None = None
    if item.HasField("depends"):
        typed = item.depends.work_keys
        check_dependencies(len(typed))
        depends = tuple(dict.fromkeys(str(key_rules.parse(each)) for each in typed))
    return SubmitCommand(
        session=session,
        request_id=read_request_id(item.request_id),
        now=now,
        priority=priority,
        brief=read_text("brief", item.brief) if item.HasField("brief") else None,
        depends=None if item.withdraw else depends,
        withdraw=item.withdraw,
        reopen=item.reopen,
        repeatable=policy.repeat_after is not None,
    )


def revoke_command(request: pb.RevokeRequest, now: datetime, policy: WorkPolicy) -> RevokeCommand:
    """Read a revocation."""
    return RevokeCommand(
        request_id=read_request_id(request.request_id),
        now=now,
        reason=read_text("reason", request.reason),
        at_once=request.at_once,
        loose_ends=policy.loose_ends,
    )


def reopen_command(request: pb.ReopenRequest, now: datetime, policy: WorkPolicy) -> ReopenCommand:
    """Read a request to put completed work back."""
    reason = read_text("reason", request.reason)
    return ReopenCommand(read_request_id(request.request_id), now, reason, loose_ends=policy.loose_ends)


def import_command(
    item: pb.ImportItem, now: datetime, policy: WorkPolicy, retention_seconds: float | None, *, dry_run: bool
) -> ImportCommand:
    """Read one item of an Import; times that are a little ahead of this clock become the present."""
    state, cause = STATES.get(item.state), CAUSES.get(item.cause)
    if state is None:
        raise InvalidInput("state is missing; it must be one that work can have", field="state")
    check_count("attempt", item.attempt, 0, MAX_IMPORTED_ATTEMPT)
    if state not in (State.AVAILABLE, State.ABANDONED) or item.session:
        check_session(item.session)
    has_ended = state in (State.COMPLETED, State.ABANDONED)
    claimed_at, ended_at = read_time(item, "claimed_at", now), read_time(item, "ended_at", now)
    if has_ended != (ended_at is not None):
        raise InvalidInput(f"ended_at is {'missing' if has_ended else 'given'} for {state} work", field="ended_at")
    left = seconds_of(item.remaining)
    if (state is State.CLAIMED) != (left > 0):
        raise InvalidInput("remaining goes with claimed work, and must be above 0 then", field="remaining")
    left = min(max(left, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
    asked = DEFAULT_TTL_SECONDS if claimed_at is None else (now - claimed_at).total_seconds() + left
    brief = read_text("brief", item.brief) if item.HasField("brief") else None
    return ImportCommand(
        now=now,
        state=state,
        session=item.session or UNKNOWN_SESSION,
        attempt=item.attempt or 1,
        claimed_at=claimed_at,
        left_seconds=left,
        # It may have been renewed for hours: then that is no measure of what it was asked for.
        ttl_seconds=max(left, min(asked, DEFAULT_TTL_SECONDS)),
        ended_at=ended_at,
        cause=(cause or Cause.RELEASED) if state is State.ABANDONED else None,
        reason=read_text("reason", item.reason),
        result=read_text("result", item.result),
        note=read_text("note", item.note),
        brief="" if brief is None and state is State.AVAILABLE else brief,
        repeatable=item.repeatable and state is State.COMPLETED,
        loose_ends=policy.loose_ends,
        retention_seconds=retention_seconds,
        dry_run=dry_run,
    )


def acknowledge_command(request: pb.AcknowledgeRequest, now: datetime) -> AcknowledgeCommand:
    """Read an acknowledgement."""
    return AcknowledgeCommand(read_request_id(request.request_id), now, read_text("reason", request.reason))


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
        request_id=read_id("request_id", item.request_id),
        now=now,
        token=read_token(item.fencing_token),
        ttl_seconds=read_ttl(item),
        policies=policies,
    )


def _finish_command(request: pb.CompleteRequest | pb.ReleaseRequest, text: str, now: datetime) -> FinishCommand:
    return FinishCommand(
        session=check_session(request.session),
        request_id=read_request_id(request.request_id),
        now=now,
        text=text,
        token=read_token(request.fencing_token),
    )
