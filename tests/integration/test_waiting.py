"""Calls that wait for work: when they are answered, in which order, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, ClaimDenied, Denial, DenialReason, InvalidInput, Unavailable
from coordinator.clock import boot_seconds, now
from coordinator.engine.layout import FleetPaths
from coordinator.engine.withdrawal import WithdrawCommand, hand_back
from coordinator.errors import Unauthenticated
from coordinator.keys import parse_work_key
from coordinator.model import NothingFree
from coordinator.server import Server
from coordinator.server_limits import LimitSettings
from coordinator.server_settings import ServerSettings
from coordinator.service.waiters import waits
from coordinator.service.waiters.held import Wanted
from coordinator.service.waiters.line import Waiter
from coordinator.store.etcd.methods import Methods
from tests.conftest import Etcdctl, RunningEtcd

LONG = 600.0
StartServer = Callable[..., Coroutine[Any, Any, Server]]


@pytest.fixture
async def start_server(etcd: RunningEtcd) -> AsyncIterator[StartServer]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(limits: LimitSettings | None = None) -> Server:
            settings = ServerSettings(
                etcd=(etcd.endpoint,),
                listen="127.0.0.1:0",
                metrics_listen="127.0.0.1:0",
                reaper=None,
                limits=limits or LimitSettings(),
            )
            server = Server(settings)
            await server.start()
            stack.push_async_callback(stop_once, server)
            return server

        yield start


stopped: set[Server] = set()


async def stop_once(server: Server) -> None:
    if server not in stopped:
        stopped.add(server)
        await server.stop()


@pytest.fixture
async def server(start_server: StartServer) -> Server:
    return await start_server()


@pytest.fixture
async def client(server: Server, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.endpoint, fleet=fleet) as client:
        yield client


def those_who_wait(server: Server) -> set[Waiter]:
    """Return those in the lines of a coordinator, each for one call."""
    lines = (each.line for each in server._waits._fleets.values())
    return {waiter for line in lines for group in line.groups for waiter in group.waiters}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.005)


async def waiting(server: Server, number: int) -> None:
    """Wait until so many calls wait: not only for their place, but in the line."""
    fleets = server._waits._fleets
    await until(lambda: sum(len(group.waiters) for each in fleets.values() for group in each.line.groups) == number)


async def begin(server: Server, number: int, call: Coroutine[Any, Any, Claim | Denial]) -> asyncio.Task[Claim | Denial]:
    task = asyncio.create_task(call)
    await waiting(server, number)
    return task


class TestGranted:
    async def test_work_that_is_released_goes_to_one_that_waits(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")
        waiter = await begin(server, 1, client.try_claim("waiter", "task:a", ttl=60, wait=LONG))
        sent = boot_seconds()
        await client.release("holder", "task:a", reason="gave up")
        claim = await waiter
        assert isinstance(claim, Claim)
        assert claim.previous is not None
        assert claim.previous.reason == "gave up"
        # Its deadline counts from the grant, and not from when it began to wait.
        assert claim.deadline is not None
        assert claim.deadline >= sent + 59

    async def test_those_who_wait_are_served_in_their_order(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")
        waiters = [
            await begin(server, number + 1, client.try_claim(f"s-{number}", "task:a", wait=LONG)) for number in range(4)
        ]
        holder = "holder"
        for number, waiter in enumerate(waiters):
            await client.release(holder, "task:a", token=0)
            claim = await waiter
            assert isinstance(claim, Claim)
            assert sum(each.done() for each in waiters) == number + 1
            holder = claim.session

    async def test_of_several_the_one_that_becomes_free_is_granted(self, client: AsyncClient, server: Server) -> None:
        for key in ("task:a", "task:b"):
            await client.claim("holder", key)
        waiter = await begin(server, 1, client.try_claim_next("waiter", ["task:a", "task:b"], wait=LONG))
        await client.release("holder", "task:b")
        claim = await waiter
        assert isinstance(claim, Claim)
        assert claim.work_key == "task:b"

    async def test_what_becomes_free_at_another_replica_is_granted(
        self, client: AsyncClient, server: Server, start_server: StartServer, fleet: str
    ) -> None:
        async with AsyncClient((await start_server()).endpoint, fleet=fleet) as other:
            await other.claim("holder", "task:a")
            waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG))
            await other.release("holder", "task:a")
            assert isinstance(await waiter, Claim)

    async def test_one_that_gives_up_hands_its_turn_on(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")
        first = await begin(server, 1, client.try_claim("first", "task:a", wait=LONG))
        second = await begin(server, 2, client.try_claim("second", "task:a", wait=LONG))
        first.cancel()
        await waiting(server, 1)
        await client.release("holder", "task:a")
        assert isinstance(await second, Claim)

    async def test_what_no_event_has_shown_is_found_by_a_look(
        self, client: AsyncClient, server: Server, etcdctl: Etcdctl, fleet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waits, "_LOOK_SECONDS", 0.1)
        await client.claim("holder", "task:a")
        waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG))
        # It expires, and no reaper records it.
        etcdctl("del", f"/coordination/v1/{fleet}/claim/task:a")
        assert isinstance(await waiter, Claim)

    async def test_work_at_its_limit_is_granted_once_that_allows_it(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waits, "_LOOK_SECONDS", 0.1)
        await client.set_policy("gpu", max_live=1)
        await client.claim("holder", "gpu:a")
        waiter = await begin(server, 1, client.try_claim("waiter", "gpu:b", wait=LONG))
        await client.release("holder", "gpu:a")
        assert isinstance(await waiter, Claim)

    async def test_a_hold_waits(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")

        async def hold() -> Claim | Denial:
            async with client.hold("waiter", "task:a", wait=LONG) as held:
                return held.claim

        waiter = await begin(server, 1, hold())
        await client.release("holder", "task:a")
        assert isinstance(await waiter, Claim)


class TestEnd:
    async def test_finished_work_is_not_waited_for(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")
        waiters = [
            await begin(server, number + 1, client.try_claim(f"s-{number}", "task:a", wait=LONG)) for number in range(3)
        ]
        await client.complete("holder", "task:a")
        for waiter in waiters:
            denial = await waiter
            assert isinstance(denial, Denial)
            assert denial.reason is DenialReason.COMPLETED
            assert denial.waited_seconds is not None
        again = await client.try_claim("late", "task:a", wait=LONG)
        assert isinstance(again, Denial)

    async def test_a_list_of_finished_work_is_not_waited_for(self, client: AsyncClient, server: Server) -> None:
        keys = ["task:a", "task:b"]
        for key in keys:
            await client.claim("holder", key)
        waiter = await begin(server, 1, client.try_claim_next("waiter", keys, wait=LONG))
        for key in keys:
            assert not waiter.done()
            await client.complete("holder", key)
        denial = await waiter
        assert isinstance(denial, Denial)
        assert denial.choice is not None
        assert denial.choice.nothing_free is NothingFree.EMPTY

    async def test_work_that_may_be_repeated_goes_to_one_when_it_is_finished(
        self, client: AsyncClient, server: Server
    ) -> None:
        await client.claim("holder", "lock:a")
        first = await begin(server, 1, client.try_claim("first", "lock:a", wait=LONG))
        await begin(server, 2, client.try_claim("second", "lock:a", wait=LONG))
        await client.complete("holder", "lock:a")
        assert isinstance(await first, Claim)
        await waiting(server, 1)

    async def test_the_wait_ends_with_a_denial(self, client: AsyncClient) -> None:
        await client.claim("holder", "task:a")
        with pytest.raises(ClaimDenied) as caught:
            await client.claim("waiter", "task:a", wait=0.05)
        assert caught.value.denial.holder == "holder"
        assert (caught.value.denial.waited_seconds or 0) >= 0.05

    @pytest.mark.parametrize("wait", [-1, float("nan"), 8 * 24 * 3600])
    async def test_only_some_durations_can_be_waited(self, client: AsyncClient, wait: float) -> None:
        with pytest.raises(InvalidInput, match="wait"):
            await client.claim("waiter", "task:a", wait=wait)

    async def test_a_call_is_held_for_a_part_of_the_wait_and_keeps_its_place(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waits, "HELD_CALL_SECONDS", 0.1)
        held: list[int] = []
        keep = server._waits.sharing.keep_order

        def note(wanted: Wanted, order: int) -> None:
            held.append(order)
            keep(wanted, order)

        monkeypatch.setattr(server._waits.sharing, "keep_order", note)
        await client.claim("holder", "task:a")
        first = asyncio.create_task(client.try_claim("first", "task:a", wait=LONG))
        await until(lambda: bool(held))
        second = asyncio.create_task(client.try_claim("second", "task:a", wait=LONG))
        await until(lambda: len(held) >= 8)
        # What becomes free between two calls of one wait is for the next in the line: both wait in a long one now.
        monkeypatch.setattr(waits, "HELD_CALL_SECONDS", 45.0)
        in_short_calls = those_who_wait(server)
        await until(lambda: len(those_who_wait(server) - in_short_calls) == 2)
        await client.release("holder", "task:a")
        assert isinstance(await first, Claim)
        assert not second.done()
        second.cancel()

    async def test_a_call_that_goes_on_waiting_asks_etcd_nothing(
        self, client: AsyncClient, server: Server, fleet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(waits, "HELD_CALL_SECONDS", 0.1)
        monkeypatch.setattr(waits, "_LOOK_SECONDS", 600.0)
        paths = FleetPaths(fleet)
        record = paths.of(parse_work_key("task:a")).record
        kept = 0
        keep = server._waits.sharing.keep_order

        def note(wanted: Wanted, order: int) -> None:
            nonlocal kept
            kept += 1
            keep(wanted, order)

        monkeypatch.setattr(server._waits.sharing, "keep_order", note)
        await client.claim("holder", "task:a")
        waiters = [asyncio.create_task(client.try_claim(f"s-{number}", "task:a", wait=LONG)) for number in range(5)]
        await until(lambda: server._views.of(paths).sight(record) is not None)
        kept = 0
        await until(lambda: kept >= 10)
        asked: list[str] = []
        call = server._channel.call

        async def counted(method: Any, request: Any, **rest: Any) -> Any:
            if method in (Methods.TXN, Methods.RANGE):
                asked.append(str(request))
            return await call(method, request, **rest)

        monkeypatch.setattr(server._channel, "call", counted)
        await until(lambda: kept >= 40)
        assert asked == []
        for waiter in waiters:
            waiter.cancel()


class TestGone:
    async def test_one_that_is_gone_is_granted_nothing(self, server: Server, fleet: str, client: AsyncClient) -> None:
        await client.claim("holder", "task:a")
        async with AsyncClient(server.endpoint, fleet=fleet) as gone:
            tasks = [
                await begin(server, number + 1, gone.try_claim(f"s-{number}", "task:a", wait=LONG))
                for number in range(5)
            ]
        for task in tasks:
            task.cancel()
        await waiting(server, 0)
        await client.release("holder", "task:a")
        assert (await client.get("task:a")).claim is None

    async def test_what_was_granted_to_one_that_is_gone_is_handed_back(
        self, client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        granted, proceed = asyncio.Event(), asyncio.Event()
        claim = server._waits.sharing
        attempt = claim.attempt

        async def slowly(wanted: Wanted) -> Claim | Denial:
            async def tried() -> Claim | Denial:
                answer = await wanted.attempt()
                if isinstance(answer, Claim):
                    granted.set()
                    await proceed.wait()
                return answer

            return await attempt(replace(wanted, attempt=tried))

        monkeypatch.setattr(claim, "attempt", slowly)
        await client.claim("holder", "task:a")
        waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG, request_id="r-1"))
        await client.release("holder", "task:a", reason="left")
        await granted.wait()
        waiter.cancel()
        await until(lambda: bool(claim._handing_back))
        proceed.set()
        await until(lambda: not claim._handing_back)
        details = await client.get("task:a")
        assert details.claim is None
        assert details.record.reason == "left"
        # The same request, should it come again, is as good as new.
        monkeypatch.setattr(claim, "attempt", attempt)
        assert (await client.claim("waiter", "task:a", wait=1, request_id="r-1")).attempt == 3


class TestPlaces:
    async def test_those_who_wait_take_no_places_of_others(self, start_server: StartServer, fleet: str) -> None:
        server = await start_server(LimitSettings(max_calls=4))
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(AsyncClient(server.endpoint, fleet=fleet)) for _ in range(6)]
            await clients[0].claim("holder", "task:a")
            waiters = [
                await begin(server, number + 1, each.try_claim(f"s-{number}", "task:a", wait=LONG))
                for number, each in enumerate(clients)
            ]
            await clients[0].release("holder", "task:a")
            await waiters[0]
            for waiter in waiters[1:]:
                waiter.cancel()

    async def test_without_a_place_it_is_answered_at_once(self, start_server: StartServer, fleet: str) -> None:
        server = await start_server(LimitSettings(max_waiters=0))
        async with AsyncClient(server.endpoint, fleet=fleet) as client:
            await client.claim("holder", "task:a")
            denial = await client.try_claim("waiter", "task:a", wait=LONG)
            assert isinstance(denial, Denial)
            assert denial.waited_seconds is None


class TestStop:
    async def test_those_who_wait_learn_where_to_wait(self, client: AsyncClient, server: Server) -> None:
        await client.claim("holder", "task:a")
        waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG))
        await stop_once(server)
        with pytest.raises(Unavailable, match="stops") as caught:
            await waiter
        assert "wait at another coordinator" in str(caught.value.hint)

    async def test_they_go_on_at_another_one(self, server: Server, start_server: StartServer, fleet: str) -> None:
        other = await start_server()
        async with AsyncClient([server.endpoint, other.endpoint], fleet=fleet) as client:
            await client.claim("holder", "task:a")
            waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG))
            await stop_once(server)
            await waiting(other, 1)
            await client.release("holder", "task:a")
            assert isinstance(await waiter, Claim)


class TestHandingBack:
    @staticmethod
    async def hand_back(server: Server, fleet: str, key: str = "task:a") -> bool:
        command = WithdrawCommand(sender="waiter", request_id="r-1", now=now())
        paths = FleetPaths(fleet).of(parse_work_key(key))
        return await server._runner.run(partial(hand_back, command, paths), deadline=time.monotonic() + 10)

    async def test_what_another_try_was_answered_with_stays(
        self, client: AsyncClient, server: Server, fleet: str
    ) -> None:
        await client.claim("waiter", "task:a", wait=1, request_id="r-1")
        again = await client.claim("waiter", "task:a", wait=1, request_id="r-1")
        assert not await self.hand_back(server, fleet)
        claim = (await client.get("task:a")).claim
        assert claim is not None
        assert claim.fencing_token == again.fencing_token

    async def test_the_same_request_is_granted_again(self, client: AsyncClient, server: Server, fleet: str) -> None:
        await client.claim_next("waiter", ["task:a", "task:b"], wait=1, request_id="r-1")
        assert await self.hand_back(server, fleet)
        assert (await client.get("task:a")).claim is None
        again = await client.claim_next("waiter", ["task:a", "task:b"], wait=1, request_id="r-1")
        assert (again.work_key, again.attempt, again.previous) == ("task:a", 2, None)

    async def test_what_another_request_was_granted_stays(
        self, client: AsyncClient, server: Server, fleet: str
    ) -> None:
        await client.claim("waiter", "task:a", wait=1, request_id="r-2")
        assert not await self.hand_back(server, fleet)


async def test_a_credential_that_is_withdrawn_meanwhile_is_granted_nothing(
    client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.claim("holder", "task:a")
    waiter = await begin(server, 1, client.try_claim("waiter", "task:a", wait=LONG))

    def refuse(*_: object) -> None:
        raise Unauthenticated("withdrawn")

    monkeypatch.setattr(server._middleware, "_authorizer", type("Withdrawn", (), {"admit": refuse})())
    await client.release("holder", "task:a")
    with pytest.raises(Unauthenticated):
        await waiter
    monkeypatch.undo()
    assert (await client.get("task:a")).claim is None
