"""How what is held is renewed while its block runs, by both clients."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from coordinator import AsyncClient, AsyncHeld, Held
from coordinator.clock import boot_seconds
from tests.client.holding import KEY, Holder, hurry, keepers
from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator


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
