"""Work that is held while a block runs, by both clients."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Generator
from typing import Any

import pytest

from coordinator import (
    AsyncClient,
    AsyncHeld,
    Cause,
    ClaimDenied,
    ClaimLost,
    Client,
    Denial,
    Held,
    InvalidInput,
    NotHolder,
    OutcomeUnknown,
    State,
)
from coordinator.clock import boot_seconds
from tests.client.holding import KEY, Holder
from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator


async def test_work_is_completed_when_its_block_has_ended(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        assert (held.claim.session, held.claim.work_key, held.claim.attempt) == ("s-1", KEY, 1)
        assert not held.lost.is_set()
        assert 550 < held.remaining() <= held.deadline - boot_seconds() + 1 < 620
        denial = await other.try_claim("s-2", KEY)
        assert isinstance(denial, Denial)
        held.result = "PR 2901"

    await holder.hold(work, "s-1", "report", note="begun")

    record = (await other.get(KEY)).record
    assert (record.state, record.session, record.result, record.note) == (State.COMPLETED, "s-1", "PR 2901", "begun")


async def test_work_of_the_pool_fails_by_an_exception_of_its_block(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        assert (held.claim.work_key, held.claim.brief) == (KEY, "write it")
        raise LookupError("no such branch")

    await other.submit("s-0", KEY, brief="write it")
    await other.submit("s-0", "blog:first", priority=9)
    with pytest.raises(LookupError):
        await holder.hold(work, "s-1", how="hold_next", kind="task")
    found = (await other.get(KEY)).work
    assert found is not None
    assert (found.failure_count, found.failures[0].reason) == (1, "LookupError: no such branch")
    with pytest.raises(ClaimDenied):
        await holder.hold(work, "s-1", how="hold_next", kind="task")
    with pytest.raises(InvalidInput, match="kind and explain are about the pool, and candidates are named"):
        await holder.hold(work, "s-1", [KEY], how="hold_next", kind="task")


async def test_work_of_the_pool_does_not_fail_because_its_task_was_cancelled(other: AsyncClient) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with other.hold_next("s-1"):
            entered.set()
            await asyncio.Event().wait()

    await other.submit("s-0", KEY)
    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    details = await other.get(KEY)
    assert details.work is not None
    assert (details.work.failure_count, details.record.cause) == (0, Cause.RELEASED)


async def test_an_exception_releases_it_with_its_reason(holder: Holder, other: AsyncClient) -> None:
    async def work(_: AsyncHeld | Held) -> None:
        raise LookupError("no such branch:\n  fix-2880")

    with pytest.raises(LookupError, match="no such branch") as raised:
        await holder.hold(work, "s-1", KEY)

    assert not hasattr(raised.value, "__notes__")
    record = (await other.get(KEY)).record
    assert (record.state, record.cause) == (State.ABANDONED, Cause.RELEASED)
    assert record.reason == "LookupError: no such branch: fix-2880"
    assert (await other.claim("s-2", KEY)).attempt == 2


async def test_a_block_may_not_end_the_claim_itself(holder: Holder) -> None:
    async def work(_: AsyncHeld | Held) -> None:
        done = holder.client.complete("s-1", KEY, result="by hand")
        if not isinstance(holder.client, Client):
            await done  # type: ignore[misc]  # the asynchronous client's

    with pytest.raises(NotHolder, match="already completed by s-1") as raised:
        await holder.hold(work, "s-1", KEY)
    assert not isinstance(raised.value, ClaimLost)


@pytest.mark.parametrize("result", [7, None, "x" * 16385, "a\0b", "\udcff"])
async def test_a_result_that_could_not_be_stored_is_refused_in_the_block(
    holder: Holder, other: AsyncClient, result: Any
) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        held.result = result

    with pytest.raises(InvalidInput) as raised:
        await holder.hold(work, "s-1", KEY)

    assert raised.value.field == "result"
    assert (await other.get(KEY)).record.state is State.ABANDONED


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(0), GeneratorExit()], ids=repr)
def test_an_interrupt_releases_and_goes_on(sync_client: Client, interrupt: BaseException) -> None:
    with pytest.raises(type(interrupt)) as raised, sync_client.hold("s-1", KEY):
        raise interrupt

    assert raised.value is interrupt
    record = sync_client.get(KEY).record
    assert record.cause is Cause.RELEASED
    assert str(record.reason).startswith(type(interrupt).__name__)


def test_a_hold_in_a_generator_ends_with_it(sync_client: Client) -> None:
    def work() -> Generator[int, None, None]:
        with sync_client.hold("s-1", KEY) as held:
            yield held.claim.fencing_token

    generator = work()
    assert next(generator) > 0
    generator.close()

    assert sync_client.get(KEY).record.cause is Cause.RELEASED


def test_an_exception_that_takes_no_notes_is_not_replaced_when_the_release_fails(sync_client: Client) -> None:
    class Stubborn(Exception):
        def add_note(self, _note: str) -> None:
            raise RuntimeError("no notes")

    with pytest.raises(Stubborn), sync_client.hold("s-1", KEY):
        sync_client._process.mine.calls.close()
        raise Stubborn


async def test_a_cancelled_task_releases_and_is_cancelled(other: AsyncClient) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with other.hold("s-1", KEY):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert (await other.get(KEY)).record.reason == "CancelledError"

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit, other.hold("s-1", KEY):
            limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
    assert (await other.get(KEY)).record.attempt == 2
    assert (await other.get(KEY)).record.cause is Cause.RELEASED


async def test_a_second_cancellation_does_not_wait_for_the_release(coordinator: RunningCoordinator, fleet: str) -> None:
    async with (
        holding(coordinator.endpoint, "Release") as slow,
        AsyncClient(slow.endpoint, fleet=fleet) as client,
    ):
        entered = asyncio.Event()

        async def work() -> None:
            async with client.hold("s-1", KEY):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await entered.wait()
        task.cancel()
        await slow.something_came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await slow.all_arrive()
        assert (await client.get(KEY)).record.reason == "CancelledError"


async def test_a_completion_without_an_answer_is_sent_again(coordinator: RunningCoordinator, fleet: str) -> None:
    methods = {"Complete"}
    async with (
        holding(coordinator.endpoint, *methods) as slow,
        AsyncClient(slow.endpoint, fleet=fleet, timeout=0.5) as client,
    ):
        slow._methods = methods

        async def heal() -> None:
            await slow.something_came.wait()
            methods.clear()

        healing = asyncio.create_task(heal())
        async with client.hold("s-1", KEY) as held:
            held.result = "once"
        await healing

        # The first arrives late, and is the same request.
        assert {answer.record.result for answer in await slow.all_arrive()} == {"once"}
        details = await client.get(KEY)
        assert [entry.result for entry in details.history] == ["once"]


async def test_a_completion_that_stays_without_an_answer_can_be_repeated(
    coordinator: RunningCoordinator, other: AsyncClient, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.client._async_block_end._COMPLETING_SECONDS", 0.0)
    async with (
        holding(coordinator.endpoint, "Complete") as slow,
        AsyncClient(slow.endpoint, fleet=fleet, timeout=0.3) as client,
    ):
        with pytest.raises(OutcomeUnknown) as unknown:
            async with client.hold("s-1", KEY):
                pass
        record = await other.complete("s-1", KEY, result="again", request_id=unknown.value.request_id)
        assert record.result == "again"
        (late,) = await slow.all_arrive()
        assert late.record.result == "again"


async def test_nothing_is_held_once_its_block_has_ended(holder: Holder) -> None:
    kept: list[AsyncHeld | Held] = []

    async def work(held: AsyncHeld | Held) -> None:
        kept.append(held)

    await holder.hold(work, "s-1", KEY)

    (held,) = kept
    assert held.lost.is_set()
    assert (held.remaining(), held.deadline) == (0.0, 0.0)


async def test_what_is_held_cannot_be_copied_and_its_claim_can(holder: Holder) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        for each in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(InvalidInput, match="what is held cannot be copied or pickled"):
                each(held)
        assert pickle.loads(pickle.dumps(held.claim)).work_key == KEY  # noqa: S301  # what was written here

    await holder.hold(work, "s-1", KEY)


def test_the_end_of_a_block_that_was_not_begun_does_nothing(sync_client: Client) -> None:
    sync_client.hold("s-1", KEY).__exit__(None, None, None)
