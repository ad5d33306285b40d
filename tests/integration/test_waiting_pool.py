"""Calls that wait for work of the pool: what wakes them, when their waits end, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, Denial, InvalidInput, NothingFree
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.service.waiters import pool_waits, waits
from coordinator.service.waiters.held import Wanted
from coordinator.store.etcd.methods import Methods
from tests.conftest import RunningEtcd

LONG = 600.0


@pytest.fixture
async def server(etcd: RunningEtcd) -> AsyncIterator[Server]:
    settings = ServerSettings(etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
    server = Server(settings)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        yield server


@pytest.fixture
async def client(server: Server, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.endpoint, fleet=fleet) as client:
        yield client


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.005)


def in_line(server: Server) -> int:
    return sum(len(fleet.line) for fleet in server._waits.pool._fleets.values())


async def begin(server: Server, number: int, call: Coroutine[Any, Any, Claim | Denial]) -> asyncio.Task[Claim | Denial]:
    """Begin to wait, as one of so many."""
    task = asyncio.create_task(call)
    await until(lambda: in_line(server) == number)
    return task


async def key_of(waiter: Awaitable[Claim | Denial]) -> str:
    async with asyncio.timeout(30):
        answer = await waiter
    assert isinstance(answer, Claim), answer
    return answer.work_key


async def why(waiter: Awaitable[Claim | Denial]) -> NothingFree | None:
    async with asyncio.timeout(30):
        answer = await waiter
    assert isinstance(answer, Denial), answer
    assert answer.choice is not None
    return answer.choice.nothing_free


class TestGranted:
    async def test_what_is_submitted_released_or_no_longer_blocked_goes_to_the_first_that_waits(
        self, client: AsyncClient, server: Server
    ) -> None:
        await client.submit("s-0", "task:a")
        await client.claim("holder", "task:a")
        waiters = [
            await begin(server, number + 1, client.try_claim_next(f"s-{number}", wait=LONG)) for number in range(4)
        ]
        await client.submit("s-0", "task:b")
        assert await key_of(waiters[0]) == "task:b"
        await client.submit("s-0", "task:c", depends=["task:a"])
        await client.submit("s-0", "task:d", depends=["task:b"])
        await client.complete("s-0", "task:b")
        assert await key_of(waiters[1]) == "task:d"
        await client.complete("holder", "task:a")
        assert await key_of(waiters[2]) == "task:c"
        await client.submit("s-0", "task:e")
        claim = await waiters[3]
        assert isinstance(claim, Claim)
        assert claim.deadline is not None
        assert claim.choice is not None
        assert claim.choice.from_pool

    async def test_many_pieces_go_to_many_that_wait(self, client: AsyncClient, server: Server) -> None:
        await client.submit("s-0", "task:held")
        await client.claim("holder", "task:held")
        waiters = [asyncio.create_task(client.try_claim_next(f"s-{number}", wait=LONG)) for number in range(40)]
        await until(lambda: in_line(server) == 40)
        for number in range(40):
            await client.submit("s-9", f"task:{number}")
        assert sorted([await key_of(waiter) for waiter in waiters]) == sorted(f"task:{number}" for number in range(40))

    async def test_only_who_may_have_it_is_offered_it(self, client: AsyncClient, server: Server) -> None:
        """The first in line wants another kind."""
        for key in ("docs:held", "blog:held"):
            await client.submit("s-0", key)
            await client.claim("holder", key)
        first = await begin(server, 1, client.try_claim_next("s-1", kind="docs", wait=LONG))
        second = await begin(server, 2, client.try_claim_next("s-2", kind="blog", wait=LONG))
        await client.submit("s-0", "blog:a")
        assert await key_of(second) == "blog:a"
        await client.submit("s-0", "docs:a")
        assert await key_of(first) == "docs:a"

    async def test_what_was_given_back_is_offered_when_its_time_has_come(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("coordinator.engine.pool.back_off.BACK_OFF_SECONDS", (1.5,))
        await client.submit("s-0", "task:a")
        await client.claim("first", "task:a")
        waiter = await begin(server, 1, client.try_claim_next("second", wait=LONG))
        own = await begin(server, 2, client.try_claim_next("first", kind="task", wait=LONG))
        await client.release("first", "task:a", failed=True)
        assert await key_of(waiter) == "task:a"
        assert not own.done()
        own.cancel()

    async def test_what_became_free_at_a_limit_is_found_by_a_look(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool_waits, "_LOOK_SECONDS", 0.1)
        await client.set_policy("gpu", max_live=1)
        await client.claim("holder", "gpu:named")
        await client.submit("s-0", "gpu:a")
        waiter = await begin(server, 1, client.try_claim_next("waiter", wait=LONG))
        await client.release("holder", "gpu:named")
        assert await key_of(waiter) == "gpu:a"

    async def test_one_that_gives_up_hands_its_turn_on_and_leaves_nothing_claimed(
        self, client: AsyncClient, server: Server
    ) -> None:
        await client.submit("s-0", "task:held")
        await client.claim("holder", "task:held")
        first = await begin(server, 1, client.try_claim_next("first", wait=LONG))
        second = await begin(server, 2, client.try_claim_next("second", wait=LONG))
        first.cancel()
        await until(lambda: in_line(server) == 1)
        await client.submit("s-0", "task:a")
        assert await key_of(second) == "task:a"


class TestEnd:
    async def test_an_empty_pool_is_not_waited_for_and_neither_is_one_that_has_become_empty(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool_waits, "_LOOK_SECONDS", 600.0)
        assert await why(client.try_claim_next("s-1", wait=LONG)) is NothingFree.EMPTY
        await client.submit("s-0", "task:a")
        await client.claim("holder", "task:a")
        waiters = [
            await begin(server, number + 1, client.try_claim_next(f"s-{number}", wait=LONG)) for number in (0, 1)
        ]
        await client.complete("holder", "task:a")
        assert [await why(waiter) for waiter in waiters] == [NothingFree.EMPTY] * 2

    async def test_what_waits_for_failed_work_is_not_waited_for(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool_waits, "_LOOK_SECONDS", 0.1)
        await client.set_policy("task", max_attempts=1)
        await client.submit("s-0", "task:a")
        await client.submit("s-0", "task:b", depends=["task:a"])
        await client.submit("s-0", "task:c", depends=["task:b"])
        await client.claim("holder", "task:a")
        waiters = [
            await begin(server, number + 1, client.try_claim_next(f"s-{number}", wait=LONG)) for number in (0, 1)
        ]
        await client.release("holder", "task:a", failed=True)
        assert [await why(waiter) for waiter in waiters] == [NothingFree.FAILED] * 2
        # By name it can be done all the same, and then the rest is free.
        await client.claim("holder", "task:b")
        assert await why(client.try_claim_next("s-1")) is NothingFree.HELD

    async def test_what_one_has_given_back_it_does_not_wait_for(self, client: AsyncClient) -> None:
        await client.submit("s-0", "task:a")
        await client.claim("s-1", "task:a")
        await client.release("s-1", "task:a")
        assert isinstance(await client.try_claim_next("s-1", wait=LONG), Denial)

    async def test_a_wait_ends_with_its_time(self, client: AsyncClient) -> None:
        await client.submit("s-0", "task:a")
        await client.claim("holder", "task:a")
        denial = await client.try_claim_next("s-1", wait=0.2)
        assert isinstance(denial, Denial)
        assert denial.waited_seconds is not None
        assert denial.waited_seconds >= 0.2

    async def test_what_is_only_explained_is_not_waited_for(self, client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match="nothing to wait for"):
            await client.try_claim_next("s-1", explain=True, wait=1)


async def test_calls_that_go_on_waiting_ask_etcd_nothing_and_keep_their_places(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "HELD_CALL_SECONDS", 0.1)
    monkeypatch.setattr(pool_waits, "_LOOK_SECONDS", 600.0)
    kept: list[tuple[str, int]] = []
    keep = server._waits.sharing.keep_order

    def note(wanted: Wanted, order: int) -> None:
        kept.append((wanted.whose[0], order))
        keep(wanted, order)

    monkeypatch.setattr(server._waits.sharing, "keep_order", note)
    await client.submit("s-0", "task:a")
    await client.claim("holder", "task:a")
    waiters = [asyncio.create_task(client.try_claim_next(f"s-{number}", wait=LONG)) for number in range(5)]
    await until(lambda: len(kept) >= 15)
    asked: list[str] = []
    call = server._channel.call

    async def counted(method: Any, request: Any, **rest: Any) -> Any:
        if method in (Methods.TXN, Methods.RANGE):
            asked.append(str(request))
        return await call(method, request, **rest)

    monkeypatch.setattr(server._channel, "call", counted)
    before = len(kept)
    await until(lambda: len(kept) >= before + 30)
    assert asked == []
    assert len(set(kept)) == 5
    for waiter in waiters:
        waiter.cancel()
