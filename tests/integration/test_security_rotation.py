"""Credentials that change while a coordinator runs: in the middle of a session, and in the middle of a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest

from coordinator import Client, PermissionDenied, Unauthenticated
from coordinator.recorder import NullRecorder
from coordinator.service import Middleware
from coordinator.service.access import Authorizer, CredentialsFile
from coordinator.service.admission.admission import Admission
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub, add_CoordinatorServiceServicer_to_server
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd
from tests.integration.security_world import SERVICE, SOON, World, make_world

#: A tokens file whose only credential is unknown.
REMOVED = f'[[credential]]\nname = "x"\ntoken_sha256 = "{"0" * 64}"\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "certs")


@pytest.fixture
def running(etcd: RunningEtcd, run_coordinator: RunCoordinator, world: World) -> Iterator[RunningCoordinator]:
    world.tokens.touch(mode=0o600)
    with run_coordinator("serve", "--etcd", etcd.endpoint, *world.serve_options()) as coordinator:
        yield coordinator


def soon(holds: Callable[[], bool]) -> None:
    """Wait until it holds; how soon is up to the coordinator, which looks at its files every second."""
    until = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def let_in(client: Client, session: str) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            client.try_claim(session, "task:x")
        except (PermissionDenied, Unauthenticated):
            return False
        return True

    return asked


def test_credentials_come_change_and_go_without_a_restart(
    running: RunningCoordinator, world: World, fleet: str
) -> None:
    world.add("alice", sessions=("alice-*",), fleets=(fleet,))
    options = world.client_options(bearing="alice")
    with Client(running.endpoint, fleet=fleet, **options) as client:
        soon(let_in(client, "alice-1"))
        assert not let_in(client, "bob-1")()

        entries = world.tokens.read_text()
        world.tokens.write_text("this is [ not TOML")
        read = client.get  # the coordinator goes on with what it has read
        for _ in range(3):
            read("task:x")
        world.tokens.write_text(entries.replace("alice-*", "bob-*"))
        soon(let_in(client, "bob-1"))
        assert not let_in(client, "alice-1")()

        world.tokens.write_text("")
        for _ in range(3):
            read("task:x")
        world.tokens.write_text(entries.replace(entries.split('token_sha256 = "')[1][:64], "0" * 64))
        soon(lambda: not let_in(client, "bob-1")())
        with pytest.raises(Unauthenticated, match="the call carries no valid credential"):
            client.status()


def test_a_client_takes_up_a_new_token_in_the_middle_of_a_session(
    running: RunningCoordinator, world: World, fleet: str
) -> None:
    rights: dict[str, Any] = {"sessions": ("alice-*",), "fleets": (fleet,)}
    world.add("alice", **rights)
    with Client(running.endpoint, fleet=fleet, **world.client_options(bearing="alice")) as client:
        soon(let_in(client, "alice-1"))
        claim = client.claim("alice-1", "task:long")

        world.tokens.unlink()
        second = world.add("alice", file="second.token", **rights)
        with Client(running.endpoint, fleet=fleet, **world.client_options(bearing="second")) as other:
            soon(let_in(other, "alice-1"))
        with pytest.raises(Unauthenticated):
            client.renew("alice-1", "task:long")
        world.file("alice.token").write_text(second)
        assert client.renew("alice-1", "task:long").fencing_token == claim.fencing_token


class _Ticking:
    """Answers Watch with a response for each that is put into its queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.ended = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(name=name)

    async def Watch(self, *_: Any) -> AsyncIterator[pb.WatchResponse]:  # noqa: N802  # its name in the API
        try:
            async with asyncio.timeout(SOON):  # bound to the task that runs it, like much else
                while True:
                    yield pb.WatchResponse(revision=await self.queue.get())
        finally:
            self.ended.set()


class _Watched:
    """A server of its own, in this process, whose credentials and clock the test moves."""

    def __init__(self, world: World) -> None:
        self.now = time.time()
        self.file = CredentialsFile(world.tokens)
        self.authorizer = Authorizer(lambda: self.file.current, clock=lambda: self.now)
        self.behaviour = _Ticking()

    async def start(self) -> str:
        self.server = grpc.aio.server()
        answering = Middleware(self.behaviour, SERVICE.methods, NullRecorder(), Admission(100), self.authorizer)
        add_CoordinatorServiceServicer_to_server(answering, self.server)
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return f"127.0.0.1:{port}"

    def look(self) -> None:
        self.file.refresh()
        self.authorizer.recheck()


@pytest.fixture
async def watched(world: World) -> AsyncIterator[tuple[_Watched, Any]]:
    """A server, and a watch of it that has had its first response."""
    token = world.add("alice", days=1)
    watched = _Watched(world)
    async with grpc.aio.insecure_channel(await watched.start()) as opened:
        call = CoordinatorServiceStub(opened).Watch(
            pb.WatchRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=SOON
        )
        watched.behaviour.queue.put_nowait(1)
        assert (await call.read()).revision == 1
        yield watched, call
        call.cancel()
    await watched.server.stop(None)


async def ended(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    name: str = raised.value.code().name
    return name


async def test_a_watch_goes_on_while_its_credential_is_good(watched: tuple[_Watched, Any], world: World) -> None:
    server, call = watched
    world.add("bob")
    server.look()
    server.behaviour.queue.put_nowait(2)
    assert (await call.read()).revision == 2


@pytest.mark.parametrize("how", ["expired", "removed", "another fleet"])
async def test_a_watch_ends_when_its_credential_does(
    watched: tuple[_Watched, Any], world: World, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server, call = watched
    if how == "expired":
        server.now += 86_400
    elif how == "removed":
        world.tokens.write_text(REMOVED)
    else:
        world.tokens.write_text(world.tokens.read_text().replace("default", "elsewhere"))
    server.look()
    server.look()
    server.behaviour.queue.put_nowait(2)  # is not sent any more
    assert await ended(call) == ("PERMISSION_DENIED" if how == "another fleet" else "UNAUTHENTICATED")
    await asyncio.wait_for(server.behaviour.ended.wait(), SOON)
    assert "refused" in [record.getMessage() for record in caplog.records]
    assert not server.authorizer._streams._open


async def test_a_watch_that_is_no_longer_read_is_forgotten(watched: tuple[_Watched, Any]) -> None:
    server, call = watched
    call.cancel()
    await asyncio.wait_for(server.behaviour.ended.wait(), SOON)
    server.look()


async def test_a_behaviour_that_fails_fails_the_watch(watched: tuple[_Watched, Any]) -> None:
    server, call = watched
    server.behaviour.queue.put_nowait("no revision")  # type: ignore[arg-type]  # to make it fail
    assert await ended(call) == "INTERNAL"


async def test_the_file_is_looked_at_again_and_again_whatever_happens(world: World) -> None:
    world.add("alice")
    file, looks = CredentialsFile(world.tokens), asyncio.Queue[int]()

    def looked() -> None:
        looks.put_nowait(len(file.current.by_digest))
        if looks.qsize() == 1:
            raise RuntimeError("a fault of ours")

    following = asyncio.create_task(file.follow(looked, interval=0.001))
    assert await asyncio.wait_for(looks.get(), SOON) == 1
    world.add("bob")
    while await asyncio.wait_for(looks.get(), SOON) != 2:
        pass
    following.cancel()
