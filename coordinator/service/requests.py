"""From request messages to the commands of the engine.

Invariant: every command of the engine is built here and nowhere else, from fields that ``request_fields.py`` has
checked, so nothing reaches the engine unchecked; every refusal names the field and what is allowed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from coordinator.engine.acknowledge import AcknowledgeCommand
from coordinator.engine.briefing.briefing import BriefingCommand
from coordinator.engine.briefing.scope import Scope
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.events import EventFilter
from coordinator.engine.finish import FinishCommand
from coordinator.engine.hot_keys import HotCommand
from coordinator.engine.import_work import UNKNOWN_SESSION, ImportCommand
from coordinator.engine.layout import NoSession
from coordinator.engine.listing import ListCommand, LogCommand
from coordinator.engine.policy import PolicyBook, RepeatingBook, WorkPolicy
from coordinator.engine.pool.submit import SubmitCommand
from coordinator.engine.renew import RenewCommand
from coordinator.engine.reopen import ReopenCommand
from coordinator.engine.revoke import RevokeCommand
from coordinator.engine.withdrawal import WithdrawCommand
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules
from coordinator.limits import (
    DEFAULT_BRIEFED_SECONDS,
    DEFAULT_BRIEFING_CHARACTERS,
    DEFAULT_HOT_KEYS,
    DEFAULT_HOT_SECONDS,
    DEFAULT_TTL_SECONDS,
    MAX_BRIEFED_KINDS,
    MAX_HOT_KEYS,
    MAX_IMPORTED_ATTEMPT,
    MAX_MAX_ATTEMPTS,
    MAX_MAX_LIVE,
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    check_briefing_characters,
    check_dependencies,
    check_page_size,
    check_priority,
    check_repeat_after,
)
from coordinator.model import Cause, Claim, Denial, Policy, PoolStanding, Repeat, Similar, State
from coordinator.names import check_kind, check_session, check_session_filter
from coordinator.service.next import PoolListing
from coordinator.service.request_fields import (
    Keyed,
    check_count,
    read_distinct_from,
    read_id,
    read_max_age,
    read_request_id,
    read_states,
    read_text,
    read_time,
    read_token,
    read_ttl,
)
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import CAUSES, POOL_STANDINGS, REPEATS, SIMILAR_RULES, STATES, policy_from, seconds_of

__all__ = [
    "acknowledge_command",
    "briefing_command",
    "claim_command",
    "complete_command",
    "event_filter",
    "hot_command",
    "import_command",
    "list_command",
    "log_command",
    "next_command",
    "next_policies",
    "placed_as_sent",
    "policy_of",
    "pool_listing",
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
    return replace(answer, choice=choice._replace(place=list(request.candidates).index(keyed.typed) + 1))


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


def policy_of(request: pb.SetPolicyRequest, key_rules: KeyRules) -> Policy:
    """Read the policy that is to be set."""
    wanted = request.policy
    policy = replace(policy_from(wanted), pattern=key_rules.parse_pattern(wanted.pattern), built_in=False)
    if wanted.repeat not in REPEATS:
        raise InvalidInput(f"{wanted.repeat} is not a repeat; allowed are {', '.join(Repeat)}", field="repeat")
    if policy.repeat is Repeat.AFTER:
        check_repeat_after(policy.repeat_after_seconds or 0.0)
    elif policy.repeat_after_seconds is not None:
        raise InvalidInput("repeat_after is given without repeat=after", field="repeat_after")
    check_count("max_live", policy.max_live, 0, MAX_MAX_LIVE)
    check_count("max_attempts", policy.max_attempts, 1, MAX_MAX_ATTEMPTS)
    if wanted.similar not in SIMILAR_RULES:
        raise InvalidInput(f"{wanted.similar} is not allowed; allowed are {', '.join(Similar)}", field="similar")
    if policy == Policy(policy.pattern):
        raise InvalidInput(
            "the policy sets nothing; it must set repeat, max_live, max_attempts, loose_ends or similar",
            field="policy",
            hint="`policy unset` takes one away",
        )
    return policy


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


def list_command(request: pb.ListRequest) -> ListCommand:
    """Read a request to list."""
    return ListCommand(
        states=read_states(request.states),
        kind=check_kind(request.kind) if request.kind else "",
        session=check_session_filter(request.session) if request.session else "",
        page_size=check_page_size(request.page_size),
        page_token=request.page_token,
    )


def pool_listing(request: pb.ListPoolRequest) -> PoolListing:
    """Read a request to list what is in the pool."""
    for state in request.states:
        if state not in POOL_STANDINGS:
            allowed = ", ".join(PoolStanding)
            raise InvalidInput(f"{state} is no state of work in the pool; allowed are {allowed}", field="states")
    return PoolListing(
        states=frozenset(POOL_STANDINGS[state] for state in request.states),
        kind=check_kind(request.kind) if request.kind else "",
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
        session=check_session_filter(request.session) if request.session else "",
        now=now,
        since=since,
        page_size=check_page_size(request.page_size),
        page_token=request.page_token,
    )


def briefing_command(request: pb.BriefingRequest, key_rules: KeyRules, now: datetime) -> BriefingCommand:
    """Read a request for a briefing."""
    if len(request.kinds) > MAX_BRIEFED_KINDS:
        raise InvalidInput(f"{len(request.kinds)} kinds; allowed are at most {MAX_BRIEFED_KINDS}", field="kinds")
    seconds = read_max_age(request, DEFAULT_BRIEFED_SECONDS)
    characters = request.max_characters or DEFAULT_BRIEFING_CHARACTERS
    check_briefing_characters(characters)
    kinds = tuple(dict.fromkeys(check_kind(kind) for kind in request.kinds))
    repository = key_rules.parse_repository(request.repository) if request.repository else ""
    session = check_session(request.session) if request.session else ""
    return BriefingCommand(now, Scope(kinds, repository), seconds, characters, session)


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
        max_age_seconds=read_max_age(request, DEFAULT_HOT_SECONDS),
    )


def event_filter(request: pb.WatchRequest) -> EventFilter:
    """Read which events a watcher wants."""
    return EventFilter(
        kind=check_kind(request.kind) if request.kind else "",
        session=check_session_filter(request.session) if request.session else "",
    )


def _finish_command(request: pb.CompleteRequest | pb.ReleaseRequest, text: str, now: datetime) -> FinishCommand:
    return FinishCommand(
        session=check_session(request.session),
        request_id=read_request_id(request.request_id),
        now=now,
        text=text,
        token=read_token(request.fencing_token),
    )
