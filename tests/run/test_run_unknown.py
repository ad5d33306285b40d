"""A claim whose outcome ``run`` does not learn is withdrawn, so that it does not block the work for its TTL."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.cluster.holding_proxy import holding
from tests.conftest import RunningCoordinator
from tests.run.running import World

NEVER = ("--", "touch", "/not/to/be/run")


@pytest.mark.parametrize("keys", [("task:a",), ("task:a", "task:b")], ids=["Claim", "ClaimNext"])
async def test_a_claim_that_no_coordinator_answers_is_withdrawn(
    keys: tuple[str, ...], coordinator: RunningCoordinator, world: World
) -> None:
    async with holding(coordinator.endpoint, "Claim", "ClaimNext") as slow:
        done = await asyncio.to_thread(world.run, "--endpoint", slow.endpoint, "--timeout", "1", *keys, *NEVER)
        await slow.all_arrive()
    assert done.returncode == 125
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint == "hint: nothing is held, as the request was withdrawn; run it again"
    assert list(world.client.list()) == []


async def test_one_that_cannot_be_withdrawn_either_may_last_for_its_ttl(
    coordinator: RunningCoordinator, world: World
) -> None:
    async with holding(coordinator.endpoint, "Claim", "Withdraw") as slow:
        arguments = ("--endpoint", slow.endpoint, "--timeout", "1", "--ttl", "90s", "task:a", *NEVER)
        done = await asyncio.to_thread(world.run, *arguments)
        assert [held.method for held in slow.held] == ["Claim", "Withdraw"]
    assert done.returncode == 125
    hint = "run it again later; if the work was claimed after all, that claim ends by itself within 90 s"
    assert done.stderr.splitlines()[1:] == [f"hint: {hint}"]


async def test_a_signal_while_it_claims_withdraws_the_claim_at_once(
    coordinator: RunningCoordinator, world: World
) -> None:
    async with holding(coordinator.endpoint, "Claim") as slow:
        with world.start("--endpoint", slow.endpoint, "--timeout", "600", "task:a", *NEVER) as process:
            await slow.something_came.wait()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 128 + signal.SIGTERM
            assert process.stderr is not None
            assert process.stderr.read() == ""
        (answer,) = await slow.all_arrive()
        assert "withdrawn" in answer.details()
    assert list(world.client.list()) == []
