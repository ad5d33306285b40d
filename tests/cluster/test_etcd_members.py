"""What the coordinator does while members of an etcd cluster die, hang or lose one another."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from coordinator import AsyncClient, Outcome, OutcomeUnknown, Unavailable
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.members import PROBE_SECONDS
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.cluster.etcd_cluster import EtcdCluster, EtcdMember, run_cluster
from tests.cluster.members_load import Fault, check, coordinators, run_load
from tests.conftest import RunningEtcd

#: What is promised: so long after a member is lost there is service again.
LONGEST_GAP_SECONDS = 3.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with run_cluster(tmp_path_factory.mktemp("members")) as running:
        yield running


@pytest.fixture
def cluster(shared: EtcdCluster) -> Iterator[EtcdCluster]:
    """A cluster of which all members are well, before a test and after it."""
    shared.await_all()
    yield shared
    for member in shared.members:
        member.go_on()
    shared.await_all()


@pytest.fixture
async def channel(cluster: EtcdCluster) -> AsyncIterator[EtcdChannel]:
    channel = EtcdChannel(cluster.endpoints)
    yield channel
    await channel.close()


@pytest.fixture
async def server(cluster: EtcdCluster) -> AsyncIterator[Server]:
    """A coordinator in this process, which turns to the leader first."""
    leader = cluster.leader()
    endpoints = sorted(cluster.endpoints, key=lambda endpoint: endpoint != leader.endpoint)
    server = Server(
        ServerSettings(etcd=tuple(endpoints), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
    )
    await server.start()
    yield server
    await server.stop()


async def read(channel: EtcdChannel, seconds: float = 10) -> rpc.RangeResponse:
    request = rpc.RangeRequest(key=b"/test")
    response: rpc.RangeResponse = await channel.call(Methods.RANGE, request, deadline=time.monotonic() + seconds)
    return response


def current(channel: EtcdChannel, cluster: EtcdCluster) -> EtcdMember:
    """The member that the channel turns to."""
    endpoint = channel._members.current.endpoint
    return next(member for member in cluster.members if member.endpoint == endpoint)


async def until_good(channel: EtcdChannel, member: EtcdMember) -> None:
    """Wait until the channel takes a member for good again."""
    index = channel.endpoints.index(member.endpoint)
    async with asyncio.timeout(30):
        while not channel._members[index].good:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.02)


@pytest.mark.alone
async def test_sessions_go_on_while_members_are_stopped_and_killed(tmp_path: Path, fleet: str) -> None:
    # The one that is killed stays away: a member of the wheel's etcd may lose data when it comes back.
    faults = [Fault("stop", "leader", 2.0, 3.5), Fault("kill", "leader", 3.0, 4.0, comes_back=False)]
    with run_cluster(tmp_path) as cluster, coordinators(cluster.etcd) as endpoints:
        load = await run_load(cluster, endpoints, fleet, faults, afterwards=0.0)
        wrong = await check(load, cluster, fleet)
    gap, began = load.gaps[0]
    said = f"longest gap {gap:.2f} s, {len(load.grants)} claims, errors {dict(load.errors)}"
    sys.stdout.write(f"\n{said}\n")
    assert not wrong
    assert len(load.grants) > 100
    assert gap < LONGEST_GAP_SECONDS, f"{said}, {began - load.started:.1f} s after the start"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tries last so long that something else has to notice that they are of no use."""
    monkeypatch.setattr("coordinator.store.etcd.client.TRY_SECONDS", 60.0)


@pytest.mark.alone
@pytest.mark.usefixtures("patient")
async def test_a_hung_member_costs_one_wait_and_is_taken_back_when_it_goes_on(
    channel: EtcdChannel, cluster: EtcdCluster
) -> None:
    await read(channel)
    hung = current(channel, cluster)
    hung.stop()
    await read(channel)
    assert current(channel, cluster) is not hung
    # No later call goes near it, however long it hangs.
    asked = channel._members[channel.endpoints.index(hung.endpoint)].under_way
    for _ in range(200):
        await read(channel)
        assert not asked
    hung.go_on()
    await until_good(channel, hung)
    # It is one to turn to again when the others are gone.
    for member in cluster.members:
        if member is not hung:
            member.stop()
            break
    await read(channel)


@pytest.mark.alone
@pytest.mark.alone
@pytest.mark.usefixtures("patient")
async def test_what_a_follower_handed_to_a_leader_that_hangs_is_sent_again(cluster: EtcdCluster) -> None:
    leader = cluster.leader()
    channel = EtcdChannel([member.endpoint for member in cluster.members if member is not leader])
    put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"/test", value=b"x"))
    leader.stop()
    # The follower itself waits for seven seconds. It is noticed that there is another leader meanwhile.
    await channel.call(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=time.monotonic() + 6.0)
    await channel.close()


async def test_a_member_without_a_quorum_is_left_for_one_that_has_one(cluster: EtcdCluster, etcd: RunningEtcd) -> None:
    # The other one is a cluster of its own, which takes nothing away: to whom a call goes is what is looked at.
    alone = cluster.leader()
    channel = EtcdChannel([alone.endpoint, etcd.endpoint])
    await read(channel)
    assert channel._members.current.endpoint == alone.endpoint
    for member in cluster.members:
        if member is not alone:
            member.stop()
    # It believes to lead for a while yet, but cannot answer.
    await read(channel)
    assert channel._members.current.endpoint == etcd.endpoint
    await channel.close()
    async with asyncio.timeout(30):
        while (status := cluster.status(alone)) is None or status.leader:  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.05)
    # Now it knows of no leader, and says so at once.
    channel = EtcdChannel([alone.endpoint, etcd.endpoint])
    started = time.monotonic()
    await read(channel)
    assert time.monotonic() - started < PROBE_SECONDS
    assert channel._members.current.endpoint == etcd.endpoint
    await channel.close()


class TestQuorumLoss:
    async def test_claims_are_refused_in_time_and_go_on_by_themselves(
        self, cluster: EtcdCluster, server: Server, fleet: str
    ) -> None:
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=2.0) as client:
            await client.claim("s", "task:before")
            stopped = [member for member in cluster.members if member is not cluster.leader()]
            for member in stopped:
                member.stop()
            for number in range(3):
                started = time.monotonic()
                with pytest.raises((Unavailable, OutcomeUnknown)):
                    await client.claim("s", f"task:{number}", request_id=f"during-{number}")
                assert time.monotonic() - started < 4.0
            for member in stopped:
                member.go_on()
            async with asyncio.timeout(30):
                while True:
                    with contextlib.suppress(Unavailable, OutcomeUnknown):
                        claims = [
                            await client.claim("s", f"task:{number}", request_id=f"during-{number}")
                            for number in range(3)
                        ]
                        break
            assert [claim.attempt for claim in claims] == [1, 1, 1]
            for number in range(3):
                assert (await client.get(f"task:{number}")).history == ()


class TestStoppedLeader:
    """The leader is stopped with a transaction in its hands, and goes on when another one leads."""

    @pytest.mark.long_but_for("task:one")
    @pytest.mark.parametrize("key", ["task:one", "task:two", "task:three"])
    async def test_a_claim_is_granted_once(self, cluster: EtcdCluster, server: Server, fleet: str, key: str) -> None:
        leader = cluster.leader()
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=20.0) as client:
            await client.claim("s", "task:so-that-the-lease-is-there")
            leader.stop()
            request_id = uuid.uuid4().hex
            claim = await client.claim("s", key, request_id=request_id)
            assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
            leader.go_on()
            await asyncio.to_thread(cluster.await_all)
            # Whatever the old leader still had is refused by its comparisons.
            details = await client.get(key)
            assert details.claim is not None
            assert (details.claim.fencing_token, details.claim.attempt) == (claim.fencing_token, 1)
            assert details.history == ()
            repeated = await client.claim("s", key, request_id=request_id)
            assert repeated.fencing_token == claim.fencing_token

    async def test_a_completion_is_done_once(self, cluster: EtcdCluster, server: Server, fleet: str) -> None:
        leader = cluster.leader()
        async with AsyncClient(server.endpoint, fleet=fleet, timeout=20.0) as client:
            claim = await client.claim("s", "task:work")
            leader.stop()
            record = await client.complete("s", "task:work", token=claim.fencing_token, result="done")
            assert (record.result, record.late) == ("done", False)
            leader.go_on()
            await asyncio.to_thread(cluster.await_all)
            assert [entry.attempt for entry in (await client.get("task:work")).history] == [1]
