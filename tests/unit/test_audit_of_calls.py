"""The audit log has every call that may have taken effect, and what it was about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.errors import NotFound, OutcomeUnknown
from coordinator.logs.audit import Audit
from coordinator.recorder import NullRecorder
from coordinator.service.admission.admission import Admission
from coordinator.service.middleware import Middleware
from coordinator.v1 import service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]


class Behaviours:
    """Of all methods: each waits, answers or fails as the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.waits = False
        self.began = asyncio.Event()

    async def _answer(self, *_: object) -> None:
        self.began.set()
        if self.waits:
            await asyncio.get_running_loop().create_future()
        if self.error is not None:
            raise self.error

    async def Watch(self, *_: object) -> AsyncIterator[pb.WatchResponse]:  # noqa: N802  # its name in the API
        yield pb.WatchResponse()

    def __getattr__(self, name: str) -> Any:
        return self._answer


class Aborted(Exception):
    """What gRPC raises to end a call."""


async def _abort(*_: object, **__: object) -> None:
    raise Aborted


@pytest.fixture
def behaviours() -> Behaviours:
    return Behaviours()


def said(path: Path, audit: Audit) -> list[str]:
    audit.close()
    return [line.partition("event=did ")[2] for line in path.read_text().splitlines()]


def serving(path: Path, behaviours: Behaviours) -> tuple[Audit, Any, Any]:
    audit = Audit(path)
    context = SimpleNamespace(peer=lambda: "ipv4:127.0.0.1:1", abort=_abort, time_remaining=lambda: None)
    return audit, Middleware(behaviours, SERVICE.methods, NullRecorder(), Admission(9), audit=audit), context


async def test_it_says_which_policy_was_set(tmp_path: Path, behaviours: Behaviours) -> None:
    audit, middleware, context = serving(tmp_path / "audit", behaviours)
    request = pb.SetPolicyRequest()
    request.policy.pattern = 'blog\n"x'
    await middleware.SetPolicy(request, context)
    await middleware.UnsetPolicy(pb.UnsetPolicyRequest(pattern="blog"), context)
    assert said(tmp_path / "audit", audit) == [
        r'credential=- method=SetPolicy fleet=default pattern="blog\n\"x" code=OK',
        "credential=- method=UnsetPolicy fleet=default pattern=blog code=OK",
    ]


async def test_a_caller_that_goes_away_leaves_the_line_of_its_call(tmp_path: Path, behaviours: Behaviours) -> None:
    audit, middleware, context = serving(tmp_path / "audit", behaviours)
    behaviours.waits = True
    call = asyncio.ensure_future(middleware.Revoke(pb.RevokeRequest(work_key="task:a"), context))
    await behaviours.began.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert said(tmp_path / "audit", audit) == [
        "credential=- method=Revoke fleet=default work_key=task:a code=CANCELLED"
    ]


async def test_what_may_have_been_done_is_there_and_what_was_not_is_not(tmp_path: Path, behaviours: Behaviours) -> None:
    audit, middleware, context = serving(tmp_path / "audit", behaviours)
    for behaviours.error in (NotFound("no such work"), OutcomeUnknown("it is unknown"), RuntimeError("a fault")):
        with pytest.raises(Aborted):
            await middleware.Reopen(pb.ReopenRequest(work_key="task:a"), context)
    codes = [line.rpartition("code=")[2] for line in said(tmp_path / "audit", audit)]
    assert codes == [OutcomeUnknown.code, "INTERNAL"]


async def test_watches_are_counted(tmp_path: Path, behaviours: Behaviours) -> None:
    audit, middleware, context = serving(tmp_path / "audit", behaviours)
    assert [each async for each in middleware.Watch(pb.WatchRequest(), context)]
    (line,) = said(tmp_path / "audit", audit)
    assert line.startswith("credential=- method=Watch count=1 seconds=")


@pytest.mark.parametrize("passed", [0.0, 7.5, 60.0, 3600.0])
def test_counts_say_of_how_many_seconds_they_are_and_come_before_the_end(passed: float, tmp_path: Path) -> None:
    now = [100.0]
    audit = Audit(tmp_path / "audit", clock=lambda: now[0])
    for _ in range(2):
        audit.did("alice", "Get")
        now[0] += passed
        audit.write_counts()
    audit.did("alice", "List")
    now[0] += 1.25
    audit.end_with("stopped", pid=7)
    audit.close()
    lines = [line.partition("event=")[2] for line in (tmp_path / "audit").read_text().splitlines()]
    assert lines == [
        *[f"did credential=alice method=Get count=1 seconds={passed}"] * 2,
        "did credential=alice method=List count=1 seconds=1.2",
        "stopped pid=7",
    ]


def test_refusals_that_were_not_written_are_counted_before_the_end(tmp_path: Path) -> None:
    now = [100.0]
    audit = Audit(tmp_path / "audit", clock=lambda: now[0])
    assert [audit.takes_refusal("UNAUTHENTICATED") for _ in range(5)] == [True] * 3 + [False] * 2
    now[0] += 2.5
    audit.end_with("stopped")
    audit.close()
    lines = [line.partition("event=")[2] for line in (tmp_path / "audit").read_text().splitlines()]
    assert lines == ['"more were refused" code=UNAUTHENTICATED count=2 seconds=2.5', "stopped"]
