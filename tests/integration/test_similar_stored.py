"""What is stored of similar topics: lists of those with the same words, and claims that are taken back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from coordinator import AsyncClient, Claim, Denial, DenialReason, clock
from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.finish import FinishCommand, release
from coordinator.engine.forget import forget
from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import commit
from coordinator.engine.take_back import take_back
from coordinator.engine.transaction import Delete, Range, Txn, end_of_prefix
from coordinator.engine.withdrawal import WithdrawCommand
from coordinator.model import Record, State
from coordinator.recorder import NullRecorder
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.cluster.reaper_world import World
from tests.conftest import RunningEtcd

SIGNATURE = "0123456789abcdef0123456789abcdef"
FIRST, SECOND = "blog:convergent-work", "blog:work-that-converges"


@pytest.fixture
def world(etcd_channel: EtcdChannel, fleet: str) -> World:
    return World(etcd_channel, Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder()), fleet)


def command(session: str, request_id: str = "", **more: object) -> ClaimCommand:
    asked = ClaimCommand(session, request_id or f"of {session}", clock.now(), 60.0, signature=SIGNATURE)
    return replace(asked, **more)  # type: ignore[arg-type]  # fields of the test


async def claimed(world: World, asked: ClaimCommand, key: str) -> Claim | Denial:
    return await world.run(partial(claim, asked, world.paths(key)))


async def granted(world: World, asked: ClaimCommand, key: str) -> Claim:
    answer = await claimed(world, asked, key)
    assert isinstance(answer, Claim), answer
    return answer


async def tables(world: World) -> set[str]:
    """The tables of the fleet in which anything is stored."""
    prefix = FleetPaths(world.fleet).prefix("")[:-1]
    reply = await world.run(lambda: commit(Txn((), (Range(prefix, end_of_prefix(prefix)),))))
    return {kv.key.removeprefix(prefix).partition(b"/")[0].decode() for kv in reply.range(0).kvs}


async def taken_back(world: World, asked: ClaimCommand, key: str, found: Claim) -> bool:
    back = WithdrawCommand(asked.session, asked.request_id, clock.now())
    return await world.run(partial(take_back, back, world.paths(key), found))


class TestLists:
    async def test_of_two_in_one_batch_one_is_granted(self, world: World) -> None:
        """etcd evaluates the comparisons of a batch before it applies any of it."""
        for number in range(5):
            one, other = (replace(command(name), signature=f"{number:032x}") for name in ("one", "other"))
            wanted = [
                partial(claim, one, world.paths(f"{FIRST}-{number}")),
                partial(claim, other, world.paths(f"{SECOND}-{number}")),
            ]
            answers = await world.runner.run_many(wanted, deadline=time.monotonic() + 10)
            assert sorted(type(answer).__name__ for answer in answers) == ["Claim", "Denial"], answers
            (denial,) = [answer for answer in answers if isinstance(answer, Denial)]
            assert denial.reason is DenialReason.SIMILAR

    async def test_what_is_left_and_what_is_finished_stays_on_the_list(self, world: World) -> None:
        await granted(world, command("one"), FIRST)
        await world.complete(FIRST, "one")
        denial = await claimed(world, command("two"), SECOND)
        assert isinstance(denial, Denial)
        assert [(each.work_key, each.state) for each in denial.similar] == [(FIRST, State.COMPLETED)]

    async def test_what_is_forgotten_is_on_the_list_no_more(self, world: World) -> None:
        await granted(world, command("one"), FIRST)
        await granted(world, command("two", distinct_from=(world.paths(FIRST),)), SECOND)
        assert {"signature", "topic", "distinct"} < await tables(world)
        for key, session, left in ((FIRST, "one", 1), (SECOND, "two", 0)):
            await world.complete(key, session)
            paths = world.paths(key)
            (record,) = (await world.run(lambda: commit(Txn((), (Range(paths.record),))))).range(0).kvs  # noqa: B023  # run at once
            assert await world.run(partial(forget, paths, record))
            third = await claimed(world, command("three"), "blog:on-convergent-work")
            assert isinstance(third, Denial) is bool(left), third
        assert isinstance(third, Claim)
        await taken_back(world, command("three"), "blog:on-convergent-work", third)
        assert await tables(world) == set()

    async def test_a_topic_that_is_not_recorded_is_in_no_way(self, world: World) -> None:
        """Its entry is out of date: an operator has deleted the record, or it was restored."""
        await granted(world, command("one"), FIRST)
        paths = world.paths(FIRST)
        await world.run(lambda: commit(Txn((), (Delete(paths.claim), Delete(paths.record)))))
        await granted(world, command("two"), SECOND)


class TestTakingBack:
    async def test_nothing_is_left_of_it(self, world: World) -> None:
        asked = command("one", one_of_many=True)
        found = await granted(world, asked, FIRST)
        assert await taken_back(world, asked, FIRST, found)
        assert await tables(world) == set()
        assert await taken_back(world, asked, FIRST, found) is False

    async def test_others_with_the_same_words_stay_on_the_list(self, world: World) -> None:
        await granted(world, command("one"), FIRST)
        asked = command("two", distinct_from=(world.paths(FIRST),))
        assert await taken_back(world, asked, SECOND, await granted(world, asked, SECOND))
        denial = await claimed(world, command("three"), "blog:on-convergent-work")
        assert isinstance(denial, Denial)
        assert [each.work_key for each in denial.similar] == [FIRST]

    async def test_work_that_was_left_is_left_as_before(self, world: World) -> None:
        await granted(world, command("one"), FIRST)
        finish = FinishCommand("one", "release", clock.now(), text="tired")
        assert isinstance(await world.run(partial(release, finish, world.paths(FIRST))), Record)
        asked = command("two")
        found = await granted(world, asked, FIRST)
        assert await taken_back(world, asked, FIRST, found)
        details = await world.details(FIRST)
        assert (details.record.state, details.record.session, details.record.reason) == (
            State.ABANDONED,
            "one",
            "tired",
        )
        assert "loose" in await tables(world)

    async def test_a_claim_that_another_run_was_answered_with_stays(self, world: World) -> None:
        """Both runs of a request have found it: the second one says that its holder knows of it."""
        asked = command("one")
        found = await granted(world, asked, FIRST)
        again = await granted(world, replace(asked, now=clock.now()), FIRST)
        assert again.fencing_token == found.fencing_token
        assert await taken_back(world, asked, FIRST, found) is False
        assert (await world.details(FIRST)).record.state is State.CLAIMED


@contextlib.asynccontextmanager
async def serving(etcd: RunningEtcd) -> AsyncIterator[Server]:
    settings = ServerSettings(etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
    server = Server(settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_where_its_event_does_not_come_a_claim_is_granted_and_says_so(etcd: RunningEtcd, fleet: str) -> None:
    async with serving(etcd) as server, AsyncClient(server.endpoint, fleet=fleet, timeout=20) as client:
        await client.claim("first", "blog:scaling postgres connection pools with pgbouncer", 60)
        view = server._topics.of(FleetPaths(fleet))
        assert view.task is not None
        view.task.cancel()
        shown = await client.claim("second", "blog:postgres connection pools at scale", 60)
        assert shown.similar_unknown
        same = await client.try_claim("third", "blog:scale postgres connection pool with pgbouncer", 60)
        assert isinstance(same, Denial)
        assert same.reason is DenialReason.SIMILAR, "the very same words are compared all the same"
        assert (await client.claim("fourth", "task:anything", 60)).similar_unknown is False
