"""What `status` says of a fleet that does not progress."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordinator import AsyncClient
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import Coordination, RunningCoordinator
from tests.expiry_waiting import await_expiry


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, instance="") as client:
        yield client


async def test_18_an_empty_fleet_has_made_none(client: AsyncClient) -> None:
    progress = (await client.status(progress=True)).progress
    assert progress is not None
    assert (progress.last_grant_at, progress.last_completion_at) == (None, None)
    assert (progress.longest_held, progress.blockers) == ((), ())
    assert (await client.status()).progress is None


async def test_18_the_last_grant_and_the_last_completion(client: AsyncClient) -> None:
    first = await client.claim("session-1", "task:first")
    done = await client.complete("session-1", "task:first")
    for number in range(5):
        last = await client.claim("session-2", f"task:{number}", note="n" * 500)
        await client.try_claim("session-3", f"task:{number}")
    await client.renew("session-2", "task:0")
    progress = (await client.status(progress=True)).progress
    assert progress is not None
    assert (progress.last_grant_at, progress.last_completion_at) == (last.claimed_at, done.ended_at)
    assert [claim.work_key for claim in progress.longest_held] == ["task:0", "task:1", "task:2"]
    assert max(len(claim.note or "") for claim in progress.longest_held) == 160
    # A grant whose attempt has ended since is known too.
    for number in range(5):
        await client.release("session-2", f"task:{number}")
    progress = (await client.status(progress=True)).progress
    assert progress is not None
    assert (progress.last_grant_at, progress.last_completion_at) == (last.claimed_at, done.ended_at)
    assert (progress.longest_held, progress.blockers) == ((), ())
    assert first.claimed_at <= last.claimed_at


async def test_18_an_expired_claim_holds_nothing(client: AsyncClient, etcd_channel: EtcdChannel, fleet: str) -> None:
    claim = await client.claim("session-1", "task:a", 5)
    await client.try_claim("session-2", "task:a")
    await await_expiry(etcd_channel, fleet)
    await client.reap()
    progress = (await client.status(progress=True)).progress
    assert progress is not None
    assert (progress.longest_held, progress.blockers) == ((), ())
    assert progress.last_grant_at == claim.claimed_at


async def test_18_what_is_in_the_way(client: AsyncClient, coordination: Coordination) -> None:
    for number, wanted in enumerate((1, 3, 2, 0, 4)):
        await client.claim("holder", f"acme/web#{number}")
        for each in range(wanted):
            await client.try_claim(f"other-{each}", f"acme/web#{number}")
    progress = (await client.status(progress=True)).progress
    assert progress is not None
    assert [(entry.work_key, entry.contenders, entry.holder) for entry in progress.blockers] == [
        (f"github:acme/web#{number}", wanted, "holder") for number, wanted in ((4, 4), (1, 3), (2, 2))
    ]
    await client.set_policy("blog", max_live=0)
    shown = coordination("status").stdout
    for line in (
        "  free: nothing of what is known; all of it is held or finished",
        "  paused by its policy: blog",
        "  in the way of 4 other sessions: github:acme/web#4, held by holder",
        "  held longest: github:acme/web#0 by holder, claimed ",
        "  last grant ",
        ", last completion not known",
    ):
        assert line in shown
    await client.release("holder", "acme/web#3")
    assert "  free: 1 left unfinished: coordination work-list --state abandoned\n" in coordination("status").stdout
