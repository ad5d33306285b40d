"""What a failed call to etcd says of the request: whether it can have taken effect, and whether to send it again.

Codes and texts are those of etcd 3.4 to 3.6, ``api/v3rpc/rpctypes/error.go``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import grpc

from coordinator.errors import InternalError, LimitExceeded, Unavailable
from coordinator.net.channels import Failure, is_stranger, was_never_sent
from coordinator.quotation import line

__all__ = [
    "QUORUM_HINT",
    "AnswerTooLarge",
    "AuthenticationOff",
    "Judgement",
    "LeaseExists",
    "LeaseGone",
    "LoginRefused",
    "NoSpace",
    "RevisionGone",
    "Verdict",
    "judge",
    "silence",
]


class LeaseGone(Exception):
    """The lease that a claim was to be bound to does not exist any more; nothing was written.

    That is definite even where an earlier try of the same transaction is in doubt: had that one applied, the
    comparisons would have led this one down the other branch, where no lease is named.
    """


class LeaseExists(Exception):
    """A lease of that id exists: an earlier try of the same grant has succeeded."""


class RevisionGone(Unavailable):
    """The revision that was to be read is compacted away, or not there yet: the store was restored from a backup."""


class AnswerTooLarge(LimitExceeded):
    """etcd's answer is larger than we take. What was asked for has been done."""


class NoSpace(LimitExceeded):
    """etcd's quota is used up. A transaction may have been applied all the same (see ``no_space_outcome``)."""


class AuthenticationOff(Exception):
    """etcd asks for no users: there is no token to be had, and none is needed."""


class LoginRefused(Unavailable):
    """etcd does not accept the user or its password."""


def silence(problems: Sequence[str] = ()) -> Unavailable:
    """Return the error for what etcd did not answer in time; ``problems`` are those of its members, if none is good."""
    if not problems:
        return Unavailable(
            "etcd did not answer in time",
            hint="nothing was changed; try again, and see with `coordination doctor` whether etcd is overloaded",
            retry_after_seconds=1.0,
        )
    what = "; ".join(dict.fromkeys(problems))
    return Unavailable(
        what if len(problems) == 1 else f"no member of etcd can serve: {what}",
        hint=f"nothing was changed; {QUORUM_HINT}, and try again",
        retry_after_seconds=1.0,
    )


class Verdict(Enum):
    """What is known of the request."""

    #: Not applied by this try; another try may succeed.
    NOT_APPLIED = "not applied"
    #: Applied or not, or yet to be applied; another try is needed to find out.
    UNKNOWN = "unknown"
    #: As unknown, but it was not the member that ended the try: another one is likely to be answered sooner.
    GIVEN_UP = "given up"
    #: Not applied by this try, because the token is of no more use: another one is needed.
    NOT_KNOWN_TO_ETCD = "not known to etcd"
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

#: What gRPC says of a connection that broke under a request (``chttp2_transport.cc``, and the errors of the system).
_BROKEN = ("Socket closed", "Stream removed", "Connection reset", "Broken pipe", "GOAWAY")
#: A member says so, maybe with a cause, of what it could not agree on with the others in time.
_TIMED_OUT = "request timed out"
#: What to do where etcd cannot serve.
QUORUM_HINT = "a majority of etcd's members must run and reach one another: see with `coordination doctor` which do"

#: Refused before anything was done: by a member that knows of no leader, or that does not take part yet.
_CANNOT_SERVE = ("no leader", "not supported for learner")
#: What etcd says to who has no token, or one that is older than what it knows of users.
_NEEDS_TOKEN = (
    "invalid auth token",
    "user name is empty",
    "revision of auth store is old",
    "revision in header is old",
)


class Judgement(NamedTuple):
    """A verdict, and the error that stands for it where no further try follows."""

    verdict: Verdict
    error: Exception


def judge(failure: Failure, *, call: str, member: str) -> Judgement:
    """Judge the failure of ``call``, the path of a method, at ``member``, ``HOST:PORT``."""
    code, details = failure.code(), line(failure.details() or "")
    if is_stranger(failure) or code is grpc.StatusCode.UNIMPLEMENTED:
        error = Unavailable(
            f"what answers at {member} is not etcd",
            hint="nothing was changed; name with --etcd the addresses at which etcd serves clients",
        )
        return Judgement(Verdict.NOT_APPLIED, error)
    if was_never_sent(failure):
        return Judgement(Verdict.NOT_APPLIED, _unreachable(member, details))
    if code is grpc.StatusCode.NOT_FOUND and "lease not found" in details:
        return Judgement(Verdict.DEFINITE, LeaseGone(details))
    if code is grpc.StatusCode.FAILED_PRECONDITION and "lease already exists" in details:
        return Judgement(Verdict.DEFINITE, LeaseExists(details))
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return _judge_exhausted(details)
    if any(text in details for text in _CANNOT_SERVE):
        why = details.removeprefix("etcdserver: ")
        error = Unavailable(
            f"etcd at {member} cannot serve: {why}",
            hint=f"nothing was changed; {QUORUM_HINT}, and try again",
            retry_after_seconds=1.0,
        )
        return Judgement(Verdict.NOT_APPLIED, error)
    access = _judge_access(code, details, member)
    if access is not None:
        return access
    if code in _IN_DOUBT:
        what = f"etcd at {member} {_why_in_doubt(code, details)}"
        error = Unavailable(what, hint=f"try again; {QUORUM_HINT}", retry_after_seconds=1.0)
        return Judgement(Verdict.UNKNOWN, error)
    refusal = InternalError(f"etcd refused {call} with {code.name}: {details}")
    if code is grpc.StatusCode.OUT_OF_RANGE:
        gone = RevisionGone(
            "etcd does not have the revision any more, or not yet, at which all was to be read: it was compacted "
            "meanwhile, or etcd was restored from a backup",
            hint="nothing was changed; try again",
            retry_after_seconds=0.1,
        )
        return Judgement(Verdict.REFUSED, gone)
    # Too many operations, a key written twice, too large: that depends on nothing but the request.
    return Judgement(Verdict.DEFINITE if code is grpc.StatusCode.INVALID_ARGUMENT else Verdict.REFUSED, refusal)


def _why_in_doubt(code: grpc.StatusCode, details: str) -> str:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED or _TIMED_OUT in details:
        return "did not answer in time"
    return "closed the connection" if any(text in details for text in _BROKEN) else f"failed: {details}"


def _unreachable(member: str, details: str) -> Unavailable:
    lowered = details.lower()
    if any(word in lowered for word in ("handshake", "handshaking", "ssl", "certificate")):
        return Unavailable(
            f"etcd at {member} cannot be reached: there is no TLS connection that both sides accept",
            hint="see that its certificate names that host and is signed by --etcd-ca, and whether it asks for "
            "--etcd-cert and --etcd-key; nothing was changed",
            retry_after_seconds=1.0,
        )
    return Unavailable(
        f"etcd at {member} cannot be reached",
        hint="see whether it is running, and whether it wants TLS (serve takes --etcd-ca, --etcd-cert and --etcd-key); "
        "nothing was changed",
        retry_after_seconds=1.0,
    )


def _judge_access(code: grpc.StatusCode, details: str, member: str) -> Judgement | None:
    """Judge a failure that has to do with users and their rights; None if it has not."""
    if code is grpc.StatusCode.UNAUTHENTICATED or any(text in details for text in _NEEDS_TOKEN):
        error = Unavailable(
            f"etcd at {member} does not accept the login: {details}",
            hint="nothing was changed; try again; if it stays so, see --etcd-user and --etcd-password-file",
            retry_after_seconds=1.0,
        )
        return Judgement(Verdict.NOT_KNOWN_TO_ETCD, error)
    if "authentication is not enabled" in details:
        return Judgement(Verdict.DEFINITE, AuthenticationOff(details))
    if "invalid user ID or password" in details:
        refused = LoginRefused(
            "etcd refuses the user or the password of the coordinator",
            hint="see --etcd-user and --etcd-password-file",
            retry_after_seconds=10.0,
        )
        return Judgement(Verdict.REFUSED, refused)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        error = Unavailable(
            f"etcd does not allow this to the coordinator's user: {details}",
            hint="give it a role that may read and write all keys that begin with /coordination",
            retry_after_seconds=10.0,
        )
        return Judgement(Verdict.REFUSED, error)
    return None


def _judge_exhausted(details: str) -> Judgement:
    if "too many requests" in details:
        error = LimitExceeded(
            "etcd has too many requests waiting", hint="nothing was changed; try again", retry_after_seconds=1.0
        )
        return Judgement(Verdict.NOT_APPLIED, error)
    if "database space exceeded" in details:
        error = NoSpace(
            "etcd's storage quota is used up, so that nothing can be written",
            hint="compact, defragment and disarm the alarm, or raise the quota",
            retry_after_seconds=60.0,
        )
        return Judgement(Verdict.REFUSED, error)
    if "larger than max" in details.lower():
        return _judge_size(details)
    error = LimitExceeded(
        f"etcd refused the request: {details}",
        hint="nothing was changed; try again; if it stays so, etcd's log says more",
        retry_after_seconds=1.0,
    )
    return Judgement(Verdict.REFUSED, error)


def _judge_size(details: str) -> Judgement:
    # gRPC says "Received" where it is ours that refuses an answer, and "received" where it is etcd's.
    if "Received" in details:
        error = AnswerTooLarge(
            f"the answer is larger than the coordinator takes: {details}", hint="ask for less at a time"
        )
        return Judgement(Verdict.REFUSED, error)
    return Judgement(Verdict.DEFINITE, InternalError(f"the request is too large for etcd: {details}"))
