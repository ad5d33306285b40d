"""How a claim is lost while its block runs, by both clients."""

from __future__ import annotations

import asyncio
import threading

import pytest

from coordinator import AsyncClient, AsyncHeld, Cause, ClaimLost, Client, Held, InvalidInput, State
from coordinator.clock import boot_seconds
from tests.client.holding import KEY, Holder, await_loss, hurry, keepers


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


async def test_a_loss_that_only_the_coordinator_knows_of_is_raised_too(holder: Holder, other: AsyncClient) -> None:
    async def work(held: AsyncHeld | Held) -> None:
        await other.revoke(KEY, at_once=True)
        await other.claim("s-2", KEY)
        assert not held.lost.is_set()

    with pytest.raises(ClaimLost, match="was revoked by an operator"):
        await holder.hold(work, "s-1", KEY)

    assert (await other.get(KEY)).record.session == "s-2"


async def test_a_renewal_task_that_is_cancelled_loses_what_it_held(other: AsyncClient) -> None:
    with pytest.raises(ClaimLost, match="what renews claims was cancelled"):
        async with other.hold("s-1", KEY) as held:
            (keeper,) = (task for task in asyncio.all_tasks() if task.get_name() == "coordinator-holds")
            keeper.cancel()
            await await_loss(held)
            # What is held from now on is renewed by another one.
            async with other.hold("s-1", "task:next") as after:
                await hurry(after).wait()


def test_a_renewal_thread_that_fails_loses_what_it_held(sync_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: failed.set())

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    with pytest.raises(ClaimLost, match="what renews claims has failed"), sync_client.hold("s-1", KEY) as held:
        sync_client._process.mine.keeper._renew = fail  # type: ignore[assignment]  # it never returns
        held._held_claim.due_at = 0.0
        assert held.lost.wait(30)
        assert failed.wait(30)
