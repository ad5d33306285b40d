"""Whether etcd is still the store that it was: what answers show, one after another and overtaking one another."""

from __future__ import annotations

import asyncio
import logging

import pytest

from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.lineage import Lineage, StoreChanged

CLUSTER, OTHER = 0xA, 0xB


def header(revision: int, *, cluster: int = CLUSTER, term: int = 5) -> rpc.ResponseHeader:
    return rpc.ResponseHeader(cluster_id=cluster, revision=revision, raft_term=term)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.lineage = Lineage(lambda: self.now)

    def ask(self, answer: rpc.ResponseHeader) -> None:
        self.lineage.see(self.lineage.known, answer)


@pytest.fixture
def world() -> World:
    world = World()
    world.ask(header(1_000))
    return world


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(header(1_000, cluster=OTHER), id="another-cluster"),
        pytest.param(header(5_000, cluster=OTHER, term=9), id="another-cluster-that-is-further-on"),
        pytest.param(header(999), id="revision-went-back"),
        pytest.param(header(1, term=2), id="empty-directory"),
        pytest.param(header(2_000, term=4), id="term-went-back"),
        pytest.param(header(1_000_001_000), id="revision-was-bumped"),
        pytest.param(header(1_800_000_000_000_000), id="revision-was-made-of-the-time"),
    ],
)
async def test_another_store_is_noticed_once(world: World, answer: rpc.ResponseHeader) -> None:
    world.ask(answer)
    assert world.lineage.changes == 1
    with pytest.raises(StoreChanged, match="etcd is not the store that it was before: "):
        await world.lineage.changed(0)
    world.ask(answer)
    assert world.lineage.changes == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(header(1_000), id="nothing-happened"),
        pytest.param(header(900_000), id="much-was-written"),
        pytest.param(header(1_000, term=6), id="another-leader"),
    ],
)
def test_the_same_store_is_not_called_another(world: World, answer: rpc.ResponseHeader) -> None:
    world.ask(answer)
    assert world.lineage.changes == 0


def test_after_an_hour_without_an_answer_much_may_have_been_written(world: World) -> None:
    world.now = 3600.0
    world.ask(header(1_000 + 3_000_000_000))
    assert world.lineage.changes == 0


def test_an_answer_that_comes_late_is_compared_with_what_was_known_when_it_was_asked_for(world: World) -> None:
    asked = world.lineage.known
    world.ask(header(2_000, term=6))
    world.lineage.see(asked, header(1_500, term=5))
    assert world.lineage.changes == 0
    world.ask(header(1_999, term=6))
    assert world.lineage.changes == 1


def test_an_answer_of_the_old_store_that_comes_after_the_change_says_nothing(world: World) -> None:
    asked = world.lineage.known
    world.ask(header(10, cluster=OTHER))
    world.lineage.see(asked, header(1_001))
    assert world.lineage.changes == 1
    world.ask(header(11, cluster=OTHER))
    assert world.lineage.changes == 1


async def test_a_waiting_caller_is_informed_at_once_and_not_of_earlier_changes(world: World) -> None:
    world.ask(header(1))
    waiting = asyncio.create_task(world.lineage.changed(world.lineage.changes))
    await asyncio.sleep(0)
    assert not waiting.done()
    world.lineage.note("the watch says so")
    with pytest.raises(StoreChanged, match="the watch says so"):
        await waiting


def test_the_log_is_not_filled_by_members_of_two_clusters(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(1_000):
            world.ask(header(1_000, cluster=number % 2))
    assert len(caplog.records) == 1
