"""What the failure of a try means: the error that it stands for, and how much that error says.

Invariant: what may have taken effect is reported as ``OutcomeUnknown``, never as undone.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc

from coordinator.client._absence import absence_of, stranger_at
from coordinator.client._answers import error_from
from coordinator.client._failover import Absence, Evidence
from coordinator.client._security import Security
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable, error_for_code
from coordinator.net.channels import ERROR_METADATA_KEY, Failure, is_stranger, was_never_sent
from coordinator.quotation import line
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
    evidence: Evidence


def failed(failure: Failure, *, endpoint: str, request_id: str | None, security: Security) -> Failed:
    """Turn a failed call into one of our errors: the coordinator's own where it sent one, else what its absence means.

    ``request_id`` is None for a request that changes nothing.
    """
    for key, value in failure.trailing_metadata() or ():
        if key == ERROR_METADATA_KEY and isinstance(value, bytes):
            return Failed(error_from(types.ErrorDetail.FromString(value)), Evidence.BY_COORDINATOR)
    if is_stranger(failure):
        return _absent(stranger_at(failure, endpoint))
    if was_never_sent(failure):
        return _absent(absence_of(failure.details() or "", endpoint, security))
    code = failure.code()
    if code in _BROKEN:
        why = "did not answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else "went away before it answered"
        return Failed(no_answer(endpoint, request_id, why), Evidence.LOST)
    return Failed(error_for_code(code.name)(line(failure.details() or "") or None), Evidence.BY_COORDINATOR)


def no_answer(endpoint: str, request_id: str | None, why: str = "did not answer in time") -> CoordinatorError:
    """Return the error for a request that was sent and not answered; one without ``request_id`` changes nothing."""
    if request_id is None:
        return Unavailable(f"the coordinator at {endpoint} {why}", hint="try again")
    unknown = OutcomeUnknown(f"the coordinator at {endpoint} {why}: the outcome is unknown")
    unknown.name_request(request_id)
    return unknown


def _absent(absence: Absence) -> Failed:
    return Failed(Unavailable(absence.message, hint=absence.hint), absence.evidence)
