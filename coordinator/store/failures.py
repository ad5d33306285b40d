"""What a failed call to etcd says of the request: whether it can have taken effect, and whether to send it again.

Codes and texts are those of etcd 3.4 to 3.6, ``api/v3rpc/rpctypes/error.go``.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import grpc

from coordinator.errors import InternalError, LimitExceeded, Unavailable
from coordinator.transport import Failure, was_never_sent

__all__ = ["Judgement", "LeaseExists", "LeaseGone", "Verdict", "judge"]


class LeaseGone(Exception):
    """The lease that a claim was to be bound to does not exist any more; nothing was written.

    That is definite even where an earlier try of the same transaction is in doubt: had that one applied, the
    comparisons would have led this one down the other branch, where no lease is named.
    """


class LeaseExists(Exception):
    """A lease of that id exists: an earlier try of the same grant has succeeded."""


class Verdict(Enum):
    """What is known of the request."""

    #: Not applied by this try; another try may succeed.
    NOT_APPLIED = "not applied"
    #: Applied or not, or yet to be applied; another try is needed to find out.
    UNKNOWN = "unknown"
    #: Not applied by this try, and another try would end the same way.
    REFUSED = "refused"
    #: It is known what became of the request, over all tries.
    DEFINITE = "definite"


#: gRPC uses the last two for connections that broke under a request, and etcd the last for proposals that were dropped
#: while leadership was handed over.
_IN_DOUBT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)


class Judgement(NamedTuple):
    """A verdict, and the error that stands for it where no further try follows."""

    verdict: Verdict
    error: Exception


def judge(failure: Failure, *, call: str, member: str) -> Judgement:
    """Judge the failure of ``call``, the path of a method, at ``member``, ``HOST:PORT``."""
    code, details = failure.code(), failure.details() or ""
    if was_never_sent(failure):
        error = Unavailable(
            f"etcd at {member} cannot be reached",
            hint="see whether it is running; nothing was changed",
            retry_after_seconds=1.0,
        )
        return Judgement(Verdict.NOT_APPLIED, error)
    if code is grpc.StatusCode.NOT_FOUND and "lease not found" in details:
        return Judgement(Verdict.DEFINITE, LeaseGone(details))
    if code is grpc.StatusCode.FAILED_PRECONDITION and "lease already exists" in details:
        return Judgement(Verdict.DEFINITE, LeaseExists(details))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _judge_exhausted(details)
    if code is grpc.StatusCode.UNAVAILABLE and "no leader" in details:
        error = Unavailable("etcd has no leader", hint="nothing was changed; try again", retry_after_seconds=1.0)
        return Judgement(Verdict.NOT_APPLIED, error)
    if code in _IN_DOUBT:
        why = "did not answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else f"failed: {details}"
        return Judgement(Verdict.UNKNOWN, Unavailable(f"etcd at {member} {why}", retry_after_seconds=1.0))
    refusal = InternalError(f"etcd refused {call} with {code.name}: {details}")
    # Too many operations, a key written twice, too large: that depends on nothing but the request.
    return Judgement(Verdict.DEFINITE if code is grpc.StatusCode.INVALID_ARGUMENT else Verdict.REFUSED, refusal)


def _judge_exhausted(details: str) -> Judgement:
    if "too many requests" in details:
        error = LimitExceeded("etcd has too many requests waiting", hint="try again", retry_after_seconds=1.0)
        return Judgement(Verdict.NOT_APPLIED, error)
    if "database space exceeded" in details:
        error = LimitExceeded(
            "etcd's storage quota is used up, so that nothing can be written",
            hint="compact, defragment and disarm the alarm, or raise the quota",
            retry_after_seconds=60.0,
        )
        return Judgement(Verdict.REFUSED, error)
    if "larger than max" in details:
        return Judgement(Verdict.DEFINITE, InternalError(f"the request is too large for etcd: {details}"))
    return Judgement(Verdict.REFUSED, LimitExceeded(f"etcd refused the request: {details}", retry_after_seconds=1.0))
