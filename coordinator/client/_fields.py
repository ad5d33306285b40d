"""The arguments of calls: checked for what cannot be sent, and turned into the fields of requests.

Everything here raises ``InvalidInput`` that names the field. Whatever can be sent, the coordinator checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import model
from coordinator.client._ids import new_id
from coordinator.errors import InvalidInput
from coordinator.limits import (
    MAX_CANDIDATES,
    MAX_DEPENDENCIES,
    MAX_DISTINCT_FROM,
    MAX_ITEMS,
    check_dependencies,
    check_distinct_from,
    check_priority,
    check_wait,
)
from coordinator.names import check_no_reference, check_session
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import (
    CAUSES_ON_WIRE,
    POOL_STANDINGS_ON_WIRE,
    REPEATS_ON_WIRE,
    SIMILAR_RULES_ON_WIRE,
    STATES_ON_WIRE,
    seconds_of,
)

__all__ = [
    "candidates",
    "distinct_from",
    "duration",
    "flag",
    "foreign_work",
    "integer",
    "moment",
    "new_work",
    "only",
    "parts",
    "policy",
    "request_id",
    "session",
    "several",
    "shown",
    "standings",
    "states",
    "text",
    "wait",
]

T = TypeVar("T")
Item = TypeVar("Item", pb.ClaimItem, pb.SubmitItem, pb.ImportItem)
#: The longest duration that is sent at all, in seconds, and how much of a wrong value an error repeats.
_MOST_SECONDS, _MOST_SHOWN = 10**10, 60
#: Items of one request, and their bytes: coordinators take 1 MiB, and the rest of the request needs some of it.
_MOST_ITEMS, _MOST_BYTES = MAX_ITEMS, 900 * 1024


def shown(value: object) -> str:
    """Return what an error repeats of a wrong value: no more than ``_MOST_SHOWN`` characters of it."""
    if isinstance(value, int) and abs(value) >= 10**_MOST_SHOWN:
        return "a whole number of more than 60 digits"
    try:
        found = repr(value)
    except Exception:  # noqa: BLE001  # whatever a stranger's repr() does, there is a sentence
        return f"of type {type(value).__name__}"
    return found if len(found) <= _MOST_SHOWN else f"{found[: _MOST_SHOWN - 1]}…"


def text(field: str, value: str) -> str:
    """Return ``value`` if it can be sent: a str without lone surrogates. ``InvalidInput`` otherwise."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be a str, not {type(value).__name__}", field=field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{field} is not valid UTF-8; only text in UTF-8 is allowed", field=field, hint="check the shell's locale"
        ) from None
    return value


def only(field: str, value: str | None) -> str:
    """Return what a list is restricted to, "" for None: no restriction. ``InvalidInput`` for an empty text.

    An empty one is mostly a variable that is not set, and would list all sessions' work where that of one was meant.
    """
    if value is None:
        return ""
    if not text(field, value).strip():
        raise InvalidInput(f"{field} is empty; None, the default, means no restriction", field=field)
    return value


def session(value: str) -> str:
    """Return the session that acts; ``InvalidInput`` unless a session can have that name, and for a work key."""
    return check_session(check_no_reference(text("session", value)))


def integer(field: str, value: int | None, most: int = 2**63 - 1) -> int:
    """Return a whole number from 0 to ``most``, 0 for None; ``InvalidInput`` for anything else."""
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidInput(f"{field} must be a whole number from 0 to {most}; it is {shown(value)}", field=field)
    return value


def flag(field: str, value: bool) -> bool:
    """Return a bool; ``InvalidInput`` for anything else."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{field} must be True or False; it is {shown(value)}", field=field)
    return value


def duration(field: str, value: float | timedelta | None) -> Duration | None:
    """Turn seconds or a timedelta into a message; ``InvalidInput`` where it is not a finite number ≥ 0."""
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0 or seconds == math.inf:
        raise InvalidInput(
            f"{field} must be a number of seconds or a timedelta, not below 0; it is {shown(value)}", field=field
        )
    if seconds > _MOST_SECONDS:
        raise InvalidInput(f"{field} is too long: {shown(value)}; it is a number of seconds", field=field)
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def wait(value: float | timedelta | None) -> float | None:
    """Return how long to wait in seconds, None for not at all; ``InvalidInput`` for what is out of range."""
    return None if value is None else check_wait(seconds_of(duration("wait", value) or Duration()))


def policy(
    pattern: str,
    repeat: model.Repeat | str | float | timedelta | None,
    max_live: int | None,
    max_attempts: int | None,
    loose_ends: bool | None,
    similar: model.Similar | str | None,
) -> types.Policy:
    """Write a policy; ``InvalidInput`` for a ``repeat`` that is neither ``never`` nor ``always`` nor a duration."""
    message = types.Policy(pattern=text("pattern", pattern))
    if repeat in (model.Repeat.NEVER, model.Repeat.ALWAYS):
        message.repeat = REPEATS_ON_WIRE[model.Repeat(str(repeat))]
    elif isinstance(repeat, str):
        raise InvalidInput(
            f"repeat must be never, always or a duration, not {shown(repeat)}",
            field="repeat",
            hint="give a duration in seconds or as a timedelta",
        )
    elif (after := duration("repeat", repeat)) is not None:
        message.repeat = types.REPEAT_AFTER
        message.repeat_after.CopyFrom(after)
    if max_live is not None:
        message.max_live = integer("max_live", max_live)
    if max_attempts is not None:
        message.max_attempts = integer("max_attempts", max_attempts)
    if loose_ends is not None:
        message.loose_ends = flag("loose_ends", loose_ends)
    if similar is not None:
        if similar not in list(model.Similar):
            raise InvalidInput(f"similar must be off, tell or ask, not {shown(similar)}", field="similar")
        message.similar = SIMILAR_RULES_ON_WIRE[model.Similar(similar)]
    return message


def moment(field: str, value: datetime | None) -> Timestamp | None:
    """Turn a time with its zone into a message."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidInput(f"{field} must be a datetime with a time zone; it is {shown(value)}", field=field)
    if value.utcoffset() is None:
        raise InvalidInput(f"{field} must carry a time zone, for example datetime.now(UTC)", field=field)
    message = Timestamp()
    try:
        message.FromDatetime(value.astimezone(UTC))
    except (OverflowError, ValueError):
        raise InvalidInput(f"{field} must lie in the years 1 to 9999 in UTC", field=field) from None
    return message


def request_id(given: str | None) -> str:
    """Return the id of a request, made up where none is given."""
    if given is None:
        return new_id()
    if not text("request_id", given).strip():
        raise InvalidInput("request_id is empty; None, the default, makes one up", field="request_id")
    return given


def several(field: str, given: Iterable[T]) -> Iterable[T]:
    """Return several strings; ``InvalidInput`` for a single one, which would be read letter by letter, and for none."""
    if isinstance(given, str | bytes):
        raise InvalidInput(
            f"{field} takes several, not {shown(given)} alone", field=field, hint=f"write [{shown(given)}]"
        )
    if not isinstance(given, Iterable):
        raise InvalidInput(f"{field} takes several, for example a list; it is {shown(given)}", field=field)
    return given


def candidates(given: Iterable[str]) -> list[str]:
    """Return the work keys to choose from; ``InvalidInput`` if they are too many, and then not all are read."""
    found = [text("candidates", key) for key in islice(several("candidates", given), MAX_CANDIDATES + 1)]
    if len(found) > MAX_CANDIDATES:
        raise InvalidInput(
            f"more than {MAX_CANDIDATES} candidates; allowed are 1 to {MAX_CANDIDATES}",
            field="candidates",
            hint="name the work keys to choose from, the most wanted first",
        )
    return found


def distinct_from(given: Iterable[str]) -> list[str]:
    """Return the work keys of topics that work is distinct from; ``InvalidInput`` if they are too many."""
    found = [text("distinct_from", key) for key in islice(several("distinct_from", given), MAX_DISTINCT_FROM + 1)]
    check_distinct_from(len(found))
    return found


def new_work(work: model.NewWork, in_repository: Callable[[str], str], request_id: str) -> pb.SubmitItem:
    """Write work that is to be submitted; ``in_repository`` completes work keys."""
    if not isinstance(work, model.NewWork):
        raise InvalidInput(f"work is submitted as NewWork; this is {shown(work)}", field="work")
    priority = work.priority
    if priority is not None:
        if type(priority) is not int:
            raise InvalidInput(f"priority must be a whole number; it is {shown(priority)}", field="priority")
        check_priority(priority)
    depends = None
    if work.depends is not None:
        named = list(islice(several("depends", work.depends), MAX_DEPENDENCIES + 1))
        check_dependencies(len(named))
        depends = pb.Dependencies(work_keys=[in_repository(text("depends", each)) for each in named])
    return pb.SubmitItem(
        work_key=in_repository(text("key", work.key)),
        priority=priority,
        brief=None if work.brief is None else text("brief", work.brief),
        depends=depends,
        withdraw=flag("withdraw", work.withdraw),
        reopen=flag("reopen", work.reopen),
        request_id=request_id,
    )


def foreign_work(work: model.ForeignWork, in_repository: Callable[[str], str]) -> pb.ImportItem:
    """Write work that is to be imported; ``in_repository`` completes work keys."""
    if not isinstance(work, model.ForeignWork):
        raise InvalidInput(f"work is imported as ForeignWork; this is {shown(work)}", field="work")
    if work.state not in list(model.State) or work.cause not in (None, *model.Cause):
        raise InvalidInput(f"{shown(work.state)}, {shown(work.cause)} is no state with a cause", field="state")
    return pb.ImportItem(
        work_key=in_repository(text("key", work.key)),
        state=STATES_ON_WIRE[model.State(work.state)],
        session=text("session", work.session or ""),
        attempt=integer("attempt", work.attempt),
        claimed_at=moment("claimed_at", work.claimed_at),
        remaining=duration("remaining_seconds", work.remaining_seconds),
        ended_at=moment("ended_at", work.ended_at),
        cause=CAUSES_ON_WIRE[work.cause],
        reason=text("reason", work.reason or ""),
        result=text("result", work.result or ""),
        note=text("note", work.note or ""),
        brief=None if work.brief is None else text("brief", work.brief),
        repeatable=flag("repeatable", work.repeatable),
    )


def parts(items: list[Item]) -> Iterable[list[Item]]:
    """Cut items into as many requests as they need; more than may be in one are left to the coordinator to refuse."""
    if len(items) > _MOST_ITEMS:
        return [items]
    found: list[list[Item]] = [[]]
    size = 0
    for item in items:
        size += item.ByteSize()
        if size > _MOST_BYTES and found[-1]:
            found.append([])
            size = item.ByteSize()
        found[-1].append(item)
    return found


def states(given: Iterable[model.State | str]) -> list[types.State]:
    """Write a filter of states; ``InvalidInput`` for one that no record has."""
    found: list[types.State] = []
    recorded = [state for state in model.State if state is not model.State.AVAILABLE]
    for state in several("states", given):
        if state == model.State.AVAILABLE:
            raise InvalidInput(
                f"available work is not recorded, so it cannot be listed; allowed are {', '.join(recorded)}",
                field="state",
            )
        if state not in recorded:
            raise InvalidInput(f"{shown(state)} is not a state; allowed are {', '.join(recorded)}", field="state")
        found.append(STATES_ON_WIRE[model.State(state)])
    return found


def standings(given: Iterable[model.PoolStanding | str]) -> list[pb.PoolEntry.State]:
    """Write a filter of how work stands in the pool; ``InvalidInput`` for what no work can be."""
    found = []
    for state in several("states", given):
        if state not in list(model.PoolStanding):
            allowed = ", ".join(model.PoolStanding)
            raise InvalidInput(f"{shown(state)} is no state of work in the pool; allowed are {allowed}", field="states")
        found.append(POOL_STANDINGS_ON_WIRE[model.PoolStanding(state)])
    return found
