"""What a failure of etcd's says of the request: whether it may have been applied, and what the caller gets."""

from __future__ import annotations

import grpc
import pytest

from coordinator import LimitExceeded, Unavailable
from coordinator.errors import InternalError
from coordinator.store.etcd.errors import (
    AnswerTooLarge,
    AuthenticationOff,
    LeaseExists,
    LeaseGone,
    LoginRefused,
    NoSpace,
    RevisionGone,
    Verdict,
    judge,
)
from coordinator.store.etcd.methods import Methods
from tests.unit.failed_call import Failed


@pytest.mark.parametrize(
    ("code", "details", "verdict", "error"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: …", Verdict.NOT_APPLIED, Unavailable),
        ("UNAVAILABLE", "etcdserver: no leader", Verdict.NOT_APPLIED, Unavailable),
        ("UNAVAILABLE", "etcdserver: request timed out", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", "etcdserver: leader changed", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", "Socket closed", Verdict.UNKNOWN, Unavailable),
        ("UNAVAILABLE", None, Verdict.UNKNOWN, Unavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Verdict.UNKNOWN, Unavailable),
        ("CANCELLED", "", Verdict.UNKNOWN, Unavailable),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Verdict.REFUSED, NoSpace),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Verdict.NOT_APPLIED, LimitExceeded),
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9 vs. 8)", Verdict.REFUSED, AnswerTooLarge),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9 vs. 8)", Verdict.DEFINITE, InternalError),
        ("FAILED_PRECONDITION", "etcdserver: rpc not supported for learner", Verdict.NOT_APPLIED, Unavailable),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        ("INVALID_ARGUMENT", "etcdserver: user name is empty", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Verdict.NOT_KNOWN_TO_ETCD, Unavailable),
        (
            "INVALID_ARGUMENT",
            "etcdserver: authentication failed, invalid user ID or password",
            Verdict.REFUSED,
            LoginRefused,
        ),
        ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled", Verdict.DEFINITE, AuthenticationOff),
        ("PERMISSION_DENIED", "etcdserver: permission denied", Verdict.REFUSED, Unavailable),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Verdict.REFUSED, RevisionGone),
        ("NOT_FOUND", "etcdserver: requested lease not found", Verdict.DEFINITE, LeaseGone),
        ("FAILED_PRECONDITION", "etcdserver: lease already exists", Verdict.DEFINITE, LeaseExists),
        ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", Verdict.DEFINITE, InternalError),
        ("UNIMPLEMENTED", "unknown service", Verdict.NOT_APPLIED, Unavailable),
    ],
)
def test_what_a_failure_says_of_the_request(
    code: str, details: str | None, verdict: Verdict, error: type[Exception]
) -> None:
    judgement = judge(Failed(grpc.StatusCode[code], details), call=Methods.TXN.path, member="127.0.0.1:2379")
    assert judgement.verdict is verdict
    assert type(judgement.error) is error
