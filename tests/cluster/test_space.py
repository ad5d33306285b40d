"""An etcd that runs full: new claims are refused in time, and service comes back by itself once there is space."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from coordinator import AsyncClient, Claim, Denial
from coordinator.errors import CoordinatorError, LimitExceeded, TryAgain
from coordinator.model import DenialReason, Outcome, State
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningCoordinator
from tests.integration.bare_stub import Stub

QUOTA = 16 * 1024 * 1024
PIECE = 32 * 1024


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]


@pytest.fixture
def full_soon(run_coordinator: RunCoordinator, tmp_path: Path) -> Iterator[RunningCoordinator]:
    """A coordinator whose etcd takes 16 MiB."""
    with run_coordinator("up", "--data-dir", str(tmp_path), "--etcd-quota-bytes", str(QUOTA)) as running:
        yield running


@pytest.fixture
async def client(full_soon: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(full_soon.endpoint, fleet=fleet, timeout=10) as found:
        yield found


@pytest.fixture
async def store(full_soon: RunningCoordinator) -> AsyncIterator[EtcdChannel]:
    channel = EtcdChannel([full_soon.etcd])
    yield channel
    await channel.close()


def etcdctl(coordinator: RunningCoordinator, *arguments: str) -> str:
    program = wheel_program("etcdctl")
    assert program is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
    command = [str(program), "--endpoints", coordinator.etcd, *arguments]
    done = subprocess.run(
        command, env=environment | {"ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


async def fill(store: EtcdChannel, share: float) -> None:
    """Write until etcd's database takes so much of the quota; above 1 until etcd refuses."""
    for number in range(10_000):
        request = rpc.TxnRequest()
        put = request.success.add().request_put
        put.key, put.value = f"/elsewhere/{number}".encode(), os.urandom(PIECE)
        try:
            await store.call(Methods.TXN, request, deadline=time.monotonic() + 30)
        except LimitExceeded:
            assert share > 1, "etcd was full too early"
            return
        status = await store.call_member(0, Methods.STATUS, rpc.StatusRequest(), deadline=time.monotonic() + 10)
        if min(status.db_size, 1.25 * status.db_size_in_use) >= share * QUOTA:
            return


def free(coordinator: RunningCoordinator) -> None:
    """Make room as an operator does, without a restart of anything."""
    etcdctl(coordinator, "del", "--prefix", "/elsewhere/")
    header: Any = json.loads(etcdctl(coordinator, "get", "/", "-w", "json"))["header"]
    etcdctl(coordinator, "compact", "--physical", str(header["revision"]))


async def refused(client: AsyncClient, words: str) -> LimitExceeded:
    """Claim new work until that is refused with this reason."""
    for number in range(200):
        try:
            await client.claim("late", f"task:late-{number}")
        except LimitExceeded as error:
            if words in error.message:
                return error
        await asyncio.sleep(0.1)
    raise AssertionError("claims went on being granted")


async def expired(client: AsyncClient, claim: Claim) -> None:
    """Wait until a claim has expired."""
    await asyncio.sleep(max(0.0, claim.remaining_seconds))
    while True:
        if (await client.get(claim.work_key)).record.state is State.ABANDONED:
            return
        await asyncio.sleep(0.1)


async def granted(client: AsyncClient, key: str) -> Claim:
    """Claim until that is granted."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await client.claim("early", key)
        except TryAgain as error:
            assert time.monotonic() < deadline, f"claims were not granted again: {error.message}"
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_from_four_fifths_of_the_quota_on_only_new_claims_and_notes_are_refused(
    full_soon: RunningCoordinator, client: AsyncClient, store: EtcdChannel, fleet: str
) -> None:
    for name in ("kept", "finished", "handed-back", "seen"):
        await client.claim("early", f"task:{name}", ttl=600)
    brief = await client.claim("early", "task:brief", ttl=5)
    await client.claim("early", "task:done")
    await client.complete("early", "task:done")
    await fill(store, 0.82)

    error = await refused(client, "of its storage quota")
    assert "from 80% on new claims are refused" in error.message
    assert "compact" in (error.hint or "")
    assert (error.retry_after_seconds or 0) > 0
    answers = await client.claim_many("late", ["task:new-1", "task:kept", "task:done"])
    assert isinstance(answers[0], LimitExceeded)
    reasons = [answer.reason for answer in answers[1:] if isinstance(answer, Denial)]
    assert reasons == [DenialReason.HELD, DenialReason.COMPLETED]
    # Who holds something goes on, also where it asks by claiming again.
    assert (await client.claim("early", "task:kept", ttl=900)).outcome is Outcome.RENEWED
    assert (await client.renew("early", "task:kept")).outcome is Outcome.RENEWED
    for noted in (client.renew("early", "task:kept", note="half way"), client.claim("early", "task:kept", note="x")):
        with pytest.raises(
            LimitExceeded, match="no notes are taken, so that what is held can still be renewed without"
        ):
            await noted
    items = [pb.RenewItem(work_key="task:kept"), pb.RenewItem(work_key="task:kept", note="half way")]
    async with grpc.aio.insecure_channel(full_soon.endpoint) as channel:
        many = await Stub(channel, fleet)("RenewMany", session="early", items=items)
    assert [each.claim.work_key or each.error.code for each in many.results] == ["task:kept", "RESOURCE_EXHAUSTED"]
    assert not (await client.get("task:kept")).record.note
    assert (await client.complete("early", "task:finished")).state is State.COMPLETED
    assert (await client.release("early", "task:handed-back")).state is State.ABANDONED
    assert (await client.revoke("task:seen", at_once=True)).state is State.ABANDONED
    assert (await client.list_page()).records
    await expired(client, brief)
    await client.reap()

    free(full_soon)
    assert (await granted(client, "task:new")).outcome is Outcome.GRANTED


async def test_a_full_etcd_is_reported_and_service_resumes_by_itself(
    full_soon: RunningCoordinator, client: AsyncClient, store: EtcdChannel
) -> None:
    await client.claim("early", "task:kept", ttl=600)
    for number in range(12):
        await client.claim("early", f"task:done-{number}")
        await client.complete("early", f"task:done-{number}")
    brief = await client.claim("early", "task:brief", ttl=5)
    await fill(store, 2)

    error = await refused(client, "storage quota is used up (alarm NOSPACE)")
    assert "disarm" in (error.hint or "")
    assert isinstance(await client.try_claim("late", "task:kept"), Denial), "reads need no space"
    assert len((await client.briefing()).finished) == 12
    for attempt in (client.renew("early", "task:kept"), client.complete("early", "task:kept")):
        with pytest.raises(CoordinatorError) as caught:
            await attempt
        assert type(caught.value) is LimitExceeded
        assert caught.value.exit_code == 3
        assert (caught.value.retry_after_seconds or 0) > 0
    await expired(client, brief)

    free(full_soon)
    etcdctl(full_soon, "defrag")
    etcdctl(full_soon, "alarm", "disarm")
    assert (await granted(client, "task:new")).outcome is Outcome.GRANTED
    assert (await client.complete("early", "task:kept")).state is State.COMPLETED
