"""Work that is held while a block runs, by both clients."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import FrameType
from typing import Any

import pytest

from coordinator import (
    AsyncClient,
    AsyncHeld,
    Cause,
    Claim,
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
from tests.client.both_clients import BOTH
from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator

KEY = "task:report"
Body = Callable[[Any], Awaitable[None]]


class Holder:
    """Holds work with a client of either sort; blocks are coroutines, run in the loop of the test."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self.client = client

    async def hold(self, body: Body, *arguments: Any, how: str = "hold", **named: Any) -> None:
        """Run ``body`` while ``hold(*arguments)`` of the client holds, or ``hold_next``."""
        if isinstance(self.client, AsyncClient):
            async with getattr(self.client, how)(*arguments, **named) as held:
                await body(held)
            return
        client, loop = self.client, asyncio.get_running_loop()

        def run() -> None:
            with getattr(client, how)(*arguments, **named) as held:
                asyncio.run_coroutine_threadsafe(_run(body, held), loop).result()

        await asyncio.to_thread(run)


async def _run(body: Body, held: Held) -> None:
    await body(held)


@pytest.fixture(params=BOTH)
async def holder(request: pytest.FixtureRequest, coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Holder]:
    client = request.param(coordinator.endpoint, fleet=fleet)
    yield Holder(client)
    await (client.aclose() if isinstance(client, AsyncClient) else asyncio.to_thread(client.close))


@pytest.fixture
async def other(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """What others see, and do."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client


def hurry(held: AsyncHeld | Held) -> asyncio.Event:
    """Have it renewed within a second, which is how often the clock is looked at; return what is set then."""
    holding, renewed, loop = held._held_claim, asyncio.Event(), asyncio.get_running_loop()
    take = holding.take

    def report(outcome: Any, now: float) -> None:
        take(outcome, now)
        if isinstance(outcome, Claim):
            loop.call_soon_threadsafe(renewed.set)

    holding.take = report  # type: ignore[method-assign]  # what came of it is still taken
    holding.due_at = holding.joins_at = 0.0
    return renewed


async def await_loss(held: AsyncHeld | Held) -> None:
    lost = held.lost
    async with asyncio.timeout(30):
        await (lost.wait() if isinstance(lost, asyncio.Event) else asyncio.to_thread(lost.wait, 30))
    assert lost.is_set()


def keepers() -> int:
    """How many threads and tasks renew what is held."""
    threads = sum(thread.name == "coordinator-holds" for thread in threading.enumerate())
    return threads + sum(task.get_name() == "coordinator-holds" for task in asyncio.all_tasks())


def _await_no_thread() -> None:
    for thread in threading.enumerate():
        if thread.name == "coordinator-holds":
            thread.join(30)


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
    await asyncio.to_thread(_await_no_thread)
    assert keepers() == 0, "what renews ends with the last hold"


async def test_what_is_held_is_renewed(holder: Holder, other: AsyncClient) -> None:
    await other.claim("s-0", KEY)
    await other.release("s-0", KEY, reason="too hard")

    async def work(held: AsyncHeld | Held) -> None:
        granted, deadline = held.claim, held.deadline
        await hurry(held).wait()
        # A renewal so early may keep the lease that the claim has.
        assert held.deadline >= deadline
        assert held._held_claim.due_at > boot_seconds() + 15
        assert held.claim.fencing_token == granted.fencing_token
        assert held.claim.previous == granted.previous
        assert held.claim.previous is not None
        assert not held.lost.is_set()

    await holder.hold(work, "s-1", KEY, ttl=60)


async def test_a_claim_that_was_revoked_is_lost(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        await other.revoke(KEY, reason="wrong repository", at_once=True)
        await other.claim("s-2", KEY)
        hurry(held)
        await await_loss(held)

    with pytest.raises(ClaimLost, match="was revoked by an operator") as lost:
        await holder.hold(work, "s-1", KEY)

    assert lost.value.holder == "s-2"
    details = await other.get(KEY)
    assert details.claim is not None
    assert details.claim.session == "s-2", "what was lost is neither completed nor released"


@pytest.mark.parametrize("by_exception", [False, True])
async def test_what_an_operator_revokes_is_free_as_soon_as_its_block_has_ended(
    by_exception: bool, holder: Holder, other: AsyncClient
) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        await other.revoke(KEY, reason="wrong repository")
        hurry(held)
        await await_loss(held)
        assert (await other.get(KEY)).claim is not None, "it is held until the block has ended"
        if by_exception:
            raise LookupError("stopped")

    with pytest.raises(LookupError if by_exception else ClaimLost) as raised:
        await holder.hold(work, "s-1", KEY)

    if by_exception:
        assert raised.value.__notes__[0].endswith(
            'is being revoked by an operator ("wrong repository") and is not renewed; it was released'
        )
    details = await other.get(KEY)
    assert (details.claim, details.record.cause, details.record.reason) == (None, Cause.REVOKED, "wrong repository")


async def test_an_exception_is_not_replaced_by_a_loss(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        await other.revoke(KEY, at_once=True)
        hurry(held)
        await await_loss(held)
        raise LookupError("stopped")

    with pytest.raises(LookupError) as raised:
        await holder.hold(work, "s-1", KEY)

    assert "was not released" in raised.value.__notes__[0]


async def test_a_deadline_that_has_passed_is_a_loss_at_once(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        assert not held.lost.is_set()
        held._held_claim.deadline = boot_seconds()
        assert held.lost.is_set()
        assert held.remaining() == 0

    with pytest.raises(ClaimLost, match="was not renewed before its deadline"):
        await holder.hold(work, "s-1", KEY)

    assert (await other.get(KEY)).record.state is State.CLAIMED


async def test_what_was_lost_is_not_released(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        held._held_claim.deadline = boot_seconds()
        raise LookupError("stopped")

    with pytest.raises(LookupError) as raised:
        await holder.hold(work, "s-1", KEY)

    assert "was not renewed before its deadline; it was not released" in raised.value.__notes__[0]
    assert (await other.get(KEY)).record.state is State.CLAIMED


async def test_a_block_may_not_end_the_claim_itself(holder: Holder) -> None:
    async def work(_: AsyncHeld | Held) -> None:
        done = holder.client.complete("s-1", KEY, result="by hand")
        if not isinstance(holder.client, Client):
            await done  # type: ignore[misc]  # the asynchronous client's

    with pytest.raises(NotHolder, match="already completed by s-1") as raised:
        await holder.hold(work, "s-1", KEY)
    assert not isinstance(raised.value, ClaimLost)


async def test_a_client_that_is_closed_under_a_hold_holds_nothing_more(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        client = holder.client
        await (client.aclose() if isinstance(client, AsyncClient) else asyncio.to_thread(client.close))
        await await_loss(held)
        assert keepers() == 0

    with pytest.raises(ClaimLost, match="the client was closed while it held a claim"):
        await holder.hold(work, "s-1", KEY)
    with pytest.raises(InvalidInput, match="this client is closed"):
        await holder.hold(work, "s-1", KEY)

    assert (await other.get(KEY)).record.state is State.CLAIMED


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


def test_a_hold_is_checked_when_it_is_made_and_entered_once(client: Client, fleet: str) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("session", {"session": "github:gptme/gptme#1", "key": "s-1"}),
        ("session", {"session": "", "key": KEY}),
        ("work_key", {"session": "s-1", "key": 7}),
        ("ttl", {"session": "s-1", "key": KEY, "ttl": -1}),
        ("note", {"session": "s-1", "key": KEY, "note": 7}),
        ("reopen", {"session": "s-1", "key": KEY, "reopen": 1}),
    ]
    for field, arguments in wrong:
        for each in (client, AsyncClient(fleet=fleet)):
            with pytest.raises(InvalidInput) as refused:
                each.hold(**arguments)
            assert refused.value.field == field

    hold = client.hold(None, KEY)
    with hold as held:
        assert held.claim.session.count("-") >= 2, "invented: host-pid-random"
        with pytest.raises(InvalidInput, match="a hold is entered once"):
            hold.__enter__()
        assert not held.lost.is_set()
    assert client.get(KEY).record.state is State.COMPLETED


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(0), GeneratorExit()], ids=repr)
def test_an_interrupt_releases_and_goes_on(client: Client, interrupt: BaseException) -> None:
    with pytest.raises(type(interrupt)) as raised, client.hold("s-1", KEY):
        raise interrupt

    assert raised.value is interrupt
    record = client.get(KEY).record
    assert record.cause is Cause.RELEASED
    assert str(record.reason).startswith(type(interrupt).__name__)


def test_an_interrupt_at_whichever_line_of_its_beginning_leaves_nothing_held(client: Client) -> None:
    """A signal's handler may raise between the answer to the claim and the block."""
    line = 0
    while _interrupted_at(line, lambda key: client.hold("s-1", key).__enter__(), f"task:{line}"):
        assert client.get(f"task:{line}").claim is None, line
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


def test_a_hold_in_a_generator_ends_with_it(client: Client) -> None:
    def work() -> Generator[int, None, None]:
        with client.hold("s-1", KEY) as held:
            yield held.claim.fencing_token

    generator = work()
    assert next(generator) > 0
    generator.close()

    assert client.get(KEY).record.cause is Cause.RELEASED


def test_an_exception_that_takes_no_notes_is_not_replaced_when_the_release_fails(client: Client) -> None:
    class Stubborn(Exception):
        def add_note(self, _note: str) -> None:
            raise RuntimeError("no notes")

    with pytest.raises(Stubborn), client.hold("s-1", KEY):
        client._process.mine.calls.close()
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
        async with asyncio.timeout(0.2), other.hold("s-1", KEY):
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


async def test_a_renewal_goes_to_another_endpoint_where_one_is_silent(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    async with (
        holding(coordinator.endpoint, "RenewMany") as slow,
        AsyncClient([slow.endpoint, coordinator.endpoint], fleet=fleet) as client,
        client.hold("s-1", KEY, ttl=60) as held,
    ):
        deadline = held.deadline
        renewed = hurry(held)
        await slow.something_came.wait()
        await renewed.wait()
        assert held.deadline >= deadline
        # The one that was late changes nothing.
        await slow.all_arrive()
        assert not held.lost.is_set()


async def test_a_loss_that_only_the_coordinator_knows_of_is_raised_too(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        await other.revoke(KEY, at_once=True)
        await other.claim("s-2", KEY)
        assert not held.lost.is_set()

    with pytest.raises(ClaimLost, match="was revoked by an operator"):
        await holder.hold(work, "s-1", KEY)

    assert (await other.get(KEY)).record.session == "s-2"


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
    monkeypatch.setattr("coordinator.client._async_ending._COMPLETING_SECONDS", 0.0)
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


async def test_what_a_session_holds_is_renewed_in_one_call(coordinator: RunningCoordinator, fleet: str) -> None:
    async with (
        holding(coordinator.endpoint) as proxy,
        AsyncClient(proxy.endpoint, fleet=fleet) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        held = [await stack.enter_async_context(client.hold("s-1", f"task:{number}")) for number in range(20)]
        assert keepers() == 1
        renewed = [hurry(each) for each in held]
        await asyncio.gather(*(event.wait() for event in renewed))
        assert proxy.passed.count("RenewMany") == 1


async def test_a_renewal_task_that_is_cancelled_loses_what_it_held(other: AsyncClient) -> None:
    with pytest.raises(ClaimLost, match="what renews claims was cancelled"):
        async with other.hold("s-1", KEY) as held:
            (keeper,) = (task for task in asyncio.all_tasks() if task.get_name() == "coordinator-holds")
            keeper.cancel()
            await await_loss(held)
            # What is held from now on is renewed by another one.
            async with other.hold("s-1", "task:next") as after:
                await hurry(after).wait()


def test_a_renewal_thread_that_fails_loses_what_it_held(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: failed.set())

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    with pytest.raises(ClaimLost, match="what renews claims has failed"), client.hold("s-1", KEY) as held:
        client._process.mine.keeper._renew = fail  # type: ignore[assignment]  # it never returns
        held._held_claim.due_at = 0.0
        assert held.lost.wait(30)
        assert failed.wait(30)


def test_one_client_holds_in_several_event_loops(coordinator: RunningCoordinator, fleet: str) -> None:
    client = AsyncClient(coordinator.endpoint, fleet=fleet)
    both, answers = threading.Barrier(2), []

    async def work(key: str) -> None:
        async with client.hold("s-1", key) as held:
            await asyncio.to_thread(both.wait, 30)
            await hurry(held).wait()
            answers.append(held.lost.is_set())

    threads = [threading.Thread(target=asyncio.run, args=[work(f"task:{number}")]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [False, False]
    asyncio.run(client.aclose())


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
