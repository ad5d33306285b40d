"""Answers that are too large, and an etcd that is full: errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator import AsyncClient, Claim, LimitExceeded, Outcome, State
from coordinator.engine.layout import FleetPaths
from coordinator.engine.snapshot import reads_and_counts
from coordinator.engine.transaction import Delete, Put, Txn, TxnReply, in_turn, is_absent
from coordinator.keys import WorkKey
from coordinator.recorder import NullRecorder
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.listing import PoolLeases
from tests.conftest import RunEtcd
from tests.integration.channel_world import serving, soon
from tests.integration.etcd_proxy import TXN, EtcdProxy, proxying


async def test_an_answer_that_is_too_large_is_a_limit(tmp_path: Path) -> None:
    async with EmbeddedEtcd(tmp_path, find_etcd()) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        value = b"x" * 1024 * 1024
        for number in range(70):
            put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"/test/%d" % number, value=value))
            await channel.call(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=soon())
        with pytest.raises(LimitExceeded, match="the answer is larger than the coordinator takes") as caught:
            await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test/", range_end=b"/test0"), deadline=soon(30))
        assert caught.value.hint == "ask for less at a time"
        await channel.close()


class TestNoSpace:
    async def test_a_full_etcd_is_reported_with_advice_and_can_still_be_read(self, tmp_path: Path, fleet: str) -> None:
        program = wheel_program("etcd")
        assert program is not None
        async with (
            EmbeddedEtcd(tmp_path, find_etcd(str(program)), quota_bytes=1024 * 1024) as etcd,
            serving(etcd.endpoint) as server,
            AsyncClient(server.endpoint, fleet=fleet) as client,
        ):
            granted = 0
            with pytest.raises(LimitExceeded) as caught:
                for number in range(200):
                    await client.claim("s", f"task:{number:03d}", note="x" * 16_000)
                    granted += 1
            assert caught.value.message == "etcd's storage quota is used up, so that nothing can be written"
            assert caught.value.hint == "compact, defragment and disarm the alarm, or raise the quota"
            assert caught.value.retry_after_seconds == 60
            assert caught.value.exit_code == 3

            assert granted > 0
            # Not all on one page: how many were granted before etcd's size caught up is a matter of moments.
            assert len([record async for record in client.list()]) == granted
            details = await client.get("task:000")
            assert details.claim is not None
            status = await client.status()
            assert status.live_claims == granted
            assert any("NOSPACE" in warning or "space" in warning for warning in status.etcd.warnings)

            code, said = await self.claim_by_command(server.endpoint, fleet)
            assert code == 3
            assert said["error"]["code"] == "RESOURCE_EXHAUSTED"
            assert "compact" in said["error"]["hint"]

    async def claim_by_command(self, endpoint: str, fleet: str) -> tuple[int | None, dict[str, dict[str, str]]]:
        command = [str(Path(sys.executable).with_name("coordination")), "work-claim", "s", "task:one-more", "--json"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment | {"COORDINATION_ENDPOINT": endpoint, "COORDINATION_FLEET": fleet},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        return process.returncode, json.loads(said)

    @pytest.mark.long_but_for("a put")
    @pytest.mark.parametrize("beside", ["a put", "a deletion", "nothing"])
    async def test_past_its_quota_it_still_returns_what_a_change_is_built_from(
        self, tmp_path: Path, beside: str
    ) -> None:
        """3.5.1 refuses whatever goes through raft then, reads among it."""
        async with EmbeddedEtcd(tmp_path, find_etcd(), quota_bytes=16 * 1024 * 1024) as etcd:
            channel = EtcdChannel([etcd.endpoint])
            commits = GroupCommit(channel, NullRecorder())
            # Past it and not just up to a put that does not fit: what is nested is not counted beforehand.
            with contextlib.suppress(LimitExceeded):
                for number in range(200):
                    filler = Txn((), (Put(b"/filler/%d" % (number % 8), os.urandom(400_000)),))
                    await commits.commit(Txn((is_absent(b"/none"),), (filler,)), deadline=soon())
            paths = FleetPaths("default").of(WorkKey("task", "a"))
            reading = Txn((in_turn(paths.claim),), reads_and_counts(paths))
            changes: dict[str, list[Put | Delete]] = {"a put": [Put(b"/a", b"")], "a deletion": [Delete(b"/a")]}
            reported = await asyncio.gather(
                commits.commit(reading, deadline=soon()),
                *(
                    commits.commit(Txn((is_absent(b"/a"),), (change,)), deadline=soon())
                    for change in changes.get(beside, [])
                ),
                return_exceptions=True,
            )
            await channel.close()
            assert isinstance(reported[0], TxnReply)
            assert reported[0].range(0).kvs == ()


@dataclass(frozen=True)
class Filling:
    """A client whose etcd says that it is full when it applies what the client asks for."""

    client: AsyncClient
    proxy: EtcdProxy
    etcd: EtcdChannel

    def fill_with(self, written: bytes) -> None:
        """Have etcd be full once it has applied what has ``written`` in it."""
        self.proxy.lose_replies(TXN, "full", holding=written)

    async def empty(self) -> None:
        """Disarm the alarm."""
        request = rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, alarm=rpc.NOSPACE)
        await self.etcd.call(Methods.ALARM, request, deadline=soon())

    async def check_that_it_is_full(self) -> None:
        with pytest.raises(LimitExceeded, match="quota is used up"):
            await self.client.try_claim("s", "task:one-more")


class TestAppliedAllTheSame:
    """etcd refuses a transaction of which it finds too late that it is too large: by then it has applied it."""

    @pytest.fixture
    async def filling(self, run_etcd: RunEtcd, tmp_path: Path) -> AsyncIterator[Filling]:
        with run_etcd(tmp_path) as etcd:
            async with (
                proxying(etcd.endpoint) as proxy,
                serving(proxy.endpoint) as server,
                AsyncClient(server.endpoint) as client,
            ):
                channel = EtcdChannel([etcd.endpoint])
                yield Filling(client, proxy, channel)
                await channel.close()

    @pytest.mark.parametrize("keys", [1, 2, 20])
    async def test_a_claim_is_granted(self, filling: Filling, keys: int) -> None:
        filling.fill_with(b'"state":"claimed"')
        names = [f"task:{number}" for number in range(keys)]
        for answer in await filling.client.claim_many("s", names, request_id="r-1"):
            assert isinstance(answer, Claim)
            assert (answer.outcome, answer.attempt) == (Outcome.GRANTED, 1)
        assert (await filling.client.status()).live_claims == keys
        await filling.check_that_it_is_full()

    async def test_the_next_work_is_granted(self, filling: Filling) -> None:
        filling.fill_with(b'"state":"claimed"')
        placed = await filling.client.claim_next("s", ["task:a", "task:b"])
        assert placed is not None
        assert (await filling.client.status()).live_claims == 1

    async def test_finished_work_is_completed(self, filling: Filling) -> None:
        await filling.client.claim("s", "task:a")
        filling.fill_with(b'"state":"completed"')
        assert (await filling.client.complete("s", "task:a")).state is State.COMPLETED
        assert len((await filling.client.get("task:a")).history) == 1
        await filling.check_that_it_is_full()

    async def test_given_up_work_is_released(self, filling: Filling) -> None:
        await filling.client.claim("s", "task:a")
        filling.fill_with(b'"state":"abandoned"')
        assert (await filling.client.release("s", "task:a")).state is State.ABANDONED
        assert len((await filling.client.get("task:a")).history) == 1

    async def test_an_expiry_is_recorded_once(self, filling: Filling) -> None:
        await filling.client.claim("s", "task:a")
        leases = PoolLeases(filling.etcd)
        for lease in await leases.present():
            await leases.revoke(lease)
        filling.fill_with(b'"state":"abandoned"')
        assert await filling.client.reap() == 1
        await filling.empty()
        assert await filling.client.reap() == 0
        details = await filling.client.get("task:a")
        assert (details.record.state, len(details.history)) == (State.ABANDONED, 1)

    async def test_a_policy_is_set(self, filling: Filling) -> None:
        filling.fill_with(b'"max_live":3')
        await filling.client.set_policy("task", max_live=3)
        assert any(one.max_live == 3 for one in (await filling.client.list_policies()).policies)

    async def test_a_policy_is_unset(self, filling: Filling) -> None:
        await filling.client.set_policy("task", max_live=3)
        filling.fill_with(b"/policy/")
        assert await filling.client.unset_policy("task")
        assert not any(one.max_live == 3 for one in (await filling.client.list_policies()).policies)

    async def test_finished_work_is_put_back(self, filling: Filling) -> None:
        await filling.client.claim("s", "task:a")
        await filling.client.complete("s", "task:a")
        filling.fill_with(b'"state":"abandoned"')
        assert (await filling.client.reopen("task:a")).state is State.ABANDONED

    async def test_a_loose_end_is_acknowledged(self, filling: Filling) -> None:
        await filling.client.claim("s", "task:a")
        await filling.client.release("s", "task:a")
        filling.fill_with(b'"acknowledged_at"')
        assert (await filling.client.acknowledge("task:a")).acknowledged_at is not None

    async def test_a_claim_is_renewed(self, filling: Filling) -> None:
        claimed = await filling.client.claim("s", "task:a", ttl=60)
        filling.fill_with(b'"state":"claimed"')
        renewed = await filling.client.renew("s", "task:a", ttl=3600)
        assert renewed.expires_at > claimed.expires_at
        await filling.check_that_it_is_full()
