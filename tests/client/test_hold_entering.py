"""How a block is entered with a claim, and never without one, by both clients."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from coordinator import AsyncClient, AsyncHeld, ClaimDenied, Client, Held, InvalidInput, OutcomeUnknown, State
from tests.client.holding import KEY, Holder, await_no_thread, hurry, keepers
from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator


async def test_a_block_is_never_entered_without_the_claim(holder: Holder, other: AsyncClient) -> None:
    async def work(_: AsyncHeld | Held) -> None:
        raise AssertionError("entered")

    await other.claim("s-2", KEY)
    with pytest.raises(ClaimDenied) as denied:
        await holder.hold(work, "s-1", KEY)
    assert denied.value.denial.holder == "s-2"

    await other.complete("s-2", KEY)
    with pytest.raises(ClaimDenied):
        await holder.hold(work, "s-1", KEY)
    assert keepers() == 0


async def test_holds_of_one_client_are_denied_to_one_another(holder: Holder, other: AsyncClient) -> None:
    async def nothing(_: AsyncHeld | Held) -> None: ...

    async def outer(held: AsyncHeld | Held) -> None:
        async def inner(_: AsyncHeld | Held) -> None:
            with pytest.raises(ClaimDenied) as denied:
                await holder.hold(nothing, "s-1", KEY)
            assert denied.value.denial.own_session
            assert keepers() == 1

        # Others of the same session are no matter.
        await holder.hold(inner, "s-1", "task:inner")
        assert (await other.get("task:inner")).record.state is State.COMPLETED
        assert not held.lost.is_set()

    await holder.hold(outer, "s-1", KEY)

    record = (await other.get(KEY)).record
    assert (record.state, record.attempt) == (State.COMPLETED, 1)
    await asyncio.to_thread(await_no_thread)
    assert keepers() == 0, "what renews ends with the last hold"


def test_a_hold_is_checked_when_it_is_made_and_entered_once(sync_client: Client, fleet: str) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("session", {"session": "github:gptme/gptme#1", "key": "s-1"}),
        ("session", {"session": "", "key": KEY}),
        ("work_key", {"session": "s-1", "key": 7}),
        ("ttl", {"session": "s-1", "key": KEY, "ttl": -1}),
        ("note", {"session": "s-1", "key": KEY, "note": 7}),
        ("reopen", {"session": "s-1", "key": KEY, "reopen": 1}),
    ]
    for field, arguments in wrong:
        for each in (sync_client, AsyncClient(fleet=fleet)):
            with pytest.raises(InvalidInput) as refused:
                each.hold(**arguments)
            assert refused.value.field == field

    hold = sync_client.hold(None, KEY)
    with hold as held:
        assert held.claim.session.count("-") >= 2, "invented: host-pid-random"
        with pytest.raises(InvalidInput, match="a hold is entered once"):
            hold.__enter__()
        assert not held.lost.is_set()
    assert sync_client.get(KEY).record.state is State.COMPLETED


def test_an_interrupt_at_whichever_line_of_its_beginning_leaves_nothing_held(sync_client: Client) -> None:
    """A signal's handler may raise between the answer to the claim and the block."""
    line = 0
    while _interrupted_at(line, lambda key: sync_client.hold("s-1", key).__enter__(), f"task:{line}"):
        assert sync_client.get(f"task:{line}").claim is None, line
        line += 1
    assert line > 10


def _interrupted_at(line: int, begin: Callable[[str], object], key: str) -> bool:
    """Begin a hold, and return whether it had so many lines that it could be interrupted there."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_qualname not in ("Hold.__enter__", "Hold._begin"):
            return None
        if event == "line":
            if not left:
                sys.settrace(None)
                raise KeyboardInterrupt
            left -= 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        begin(key)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


async def test_a_claim_whose_caller_was_cancelled_is_withdrawn(coordinator: RunningCoordinator, fleet: str) -> None:
    async with holding(coordinator.endpoint, "Claim") as slow, AsyncClient(slow.endpoint, fleet=fleet) as client:

        async def work() -> None:
            async with client.hold("s-1", KEY):
                raise AssertionError("entered")

        task = asyncio.create_task(work())
        await slow.something_came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert slow.passed == ["Withdraw"]
        (answer,) = await slow.all_arrive()
        assert "withdrawn" in answer.details()
        assert (await client.get(KEY)).claim is None


async def test_a_claim_of_unknown_outcome_is_withdrawn(coordinator: RunningCoordinator, fleet: str) -> None:
    async with (
        holding(coordinator.endpoint, "Claim") as slow,
        AsyncClient(slow.endpoint, fleet=fleet, timeout=0.5) as client,
    ):
        with pytest.raises(OutcomeUnknown) as unknown:
            async with client.hold("s-1", KEY):
                raise AssertionError("entered")
        assert unknown.value.hint == "nothing is held, as the request was withdrawn; try again"
        assert unknown.value.request_id is None
        await slow.all_arrive()
        assert (await client.get(KEY)).claim is None


async def test_one_that_could_not_be_withdrawn_either_may_last_for_its_ttl(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    async with (
        holding(coordinator.endpoint, "Claim", "Withdraw") as slow,
        AsyncClient(slow.endpoint, fleet=fleet, timeout=0.3) as client,
    ):
        with pytest.raises(OutcomeUnknown) as unknown:
            async with client.hold("s-1", KEY):
                raise AssertionError("entered")
        assert (unknown.value.request_id, "after its TTL" in (unknown.value.hint or "")) == (None, True)


async def test_the_first_candidate_that_is_free_is_held(holder: Holder, other: AsyncClient) -> None:
    keys = ["task:a", "task:b", "task:c"]
    found: list[str] = []

    async def inner(held: AsyncHeld | Held) -> None:
        found.append(held.claim.work_key)
        await hurry(held).wait()

    async def outer(held: AsyncHeld | Held) -> None:
        found.append(held.claim.work_key)
        # What another hold of the same session has is no candidate.
        await holder.hold(inner, "s-1", keys, how="hold_next")

    await other.claim("s-2", "task:a")
    await holder.hold(outer, "s-1", keys, how="hold_next")
    assert found == ["task:b", "task:c"]
    assert (await other.get("task:c")).record.state is State.COMPLETED

    with pytest.raises(ClaimDenied) as denied:
        await holder.hold(outer, "s-1", keys, how="hold_next")
    assert denied.value.denial.choice is not None
    with pytest.raises(InvalidInput):
        await holder.hold(outer, "s-1", "task:a", how="hold_next")
    with pytest.raises(ClaimDenied, match="the list is empty"):
        await holder.hold(outer, "s-1", [], how="hold_next")


async def test_a_next_whose_caller_was_cancelled_is_withdrawn(coordinator: RunningCoordinator, fleet: str) -> None:
    async with holding(coordinator.endpoint, "ClaimNext") as slow, AsyncClient(slow.endpoint, fleet=fleet) as client:

        async def work() -> None:
            async with client.hold_next("s-1", ["task:a", "task:b"]):
                raise AssertionError("entered")

        task = asyncio.create_task(work())
        await slow.something_came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await slow.all_arrive()
        assert [(await client.get(key)).claim for key in ("task:a", "task:b")] == [None, None]
