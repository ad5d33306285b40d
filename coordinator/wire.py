"""Between the model and the messages of the API, for the service and the client: enumerations, durations and times."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import model
from coordinator.diagnosis.findings import Severity
from coordinator.model import (
    Cause,
    DenialReason,
    Event,
    ImportOutcome,
    NothingFree,
    Outcome,
    PoolStanding,
    PoolState,
    Repeat,
    Similar,
    SkipReason,
    State,
    Submitted,
)
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types

__all__ = [
    "CAUSES",
    "CAUSES_ON_WIRE",
    "DENIAL_REASONS",
    "DENIAL_REASONS_ON_WIRE",
    "EVENTS",
    "EVENTS_ON_WIRE",
    "IMPORTED",
    "IMPORTED_ON_WIRE",
    "NOTHING_FREE",
    "NOTHING_FREE_ON_WIRE",
    "OUTCOMES",
    "OUTCOMES_ON_WIRE",
    "POOL_STANDINGS",
    "POOL_STANDINGS_ON_WIRE",
    "POOL_STATES",
    "POOL_STATES_ON_WIRE",
    "REPEATS",
    "REPEATS_ON_WIRE",
    "SEVERITIES",
    "SEVERITIES_ON_WIRE",
    "SIMILAR_RULES",
    "SIMILAR_RULES_ON_WIRE",
    "SKIP_REASONS",
    "SKIP_REASONS_ON_WIRE",
    "STATES",
    "STATES_ON_WIRE",
    "SUBMITTED",
    "SUBMITTED_ON_WIRE",
    "duration",
    "policy_from",
    "policy_on_wire",
    "seconds_of",
    "time_of",
    "time_or_none",
    "timestamp",
]


STATES_ON_WIRE: dict[State, types.State] = {
    State.AVAILABLE: types.STATE_AVAILABLE,
    State.CLAIMED: types.STATE_CLAIMED,
    State.COMPLETED: types.STATE_COMPLETED,
    State.ABANDONED: types.STATE_ABANDONED,
}
CAUSES_ON_WIRE: dict[Cause | None, types.Cause] = {
    None: types.CAUSE_UNSPECIFIED,
    Cause.EXPIRED: types.CAUSE_EXPIRED,
    Cause.RELEASED: types.CAUSE_RELEASED,
    Cause.REVOKED: types.CAUSE_REVOKED,
}
OUTCOMES_ON_WIRE: dict[Outcome, types.Outcome] = {
    Outcome.GRANTED: types.OUTCOME_GRANTED,
    Outcome.RENEWED: types.OUTCOME_RENEWED,
    Outcome.DENIED: types.OUTCOME_DENIED,
}
DENIAL_REASONS_ON_WIRE: dict[DenialReason, types.DenialReason] = {
    DenialReason.HELD: types.DENIAL_REASON_HELD,
    DenialReason.COMPLETED: types.DENIAL_REASON_COMPLETED,
    DenialReason.COOLDOWN: types.DENIAL_REASON_COOLDOWN,
    DenialReason.LIMIT: types.DENIAL_REASON_LIMIT,
    DenialReason.SIMILAR: types.DENIAL_REASON_SIMILAR,
}
REPEATS_ON_WIRE: dict[Repeat | None, types.Repeat] = {
    None: types.REPEAT_UNSPECIFIED,
    Repeat.NEVER: types.REPEAT_NEVER,
    Repeat.ALWAYS: types.REPEAT_ALWAYS,
    Repeat.AFTER: types.REPEAT_AFTER,
}
SIMILAR_RULES_ON_WIRE: dict[Similar | None, types.Similar] = {
    None: types.SIMILAR_UNSPECIFIED,
    Similar.OFF: types.SIMILAR_OFF,
    Similar.TELL: types.SIMILAR_TELL,
    Similar.ASK: types.SIMILAR_ASK,
}
SKIP_REASONS_ON_WIRE: dict[SkipReason, types.SkipReason] = {
    SkipReason.HELD: types.SKIP_REASON_HELD,
    SkipReason.COMPLETED: types.SKIP_REASON_COMPLETED,
    SkipReason.COOLDOWN: types.SKIP_REASON_COOLDOWN,
    SkipReason.LIMIT: types.SKIP_REASON_LIMIT,
    SkipReason.SIMILAR: types.SKIP_REASON_SIMILAR,
    SkipReason.OWN: types.SKIP_REASON_OWN,
    SkipReason.BLOCKED: types.SKIP_REASON_BLOCKED,
    SkipReason.RETURNED: types.SKIP_REASON_RETURNED,
    SkipReason.FAILED: types.SKIP_REASON_FAILED,
}
NOTHING_FREE_ON_WIRE: dict[NothingFree | None, types.NothingFree] = {
    None: types.NOTHING_FREE_UNSPECIFIED,
    NothingFree.EMPTY: types.NOTHING_FREE_EMPTY,
    NothingFree.HELD: types.NOTHING_FREE_HELD,
    NothingFree.BLOCKED: types.NOTHING_FREE_BLOCKED,
    NothingFree.FAILED: types.NOTHING_FREE_FAILED,
}
EVENTS_ON_WIRE: dict[Event, pb.WatchResponse.Event] = {
    Event.GRANTED: pb.WatchResponse.EVENT_GRANTED,
    Event.RENEWED: pb.WatchResponse.EVENT_RENEWED,
    Event.DENIED: pb.WatchResponse.EVENT_DENIED,
    Event.COMPLETED: pb.WatchResponse.EVENT_COMPLETED,
    Event.ABANDONED: pb.WatchResponse.EVENT_ABANDONED,
    Event.SUBMITTED: pb.WatchResponse.EVENT_SUBMITTED,
    Event.FAILED: pb.WatchResponse.EVENT_FAILED,
}
POOL_STATES_ON_WIRE: dict[PoolState, pb.PoolWork.State] = {
    PoolState.POOLED: pb.PoolWork.STATE_POOLED,
    PoolState.COMPLETED: pb.PoolWork.STATE_COMPLETED,
    PoolState.FAILED: pb.PoolWork.STATE_FAILED,
    PoolState.WITHDRAWN: pb.PoolWork.STATE_WITHDRAWN,
}
POOL_STANDINGS_ON_WIRE: dict[PoolStanding, pb.PoolEntry.State] = {
    PoolStanding.AVAILABLE: pb.PoolEntry.STATE_AVAILABLE,
    PoolStanding.HELD: pb.PoolEntry.STATE_HELD,
    PoolStanding.BLOCKED: pb.PoolEntry.STATE_BLOCKED,
    PoolStanding.RETURNED: pb.PoolEntry.STATE_RETURNED,
    PoolStanding.FAILED: pb.PoolEntry.STATE_FAILED,
}
SUBMITTED_ON_WIRE: dict[Submitted, pb.Submission.Outcome] = {
    Submitted.CREATED: pb.Submission.OUTCOME_CREATED,
    Submitted.UPDATED: pb.Submission.OUTCOME_UPDATED,
    Submitted.WITHDRAWN: pb.Submission.OUTCOME_WITHDRAWN,
}
IMPORTED_ON_WIRE: dict[ImportOutcome, pb.Imported.Outcome] = {
    ImportOutcome.IMPORTED: pb.Imported.OUTCOME_IMPORTED,
    ImportOutcome.KNOWN: pb.Imported.OUTCOME_KNOWN,
    ImportOutcome.TOO_OLD: pb.Imported.OUTCOME_TOO_OLD,
}
SEVERITIES_ON_WIRE: dict[Severity, pb.Severity] = {
    Severity.OK: pb.SEVERITY_OK,
    Severity.WARNING: pb.SEVERITY_WARNING,
    Severity.PROBLEM: pb.SEVERITY_PROBLEM,
}

STATES = {number: state for state, number in STATES_ON_WIRE.items()}
CAUSES = {number: cause for cause, number in CAUSES_ON_WIRE.items()}
OUTCOMES = {number: outcome for outcome, number in OUTCOMES_ON_WIRE.items()}
DENIAL_REASONS = {number: reason for reason, number in DENIAL_REASONS_ON_WIRE.items()}
REPEATS = {number: repeat for repeat, number in REPEATS_ON_WIRE.items()}
SIMILAR_RULES = {number: rule for rule, number in SIMILAR_RULES_ON_WIRE.items()}
SKIP_REASONS = {number: reason for reason, number in SKIP_REASONS_ON_WIRE.items()}
NOTHING_FREE = {number: why for why, number in NOTHING_FREE_ON_WIRE.items()}
POOL_STATES = {number: state for state, number in POOL_STATES_ON_WIRE.items()}
POOL_STANDINGS = {number: standing for standing, number in POOL_STANDINGS_ON_WIRE.items()}
SUBMITTED = {number: outcome for outcome, number in SUBMITTED_ON_WIRE.items()}
IMPORTED = {number: outcome for outcome, number in IMPORTED_ON_WIRE.items()}
EVENTS = {number: event for event, number in EVENTS_ON_WIRE.items()}
SEVERITIES = {number: severity for severity, number in SEVERITIES_ON_WIRE.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration(seconds: float) -> Duration:
    """Write a number of seconds."""
    whole, fraction = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=fraction)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Write a time."""
    if moment is None:
        return None
    # What Timestamp.FromDatetime does, in a fifth of the time.
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def seconds_of(message: Duration) -> float:
    """Read a number of seconds."""
    return message.seconds + message.nanos / 1e9


def time_of(message: Timestamp) -> datetime:
    """Read a time."""
    return message.ToDatetime(tzinfo=UTC)


def time_or_none(
    message: types.Record
    | types.Denial
    | types.Skipped
    | types.SimilarTopic
    | types.PreviousAttempt
    | types.HistoryEntry
    | pb.HotKey
    | pb.ImportItem
    | pb.PoolWork
    | pb.PoolEntry
    | pb.WatchResponse
    | pb.Progress,
    field: str,
) -> datetime | None:
    """Read a time that may be left out."""
    return time_of(getattr(message, field)) if message.HasField(field) else None


def policy_on_wire(policy: model.Policy) -> types.Policy:
    """Write a policy."""
    after = policy.repeat_after_seconds
    message = types.Policy(
        pattern=policy.pattern,
        repeat=REPEATS_ON_WIRE[policy.repeat],
        repeat_after=None if after is None else duration(after),
        max_live=policy.max_live,
        max_attempts=policy.max_attempts,
        built_in=policy.built_in,
        similar=SIMILAR_RULES_ON_WIRE[policy.similar],
    )
    if policy.loose_ends is not None:
        message.loose_ends = policy.loose_ends
    return message


def policy_from(message: types.Policy) -> model.Policy:
    """Read a policy; a ``repeat`` or ``similar`` of a newer version is as none."""
    return model.Policy(
        pattern=message.pattern,
        repeat=REPEATS.get(message.repeat),
        repeat_after_seconds=seconds_of(message.repeat_after) if message.HasField("repeat_after") else None,
        max_live=message.max_live if message.HasField("max_live") else None,
        max_attempts=message.max_attempts if message.HasField("max_attempts") else None,
        loose_ends=message.loose_ends if message.HasField("loose_ends") else None,
        built_in=message.built_in,
        similar=SIMILAR_RULES.get(message.similar),
    )
