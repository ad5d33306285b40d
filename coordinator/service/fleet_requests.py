"""From request messages about a fleet to the engine's commands: lists, logs, briefings, policies and watches.

``requests.py`` has those about claims and work; its invariant holds here too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from coordinator.engine.briefing.briefing import BriefingCommand
from coordinator.engine.briefing.scope import Scope
from coordinator.engine.events import EventFilter
from coordinator.engine.hot_keys import HotCommand
from coordinator.engine.listing import ListCommand, LogCommand
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules
from coordinator.limits import (
    DEFAULT_BRIEFED_SECONDS,
    DEFAULT_BRIEFING_CHARACTERS,
    DEFAULT_HOT_KEYS,
    DEFAULT_HOT_SECONDS,
    MAX_BRIEFED_KINDS,
    MAX_HOT_KEYS,
    MAX_MAX_ATTEMPTS,
    MAX_MAX_LIVE,
    check_briefing_characters,
    check_page_size,
    check_repeat_after,
)
from coordinator.model import Policy, PoolStanding, Repeat, Similar
from coordinator.names import check_kind, check_session, check_session_filter
from coordinator.service.next import PoolListing
from coordinator.service.request_fields import (
    check_count,
    read_max_age,
    read_states,
)
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import POOL_STANDINGS, REPEATS, SIMILAR_RULES, policy_from

__all__ = [
    "briefing_command",
    "event_filter",
    "hot_command",
    "list_command",
    "log_command",
    "policy_of",
    "pool_listing",
]


def policy_of(request: pb.SetPolicyRequest, key_rules: KeyRules) -> Policy:
    """Read the policy that is to be set."""
    wanted = request.policy
    policy = policy_from(wanted)._replace(pattern=key_rules.parse_pattern(wanted.pattern), built_in=False)
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
