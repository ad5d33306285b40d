"""Between the model's enumerations and those of the API, for the service and the client."""

from __future__ import annotations

from coordinator.findings import Severity
from coordinator.model import Cause, DenialReason, Event, Outcome, State
from coordinator.v1 import service_pb2 as service
from coordinator.v1 import types_pb2 as types

__all__ = [
    "CAUSES",
    "CAUSES_ON_WIRE",
    "DENIAL_REASONS",
    "DENIAL_REASONS_ON_WIRE",
    "EVENTS",
    "EVENTS_ON_WIRE",
    "OUTCOMES",
    "OUTCOMES_ON_WIRE",
    "SEVERITIES",
    "SEVERITIES_ON_WIRE",
    "STATES",
    "STATES_ON_WIRE",
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
}
EVENTS_ON_WIRE: dict[Event, service.WatchResponse.Event] = {
    Event.GRANTED: service.WatchResponse.EVENT_GRANTED,
    Event.RENEWED: service.WatchResponse.EVENT_RENEWED,
    Event.DENIED: service.WatchResponse.EVENT_DENIED,
    Event.COMPLETED: service.WatchResponse.EVENT_COMPLETED,
    Event.ABANDONED: service.WatchResponse.EVENT_ABANDONED,
}
SEVERITIES_ON_WIRE: dict[Severity, service.Severity] = {
    Severity.OK: service.SEVERITY_OK,
    Severity.WARNING: service.SEVERITY_WARNING,
    Severity.PROBLEM: service.SEVERITY_PROBLEM,
}

STATES = {number: state for state, number in STATES_ON_WIRE.items()}
CAUSES = {number: cause for cause, number in CAUSES_ON_WIRE.items()}
OUTCOMES = {number: outcome for outcome, number in OUTCOMES_ON_WIRE.items()}
DENIAL_REASONS = {number: reason for reason, number in DENIAL_REASONS_ON_WIRE.items()}
EVENTS = {number: event for event, number in EVENTS_ON_WIRE.items()}
SEVERITIES = {number: severity for severity, number in SEVERITIES_ON_WIRE.items()}
