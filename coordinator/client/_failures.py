"""What the failure of a try says: the error that it stands for, and how much that error tells.

Invariant: what may have taken effect is told as ``OutcomeUnknown``, never as undone.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc

from coordinator.client._answers import error_from
from coordinator.client._failover import Told
from coordinator.client._security import Security, explain
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable, error_for_code
from coordinator.quotation import line
from coordinator.transport import ERROR_METADATA_KEY, Failure, is_stranger, was_never_sent
from coordinator.v1 import types_pb2 as types

__all__ = ["Failed", "failed", "no_answer"]

#: How calls end that no coordinator has answered. One that stops, or has too many waiting, cancels those that it has
#: not taken up; gRPC uses the last two for connections that broke under a call.
_BROKEN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


class Failed(NamedTuple):
    """How a try failed."""

    problem: CoordinatorError
    told: Told


def failed(failure: Failure, *, endpoint: str, request_id: str | None, security: Security) -> Failed:
    """Turn a failed call into one of our errors: the coordinator's own where it sent one, else what its absence means.

    ``request_id`` is None for a request that changes nothing.
    """
    for key, value in failure.trailing_metadata() or ():
        if key == ERROR_METADATA_KEY and isinstance(value, bytes):
            return Failed(error_from(types.ErrorDetail.FromString(value)), Told.BY_COORDINATOR)
    if is_stranger(failure):
        problem = Unavailable(
            f"what answers at {endpoint} is not a coordinator",
            hint="name the address that a coordinator's ready line calls grpc, neither its metrics' nor etcd's",
        )
        return Failed(problem, Told.WHY_ABSENT)
    if was_never_sent(failure):
        return _unsent(failure.details() or "", endpoint, security)
    code = failure.code()
    if code in _BROKEN:
        why = "did not answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else "went away before it answered"
        return Failed(no_answer(endpoint, request_id, why), Told.LOST)
    return Failed(error_for_code(code.name)(line(failure.details() or "") or None), Told.BY_COORDINATOR)


def no_answer(endpoint: str, request_id: str | None, why: str = "did not answer in time") -> CoordinatorError:
    """Return the error for a request that was sent and not answered; one without ``request_id`` changes nothing."""
    if request_id is None:
        return Unavailable(f"the coordinator at {endpoint} {why}", hint="try again")
    unknown = OutcomeUnknown(f"the coordinator at {endpoint} {why}: the outcome is unknown")
    unknown.name_request(request_id)
    return unknown


def _unsent(details: str, endpoint: str, security: Security) -> Failed:
    why_not = explain(details, endpoint, security)
    if why_not is not None:
        return Failed(Unavailable(why_not.message, hint=why_not.hint), Told.WHY_ABSENT)
    problem = Unavailable(
        f"no coordinator answers at {endpoint}",
        hint="start one with `coordination up`, or say where it is with --endpoint or COORDINATION_ENDPOINT",
    )
    return Failed(problem, Told.SLOW if "timed out" in details.lower() else Told.ABSENT)
