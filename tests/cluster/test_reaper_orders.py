"""Completion against expiry against re-claim: in whatever order they come, each attempt ends once and no other claim
but the caller's own is touched.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from coordinator import clock
from coordinator.engine.finish import FinishCommand, complete
from coordinator.engine.reap import reap, reap_deleted
from coordinator.engine.transaction import KeyValue
from coordinator.errors import Refused
from coordinator.model import Cause, Claim, State
from coordinator.store.etcd.codec import key_value
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.listing import PoolLeases
from tests.cluster.reaper_world import World, opened
from tests.conftest import RunningEtcd


@pytest.fixture
async def world(etcd: RunningEtcd, fleet: str) -> AsyncIterator[World]:
    async with opened(etcd.endpoint, fleet) as world:
        yield world


async def expired(world: World, work_keys: Sequence[str]) -> dict[str, tuple[Claim, KeyValue]]:
    """Claim work and have the claims' leases end; returns what was granted and what their keys last held."""
    granted = await world.claim_all(work_keys, 60, "first")
    claims: dict[str, tuple[Claim, KeyValue]] = {}
    for work_key, claim in zip(work_keys, granted, strict=True):
        assert isinstance(claim, Claim)
        request = rpc.RangeRequest(key=world.paths(work_key).claim)
        found = await world.channel.call(Methods.RANGE, request, deadline=time.monotonic() + 30)
        claims[work_key] = claim, key_value(found.kvs[0])
    for lease in {kv.lease for _, kv in claims.values()}:
        await PoolLeases(world.channel).revoke(lease)
    return claims


async def complete_first(world: World, work_key: str, token: int) -> bool:
    """Have the first session complete what it takes for its own; returns whether that was accepted."""
    command = FinishCommand(session="first", request_id=f"first {work_key}", now=clock.now(), token=token)
    try:
        await world.run(partial(complete, command, world.paths(work_key)))
    except Refused:
        return False
    return True


async def claim_second(world: World, work_key: str) -> bool:
    return isinstance(await world.claim(work_key, 60, "second"), Claim)


async def reap_it(world: World, work_key: str, deleted: KeyValue | None) -> bool:
    paths = world.paths(work_key)
    if deleted is None:
        return await world.run(lambda: reap(paths, clock.now()))
    return await world.run(lambda: reap_deleted(paths, deleted, clock.now()))


async def check(world: World, work_key: str, token: int, completed: bool, claimed: bool) -> None:
    """Check that exactly one of the two won, and that what is written fits it."""
    assert completed is not claimed
    details = await world.details(work_key)
    ends = [(entry.attempt, entry.session, entry.ended, entry.cause, entry.fencing_token) for entry in details.history]
    if completed:
        assert ends == [(1, "first", State.COMPLETED, None, token)]
        assert (details.claim, details.record.state, details.record.late) == (None, State.COMPLETED, True)
    else:
        assert ends == [(1, "first", State.ABANDONED, Cause.EXPIRED, token)]
        assert details.claim is not None
        assert (details.claim.session, details.claim.attempt, details.record.state) == ("second", 2, State.CLAIMED)
        assert (await world.complete(work_key, "second")).state is State.COMPLETED


@pytest.mark.parametrize("hint", ["read", "reported"])
@pytest.mark.parametrize("order", list(itertools.permutations(["complete", "reap", "claim"])), ids="-".join)
async def test_one_after_the_other(world: World, order: tuple[str, ...], hint: str) -> None:
    """``reported`` reaps by what the watch brought, ``read`` by what is there."""
    (claim, deleted) = (await expired(world, ["task:a"]))["task:a"]
    done = {}
    for step in order:
        if step == "complete":
            done[step] = await complete_first(world, "task:a", claim.fencing_token)
        elif step == "claim":
            done[step] = await claim_second(world, "task:a")
        else:
            done[step] = await reap_it(world, "task:a", deleted if hint == "reported" else None)
    assert done["reap"] is (order[0] == "reap")
    assert done["claim"] is (order.index("claim") < order.index("complete"))
    await check(world, "task:a", claim.fencing_token, done["complete"], done["claim"])
    assert await world.count("ended") == await world.count("history")
    assert await world.count("loose") == 0


async def test_all_at_once(world: World) -> None:
    work_keys = [f"task:{number}" for number in range(60)]
    claims = await expired(world, work_keys)

    async def race(work_key: str, number: int) -> tuple[bool, bool]:
        claim, deleted = claims[work_key]
        steps = [
            complete_first(world, work_key, claim.fencing_token),
            claim_second(world, work_key),
            reap_it(world, work_key, deleted),
            reap_it(world, work_key, None),
        ]
        turn = number % len(steps)
        outcomes = await asyncio.gather(*steps[turn:], *steps[:turn])
        outcomes = outcomes[-turn:] + outcomes[:-turn] if turn else outcomes
        return outcomes[0], outcomes[1]

    outcomes = await asyncio.gather(*(race(work_key, number) for number, work_key in enumerate(work_keys)))
    for work_key, (completed, claimed) in zip(work_keys, outcomes, strict=True):
        await check(world, work_key, claims[work_key][0].fencing_token, completed, claimed)
    assert await world.count("ended") == await world.count("history")
    assert await world.count("loose") == 0


async def test_a_stale_holder_never_ends_its_own_later_claim(world: World) -> None:
    """The same session has claimed again meanwhile: with the token of its expired claim it ends nothing."""
    (claim, _) = (await expired(world, ["task:a"]))["task:a"]
    again = await world.claim("task:a", 60, "first")
    assert isinstance(again, Claim)
    assert not await complete_first(world, "task:a", claim.fencing_token)
    assert (await world.details("task:a")).claim is not None
    assert await complete_first(world, "task:a", again.fencing_token)
