"""Calls whose answer is lost, or that are cancelled: nothing is claimed twice, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import mcp
import pytest
from mcp import types

from coordinator import AsyncClient, ClaimLost, OutcomeUnknown
from coordinator.mcp.arguments import BriefingArguments, ClaimArguments, FinishArguments, NoteArguments
from coordinator.mcp.desk import Desk
from coordinator.mcp.server import build_at
from tests.conftest import RunningCoordinator
from tests.lossy_proxy import SILENCE, losing_answers

LIST = ClaimArguments(keys=["task:a", "task:b"])


class Losing:
    """A desk behind a proxy that keeps back the next answer of a method."""

    def __init__(self) -> None:
        self.method = ""
        self.lost = asyncio.Event()
        self.desk: Desk
        self.others: AsyncClient

    def choose(self, path: str, _request: bytes, _answer: bytes) -> str | None:
        if not self.method or not path.endswith(f"/{self.method}"):
            return None
        self.method = ""
        self.lost.set()
        return SILENCE

    async def keys(self) -> list[str]:
        """Return what is claimed."""
        return [record.work_key async for record in self.others.list(states=["claimed"])]


@pytest.fixture
async def losing(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Losing]:
    losing = Losing()
    async with (
        losing_answers(coordinator.endpoint, losing.choose) as proxy,
        AsyncClient(coordinator.endpoint, fleet=fleet) as losing.others,
    ):
        losing.desk = Desk(AsyncClient(proxy.endpoint, fleet=fleet, timeout=1.5), "s", "", 600)
        yield losing
        await losing.desk.close()


async def test_a_claim_whose_answer_was_lost_is_repeated_and_made_once(losing: Losing) -> None:
    losing.method = "ClaimNext"
    with pytest.raises(OutcomeUnknown):
        await losing.desk.claim(LIST)
    assert await losing.keys() == ["task:a"]
    # Another agent of the session, with another list.
    _, other = await losing.desk.claim(ClaimArguments(keys=["task:c"]))
    _, again = await losing.desk.claim(LIST)
    assert (other.work_key, again.work_key) == ("task:c", "task:a")
    assert await losing.keys() == ["task:a", "task:c"]
    assert losing.desk.keeping.work_keys == ["task:c", "task:a"]


async def test_an_end_whose_answer_was_lost_is_repeated(losing: Losing) -> None:
    await losing.desk.claim(LIST)
    for method, call in (("Renew", losing.desk.note), ("Complete", losing.desk.finish)):
        arguments = (
            NoteArguments(key="task:a", note="n")
            if method == "Renew"
            else FinishArguments(key="task:a", outcome="completed", result="done")
        )
        losing.method = method
        with pytest.raises(OutcomeUnknown):
            await call(arguments)  # type: ignore[arg-type]  # each takes its own
        await call(arguments)  # type: ignore[arg-type]
    assert losing.desk.keeping.work_keys == []
    assert (await losing.others.get("task:a")).record.result == "done"


async def test_a_cancelled_claim_leaves_nothing(losing: Losing) -> None:
    losing.method = "ClaimNext"
    task = asyncio.ensure_future(losing.desk.claim(LIST))
    await losing.lost.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await _until(lambda: _free(losing))
    record = (await losing.others.get("task:a")).record
    assert record.acknowledged_at is not None, "it is no loose end"
    _, claimed = await losing.desk.claim(LIST)
    assert claimed.work_key == "task:a"


async def test_a_claim_whose_cancellation_crosses_its_answer_leaves_nothing(losing: Losing) -> None:
    await losing.desk.claim(LIST, call=1)
    losing.desk.cancelled(2)
    losing.desk.cancelled(1)
    assert losing.desk.keeping.work_keys == []
    await _until(lambda: _free(losing))


async def test_what_was_noted_is_no_longer_the_answer_of_a_cancelled_call(losing: Losing) -> None:
    await losing.desk.claim(LIST, call=1)
    await losing.desk.note(NoteArguments(key="task:a"))
    losing.desk.cancelled(1)
    assert losing.desk.keeping.work_keys == ["task:a"]


async def test_claims_withdrawn_at_the_end_are_gone_when_it_has_ended(losing: Losing) -> None:
    losing.method = "ClaimNext"
    task = asyncio.ensure_future(losing.desk.claim(LIST))
    await losing.lost.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await losing.desk.close()
    assert await losing.keys() == []


async def test_a_session_that_was_resumed_takes_its_work_over_by_a_note(
    losing: Losing, coordinator: RunningCoordinator, fleet: str
) -> None:
    await losing.desk.claim(LIST)
    second = Desk(AsyncClient(coordinator.endpoint, fleet=fleet), "s", "", 600)
    _, denied = await second.claim(ClaimArguments(keys=["task:a"]))
    assert (denied.outcome, second.keeping.work_keys) == ("denied", [])
    text, _ = await second.briefing(BriefingArguments())
    assert "task:a" in text.split("## Taken")[0]
    await second.note(NoteArguments(key="task:a", note="resumed"))
    assert second.keeping.work_keys == ["task:a"]
    await second.close()


async def test_a_lost_claim_is_not_taken_for_a_later_one_of_the_session(losing: Losing) -> None:
    await losing.desk.claim(LIST)
    await losing.others.revoke("task:a", at_once=True)
    await losing.others.claim("s", "task:a")
    with pytest.raises(ClaimLost):
        await losing.desk.note(NoteArguments(key="task:a"))
    assert losing.desk.keeping.work_keys == []


async def test_a_call_that_the_agent_gives_up_is_withdrawn(losing: Losing) -> None:
    """Over the protocol: the SDK's client sends a cancellation when its own time is over."""
    async with mcp.Client(build_at(losing.desk, named=True), mode="legacy") as client:
        losing.method = "ClaimNext"
        for seconds in (0.3, 1.0, 3.0, 10.0):
            with pytest.raises(mcp.MCPError, match="timed out"):
                await client.call_tool("claim", {"keys": LIST.keys}, read_timeout_seconds=seconds)
            # Beside other work the coordinator may not have been asked by then.
            if losing.lost.is_set():
                break
        assert losing.lost.is_set()
        await _until(lambda: _free(losing))
        # The next call is not disturbed, and an answer that is cancelled as it comes is withdrawn too.
        claimed = await client.call_tool("claim", {"keys": LIST.keys})
        assert claimed.structured_content is not None
        assert claimed.structured_content["work_key"] == "task:a"
        (last,) = losing.desk._answered
        cancelled = types.CancelledNotification(params=types.CancelledNotificationParams(request_id=last))  # type: ignore[arg-type]  # an id of the SDK's own
        await client.session.send_notification(cancelled)
        await _until(lambda: _free(losing))
        assert losing.desk.keeping.work_keys == []


async def test_what_is_being_claimed_when_the_agent_goes_is_withdrawn(losing: Losing) -> None:
    async with mcp.Client(build_at(losing.desk, named=True), mode="legacy") as client:
        losing.method = "ClaimNext"
        call = asyncio.ensure_future(client.call_tool("claim", {"keys": LIST.keys}))
        await losing.lost.wait()
        assert await losing.keys() == ["task:a"]
    with pytest.raises(mcp.MCPError):
        await call
    assert await losing.keys() == []


async def _free(losing: Losing) -> bool:
    return await losing.keys() == []


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await is_so():  # noqa: ASYNC110  # a withdrawal in the background has no event
            await asyncio.sleep(0.02)
