"""The fields of requests, each checked: ids, texts, times, counts, and the fleet and work key of a request.

Invariant: every refusal names the field and what is allowed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from coordinator.engine.layout import FleetPaths, NoSession, WorkPaths
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules, WorkKey
from coordinator.limits import (
    MAX_BRIEFED_SECONDS,
    MAX_ID_BYTES,
    MAX_ITEMS,
    MAX_TEXT_BYTES,
    check_distinct_from,
    check_ttl,
    check_wait,
)
from coordinator.model import State
from coordinator.names import check_fleet, check_session, check_text
from coordinator.time_text import format_time
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import STATES, seconds_of, time_or_none

__all__ = [
    "Keyed",
    "change_request_id",
    "check_count",
    "check_items",
    "check_min_age",
    "check_revision",
    "new_request_id",
    "read_distinct_from",
    "read_id",
    "read_max_age",
    "read_request_id",
    "read_states",
    "read_text",
    "read_time",
    "read_token",
    "read_ttl",
    "read_wait",
    "sender_of",
]

#: 292 years, which is what a Go duration can hold: beyond any claim's age.
_MAX_AGE_SECONDS = 2**63 / 1e9
#: How far the clocks of two hosts may differ before a time counts as one of the future.
_CLOCK_ALLOWANCE = timedelta(minutes=10)
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
    def of(cls, request: _HasKey, key_rules: KeyRules) -> Keyed:
        """Read them from a request."""
        return cls.read(request.fleet, request.work_key, key_rules)

    @classmethod
    def read(cls, fleet: str, typed: str, key_rules: KeyRules) -> Keyed:
        """Read them as they came."""
        return _read_keyed(fleet, typed, key_rules)


# Sessions of a fleet ask for the same work: of a list of 1,000 candidates each would read all of them again.
@lru_cache(maxsize=_KEYS_KEPT)
def _read_keyed(fleet: str, typed: str, key_rules: KeyRules) -> Keyed:
    fleet = check_fleet(fleet)
    work_key = key_rules.parse(typed)
    return Keyed(fleet, work_key, typed, FleetPaths(fleet).of(work_key))


def check_items(count: int) -> None:
    """Check how many items a call has."""
    if not 1 <= count <= MAX_ITEMS:
        raise InvalidInput(f"{count} items; allowed are 1 to {MAX_ITEMS}", field="items")


def new_request_id() -> str:
    """Make up a request id for a caller who named none."""
    return uuid.uuid4().hex


def change_request_id(request: pb.SetPolicyRequest | pb.UnsetPolicyRequest) -> str:
    """Return the id of a request to change a policy, made up where it has none."""
    return read_request_id(request.request_id)


def check_count(field: str, value: int | None, least: int, most: int) -> None:
    """Check a number of a policy, None where the policy does not set it."""
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"a {field} of {value} is out of range; allowed are {least} to {most}", field=field)


def sender_of(request: pb.WithdrawRequest) -> str | NoSession:
    """Read whose requests are to be withdrawn."""
    if request.session and request.acknowledgements:
        raise InvalidInput("acknowledgements name no session; leave it empty to withdraw them", field="session")
    if request.session:
        return check_session(request.session)
    return NoSession.ACKNOWLEDGER if request.acknowledgements else NoSession.OPERATOR


def check_min_age(request: pb.ReapRequest) -> float:
    """Return the least age in seconds."""
    seconds = seconds_of(request.min_age) if request.HasField("min_age") else 0.0
    if not 0 <= seconds <= _MAX_AGE_SECONDS:
        raise InvalidInput(f"a min_age of {seconds:g} s is out of range; it must be 0 or more", field="min_age")
    return seconds


def check_revision(field: str, revision: int) -> int:
    """Return a revision of the store, 0 where none is named."""
    if revision < 0:
        raise InvalidInput(f"{revision} is not a revision; it must be above 0, or 0 for from now on", field=field)
    return revision


def read_distinct_from(fleet: str, typed: Sequence[str], key_rules: KeyRules) -> tuple[WorkPaths, ...]:
    """Return the topics that work is said to be distinct from, each once."""
    if not typed:
        return ()
    check_distinct_from(len(typed))
    try:
        keys = dict.fromkeys(key_rules.parse(each) for each in typed)
    except InvalidInput as error:
        raise InvalidInput(
            f"distinct_from names what is no work key: {error.message}", hint=error.hint, field="distinct_from"
        ) from None
    return tuple(FleetPaths(check_fleet(fleet)).of(key) for key in keys)


def read_id(field: str, value: str) -> str:
    """Return an identifier chosen by the caller."""
    return check_text(field, value, MAX_ID_BYTES)


def read_request_id(value: str) -> str:
    """Return the id of a request, made up where the caller named none."""
    return read_id("request_id", value) or new_request_id()


def read_token(token: int) -> int:
    """Return a fencing token, 0 where none is named."""
    if token < 0:
        raise InvalidInput(f"{token} is not a fencing token; it must be above 0, or 0 for none", field="fencing_token")
    return token


def read_text(field: str, value: str) -> str:
    """Return a note, reason or result."""
    return check_text(field, value, MAX_TEXT_BYTES)


def read_time(item: pb.ImportItem, field: str, now: datetime) -> datetime | None:
    """Return a time of the past, None where it has none; one that clocks may disagree about becomes ``now``."""
    try:
        moment = time_or_none(item, field)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{field} is not a time between the years 1 and 9999", field=field) from None
    if moment is None:
        return None
    if moment > now + _CLOCK_ALLOWANCE:
        raise InvalidInput(f"{field} is {format_time(moment)}, which is in the future", field=field)
    return min(moment, now)


def read_ttl(
    request: pb.ClaimRequest | pb.ClaimNextRequest | pb.RenewRequest | pb.ClaimItem | pb.RenewItem | pb.WithdrawItem,
) -> float | None:
    """Return the ttl in seconds, None where the request has none."""
    return check_ttl(seconds_of(request.ttl)) if request.HasField("ttl") else None


def read_wait(request: pb.ClaimRequest | pb.ClaimNextRequest) -> float:
    """Return how long to wait, in seconds."""
    return check_wait(seconds_of(request.wait))


def read_max_age(request: pb.BriefingRequest | pb.HotRequest, default: float) -> float:
    """Return how far back to look, in seconds."""
    seconds = seconds_of(request.max_age) if request.HasField("max_age") else default
    if not 0 < seconds <= MAX_BRIEFED_SECONDS:
        raise InvalidInput(f"a max_age of {seconds:g} s is out of range; it must be above 0", field="max_age")
    return seconds


def read_states(states: Sequence[types.State]) -> frozenset[State]:
    """Return a filter of states."""
    for state in states:
        # proto3 lets numbers through that no enumerator has.
        if state not in STATES:
            raise InvalidInput(f"{state} is not a state; allowed are {', '.join(State)}", field="states")
    return frozenset(STATES[state] for state in states)
