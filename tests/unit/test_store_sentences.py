"""What a caller reads when etcd is away, slow, full or another one: what was wrong, and what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import coordinator
from coordinator.errors import Contended, CoordinatorError
from coordinator.service.watch import watches
from coordinator.store.etcd.errors import judge, silence
from coordinator.store.etcd.watch import Rewound
from tests.unit.failed_call import Failed

HOME = Path(coordinator.__file__).parent
#: Errors of which a caller must learn what to do.
NEED_A_HINT = {"HistoryGone", "LimitExceeded", "RevisionGone", "Unavailable"}


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield every construction of such an error on the server's side, and where it is."""
    for folder in ("store", "service", "engine", "reaper"):
        for file in sorted((HOME / folder).rglob("*.py")):
            if "etcdapi" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NEED_A_HINT:
                    yield f"{file.relative_to(HOME)}:{node.lineno}", node


def test_every_error_that_may_pass_says_what_to_do() -> None:
    missing = [where for where, call in raised() if not any(keyword.arg == "hint" for keyword in call.keywords)]
    assert not missing


def test_a_caller_that_keeps_losing_races_is_answered_too() -> None:
    assert Contended("it changed 5 times").hint == "nothing was changed; try again"


def test_there_are_such_errors() -> None:
    assert len(list(raised())) > 30


@pytest.mark.parametrize(
    ("code", "details", "says", "advises"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses", "cannot be reached", "see whether it is running"),
        ("UNAVAILABLE", "etcdserver: no leader", "cannot serve: no leader", "a majority of etcd's members must run"),
        ("UNAVAILABLE", "etcdserver: request timed out", "did not answer in time", "majority"),
        (
            "UNAVAILABLE",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "did not answer in time",
            "majority",
        ),
        ("UNAVAILABLE", "etcdserver: leader changed", "failed: etcdserver: leader changed", "try again"),
        ("UNAVAILABLE", "etcdserver: rpc not supported for learner", "not supported for learner", "majority"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "did not answer in time", "majority"),
        ("UNAVAILABLE", "Socket closed", "h:1 closed the connection", "try again"),
        ("UNKNOWN", "Stream removed (Socket closed)", "h:1 closed the connection", "try again"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", "h:1 closed the connection", "try again"),
        ("CANCELLED", "the channel was closed", "failed: the channel was closed", "try again"),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", "quota is used up", "defragment"),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", "too many requests waiting", "try again"),
        ("RESOURCE_EXHAUSTED", "something else", "etcd refused the request", "etcd's log"),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", "was compacted", "try again"),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision", "restored", "try again"),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", "does not accept the login", "--etcd-user"),
        ("PERMISSION_DENIED", "etcdserver: permission denied", "does not allow this", "give it a role"),
    ],
)
def test_each_failure_of_etcd_says_what_was_wrong_and_what_to_do(
    code: str, details: str, says: str, advises: str
) -> None:
    error = judge(Failed(grpc.StatusCode[code], details), call="/etcdserverpb.KV/Txn", member="h:1").error
    assert isinstance(error, CoordinatorError)
    assert says in error.message
    assert advises in (error.hint or "")


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ((), "etcd did not answer in time"),
        (("etcd at a:1 cannot be reached",), "etcd at a:1 cannot be reached"),
        (
            ("etcd at a:1 cannot be reached", "etcd at b:1 cannot serve: no leader"),
            "no member of etcd can serve: etcd at a:1 cannot be reached; etcd at b:1 cannot serve: no leader",
        ),
    ],
)
def test_silence_says_what_is_wrong_with_the_members(problems: tuple[str, ...], message: str) -> None:
    error = silence(problems)
    assert error.message == message
    assert "nothing was changed" in (error.hint or "")
    assert "coordination doctor" in (error.hint or "")


@pytest.mark.parametrize("start", [0, 1, 17])
def test_a_watch_of_a_store_that_is_gone_speaks_of_no_revision_that_was_not_asked_for(start: int) -> None:
    error = watches._lost(start, Rewound(5, "etcd is cluster b now, and was cluster a", replaced=True))
    assert "does not exist yet" not in error.message
    assert "etcd is cluster b now, and was cluster a" in error.message
    assert "work-list --json" in (error.hint or "")


def test_a_revision_that_has_not_come_yet_is_named() -> None:
    error = watches._lost(17, Rewound(5, "why", replaced=False))
    assert error.message == "revision 17 does not exist yet: the store is at revision 5"
    assert "work-list --json" in (error.hint or "")
