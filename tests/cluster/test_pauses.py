"""Late requests (number 55): a coordinator that was stopped carries out nothing that it had received before.

The callers here are bare gRPC stubs, which name no token and give no request up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, Client, NotHolder, Unavailable
from coordinator.model import State
from coordinator.process.pauses import LONGEST_SECONDS
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningCoordinator
from tests.freezing import freeze

RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]


@pytest.fixture
def stopping(etcd: RunningCoordinator, run_coordinator: RunCoordinator) -> Iterator[RunningCoordinator]:
    with run_coordinator("serve", "--etcd", etcd.endpoint) as running:
        yield running


@pytest.fixture
async def other(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """A client of a coordinator that goes on."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client


def unread(endpoint: str) -> int:
    """How many bytes wait in the sockets of the connections to ``endpoint``."""
    port = f"{int(endpoint.rpartition(':')[2]):04X}"
    found = 0
    tables = [*Path("/proc/net").glob("tcp"), *Path("/proc/net").glob("tcp6")]
    for line in (line for table in tables for line in table.read_text().splitlines()[1:]):
        _, local, _, state, queues, *_ = line.split()
        if local.endswith(f":{port}") and state == "01":
            found += int(queues.partition(":")[2], 16)
    return found


@contextlib.asynccontextmanager
async def stopped(coordinator: RunningCoordinator, seconds: float = LONGEST_SECONDS + 0.5) -> AsyncIterator[None]:
    """Stop a coordinator, and let it go on when the block has ended, after so many seconds at least."""
    freeze(coordinator.process.pid)
    began = time.monotonic()
    try:
        yield
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    finally:
        os.kill(coordinator.process.pid, signal.SIGCONT)


class Late:
    """Calls that are sent to a stopped coordinator, over connections that it has had before."""

    def __init__(self, coordinator: RunningCoordinator, fleet: str, channels: list[grpc.aio.Channel]) -> None:
        self._endpoint = coordinator.endpoint
        self._fleet = fleet
        self._channels = channels
        self._calls: list[Awaitable[Any]] = []

    async def send(self, method: str, **fields: Any) -> None:
        """Send a request, and return when it waits in the coordinator's socket."""
        before = unread(self._endpoint)
        stub: Any = CoordinatorServiceStub(self._channels[len(self._calls) % len(self._channels)])
        request = getattr(pb, f"{method}Request")(fleet=self._fleet, **fields)
        self._calls.append(asyncio.ensure_future(getattr(stub, method)(request, timeout=60)))
        async with asyncio.timeout(10):
            while unread(self._endpoint) <= before:  # noqa: ASYNC110  # the kernel has no event for it
                await asyncio.sleep(0.01)

    async def outcomes(self) -> list[Any]:
        """Return the status codes with which the calls ended, or what they were answered."""
        answers = await asyncio.gather(*self._calls, return_exceptions=True)
        return [answer.code() if isinstance(answer, grpc.aio.AioRpcError) else answer for answer in answers]


@pytest.fixture
async def late(stopping: RunningCoordinator, fleet: str) -> AsyncIterator[Late]:
    async with contextlib.AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(stopping.endpoint)) for _ in range(3)]
        for channel in channels:
            stub: Any = CoordinatorServiceStub(channel)
            await stub.Status(pb.StatusRequest(fleet=fleet), timeout=20)
        yield Late(stopping, fleet, channels)


@pytest.mark.alone
async def test_what_waited_in_the_sockets_of_a_stopped_coordinator_is_refused(
    stopping: RunningCoordinator, late: Late, other: AsyncClient
) -> None:
    await other.claim("s", "task:released")
    await other.claim("s", "task:renewed", note="begun")
    await other.claim("s", "task:completed")
    await other.claim("s", "task:revoked")
    await other.claim("s", "task:loose")
    await other.release("s", "task:loose")
    async with stopped(stopping):
        await late.send("Release", session="s", work_key="task:released")
        await late.send("Renew", session="s", work_key="task:renewed", note="begun")
        await late.send("Complete", session="s", work_key="task:completed")
        await late.send("Claim", session="gone", work_key="task:claimed")
        await late.send("ClaimMany", session="gone", items=[pb.ClaimItem(work_key="task:many")])
        await late.send("Acknowledge", work_key="task:loose")
        await late.send("Revoke", work_key="task:revoked")
        await late.send("Reap")
        # Meanwhile all of it was done elsewhere, and more.
        for key in ("task:released", "task:completed", "task:revoked"):
            await other.release("s", key)
            assert (await other.claim("s", key)).attempt == 2
        await other.renew("s", "task:renewed", note="half done")
    assert await late.outcomes() == [grpc.StatusCode.UNAVAILABLE] * 8
    for key in ("task:released", "task:completed", "task:revoked"):
        assert (await other.get(key)).record.state is State.CLAIMED, key
    details = await other.get("task:renewed")
    assert details.claim is not None
    assert details.claim.note == "half done"
    for key in ("task:claimed", "task:many"):
        assert (await other.get(key)).record.state is State.AVAILABLE, key
    assert (await other.get("task:loose")).record.acknowledged_at is None


@pytest.mark.alone
async def test_it_serves_again_at_the_same_address_and_the_connections_are_new(
    stopping: RunningCoordinator, fleet: str
) -> None:
    async with AsyncClient(stopping.endpoint, fleet=fleet, timeout=20) as client:
        claim = await client.claim("s", "task:one")
        for attempt in (2, 3):
            async with stopped(stopping):
                pass
            # The client's own: it retries if the answer says that nothing was changed.
            assert (await client.renew("s", "task:one")).fencing_token == claim.fencing_token
            await client.release("s", "task:one")
            claim = await client.claim("s", "task:one")
            assert claim.attempt == attempt


@pytest.mark.alone
async def test_a_short_stop_is_none(stopping: RunningCoordinator, late: Late, other: AsyncClient) -> None:
    async with stopped(stopping, 0.3):
        await late.send("Claim", session="s", work_key="task:one")
    (answer,) = await late.outcomes()
    assert answer.claim.attempt == 1
    assert (await other.get("task:one")).claim is not None


@pytest.mark.alone
async def test_a_watch_goes_on_after_a_pause(stopping: RunningCoordinator, other: AsyncClient, fleet: str) -> None:
    async with AsyncClient(stopping.endpoint, fleet=fleet, timeout=20) as client:
        reported = client.watch(start_revision=(await client.get("task:one")).revision + 1)
        first = asyncio.ensure_future(anext(reported))
        await other.claim("s", "task:one")
        assert (await first).record.work_key == "task:one"
        async with stopped(stopping):
            await other.claim("s", "task:two")
        async with asyncio.timeout(20):
            assert (await anext(reported)).record.work_key == "task:two"
        await reported.aclose()  # type: ignore[attr-defined]  # a generator, and said to be an iterator


@pytest.mark.alone
async def test_a_request_whose_deadline_has_passed_is_not_carried_out(
    stopping: RunningCoordinator, late: Late, other: AsyncClient, fleet: str
) -> None:
    """Also after a stop that is too short to be a pause."""
    async with contextlib.AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(stopping.endpoint))
        stub: Any = CoordinatorServiceStub(channel)
        await stub.Status(pb.StatusRequest(fleet=fleet), timeout=20)
        async with stopped(stopping, 1.0):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Claim(pb.ClaimRequest(fleet=fleet, session="s", work_key="task:one"), timeout=0.3)
        await stub.Status(pb.StatusRequest(fleet=fleet), timeout=20)
        assert (await other.get("task:one")).claim is None


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("method", ["release", "complete", "renew"])
async def test_a_client_names_the_claim_that_it_holds(
    coordinator: RunningCoordinator, other: AsyncClient, fleet: str, kind: str, method: str
) -> None:
    """A later claim of the same session, made by another process, is not what it means; however it spells the key."""
    make: Any = AsyncClient if kind == "async" else Client
    client = make(coordinator.endpoint, fleet=fleet, timeout=20, instance="")

    async def ask(name: str, *arguments: Any, **more: Any) -> Any:
        call = getattr(client, name)
        if kind == "async":
            return await call(*arguments, **more)
        return await asyncio.to_thread(call, *arguments, **more)

    claim = await ask("claim", "s", "acme/web#7")
    await other.release("s", "github:acme/web#7")
    later = await other.claim("s", "github:acme/web#7")
    for spelling in ("acme/web#7", "github:acme/web#7"):
        with pytest.raises(NotHolder, match=f"not {claim.fencing_token}"):
            await ask(method, "s", spelling)
    details = await other.get("github:acme/web#7")
    assert details.claim is not None
    assert details.claim.fencing_token == later.fencing_token
    # Who says so means whichever claim there is, and a client that has a token means that one.
    await ask(method, "s", "acme/web#7", token=0)
    await ask("aclose" if kind == "async" else "close")


async def test_a_client_that_has_ended_its_claim_knows_none(
    coordinator: RunningCoordinator, other: AsyncClient, fleet: str
) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        await client.claim("s", "acme/web#7")
        await client.release("s", "acme/web#7")
        await other.claim("s", "github:acme/web#7")
        assert (await client.complete("s", "acme/web#7")).state is State.COMPLETED


async def test_many_claims_are_known_too(coordinator: RunningCoordinator, other: AsyncClient, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        await client.claim_many("s", ["task:one", "task:two"])
        await other.release("s", "task:two")
        await other.claim("s", "task:two")
        assert (await client.complete("s", "task:one")).state is State.COMPLETED
        with pytest.raises(NotHolder):
            await client.complete("s", "task:two")


@pytest.mark.alone
async def test_a_sole_client_learns_that_nothing_was_changed(stopping: RunningCoordinator, fleet: str) -> None:
    async with grpc.aio.insecure_channel(stopping.endpoint) as channel:
        stub: Any = CoordinatorServiceStub(channel)
        await stub.Status(pb.StatusRequest(fleet=fleet), timeout=20)
        async with stopped(stopping):
            waiting = asyncio.ensure_future(stub.Get(pb.GetRequest(fleet=fleet, work_key="task:one"), timeout=60))
            while not unread(stopping.endpoint):  # noqa: ASYNC110  # the kernel has no event for it
                await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await waiting
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "was paused" in (raised.value.details() or "")
    assert Unavailable.exit_code == 3
