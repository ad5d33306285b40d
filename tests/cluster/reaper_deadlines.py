"""When claims end, by the wall clock, against when claimants expected it, while etcd loses its leader or more."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import grpc
import grpc.aio

from coordinator import AsyncClient
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import end_of_prefix
from coordinator.reaper import ReaperSettings
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.cluster.etcd_cluster import EtcdCluster
from tests.cluster.reaper_world import check_recorded_once, opened

GRACE_SECONDS = ReaperSettings().sweep_grace

__all__ = ["BOUND_SECONDS", "Lives", "Replica", "live_through"]

#: How long after its ``expires_at`` a claim may be gone at the latest, with a reaper running.
BOUND_SECONDS = GRACE_SECONDS + 3.0
#: How long to wait for a claim that is still there when all should be gone.
_PATIENCE_SECONDS = 10.0
_FLEET = "deadlines"


class Asked(NamedTuple):
    """A claim: when it was asked for, for how long, and until when it was said to last."""

    work_key: str
    asked: datetime
    ttl_seconds: float
    expires_at: datetime


@dataclass(frozen=True)
class Lives:
    """What claimants were answered, and when their claims' keys were gone."""

    answers: Sequence[Asked]
    gone: dict[str, datetime]

    @property
    def lateness(self) -> list[float]:
        """How many seconds after its ``expires_at`` each claim was gone, the earliest first."""
        return sorted(
            (self.gone[claim.work_key] - claim.expires_at).total_seconds()
            for claim in self.answers
            if claim.work_key in self.gone
        )

    def outlived(self, seconds: float) -> int:
        """Return how many were gone later than that after their ``expires_at``."""
        return sum(late >= seconds for late in self.lateness)

    def wrong(self, bound_seconds: float) -> list[str]:
        """Return which claims ended before their time, or outlived it by more than the bound."""
        wrong = []
        for claim in self.answers:
            gone = self.gone.get(claim.work_key)
            if gone is None:
                wrong.append(f"{claim} is still there")
                continue
            late = (gone - claim.expires_at).total_seconds()
            if late < 0 or gone < claim.asked + timedelta(seconds=claim.ttl_seconds):
                wrong.append(f"{claim} ended too early, at {gone}")
            if late > bound_seconds:
                wrong.append(f"{claim} ended {late:.2f} s after its deadline, at {gone}")
        return wrong


async def live_through(
    cluster: EtcdCluster,
    coordinators: Sequence[str],
    ttls: Sequence[float],
    fault: Callable[[], object],
    *,
    after_seconds: float,
    bound_seconds: float = BOUND_SECONDS,
) -> Lives:
    """Claim for each of the TTLs, have the fault come ``after_seconds`` later, and see when the claims are gone.

    Raises AssertionError where what expired is not recorded once each.
    """
    async with watching_deletions(cluster) as gone:
        answers = await claim_all(coordinators, ttls)
        await asyncio.sleep(after_seconds)
        await asyncio.to_thread(fault)
        latest = max(claim.expires_at for claim in answers) + timedelta(seconds=bound_seconds + _PATIENCE_SECONDS)
        while len(gone) < len(answers) and datetime.now(UTC) < latest:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.1)
        lives = Lives(answers, dict(gone))
    if len(lives.gone) == len(answers):
        async with opened(cluster.etcd, _FLEET) as world:
            await world.await_count("loose", len(answers))
            await check_recorded_once(world, len(answers))
    return lives


async def claim_all(coordinators: Sequence[str], ttls: Sequence[float]) -> list[Asked]:
    """Claim a work key for each of the TTLs, through all coordinators in turn."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(endpoint, fleet=_FLEET, timeout=10))
            for endpoint in coordinators
        ]

        async def claim(client: AsyncClient, number: int, ttl: float) -> Asked:
            work_key, asked = f"task:{number:03d}", datetime.now(UTC)
            claim = await client.claim(f"session-{number % 10}", work_key, ttl)
            return Asked(work_key, asked, ttl, claim.expires_at)

        turns = zip(itertools.cycle(clients), enumerate(ttls), strict=False)
        return await asyncio.gather(*(claim(client, number, ttl) for client, (number, ttl) in turns))


@contextlib.asynccontextmanager
async def watching_deletions(cluster: EtcdCluster) -> AsyncIterator[dict[str, datetime]]:
    """Note when claims are gone, as whichever member reports it first: one that hangs reports it late."""
    gone: dict[str, datetime] = {}
    watches = [asyncio.create_task(_watch(endpoint, gone)) for endpoint in cluster.endpoints]
    try:
        yield gone
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.wait(watches)


async def _watch(endpoint: str, gone: dict[str, datetime]) -> None:
    """Watch at one member, on a connection of its own, and again whenever that ends."""
    prefix = FleetPaths(_FLEET).prefix("claim")
    create = rpc.WatchCreateRequest(key=prefix, range_end=end_of_prefix(prefix), start_revision=1)
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(endpoint, options=options) as channel:
        watch = channel.stream_stream(
            Methods.WATCH.path,
            request_serializer=rpc.WatchRequest.SerializeToString,
            response_deserializer=rpc.WatchResponse.FromString,
        )
        while True:
            call = watch()
            with contextlib.suppress(grpc.RpcError):
                await call.write(rpc.WatchRequest(create_request=create))
                while isinstance(response := await call.read(), rpc.WatchResponse) and not response.canceled:
                    now = datetime.now(UTC)
                    for event in response.events:
                        create.start_revision = event.kv.mod_revision
                        if event.type == rpc.Event.DELETE:
                            gone.setdefault(event.kv.key.removeprefix(prefix).decode(), now)
            call.cancel()
            await asyncio.sleep(0.05)


#: A coordinator with a reaper whose clock allowance is short: there is no option for that, which is as it should be.
_SERVE = """
import asyncio, sys
from coordinator.server_settings import ServerSettings
from coordinator.reaper import ReaperSettings
from coordinator.server import Server

async def main():
    etcd, allowance, overdue_every, beat_every = sys.argv[1:]
    reaper = ReaperSettings(
        allowance=float(allowance), overdue_every=float(overdue_every), beat_every=float(beat_every)
    )
    local = "127.0.0.1:0"
    server = Server(ServerSettings(tuple(etcd.split(",")), listen=local, metrics_listen=local, reaper=reaper))
    await server.start()
    print(server.ready_line, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Replica:
    """A coordinator in a process of its own, with other settings of its reaper than ``serve`` would give it."""

    def __init__(self, etcd: str, settings: ReaperSettings) -> None:
        figures = (settings.allowance, settings.overdue_every, settings.beat_every)
        self._command = [sys.executable, "-c", _SERVE, etcd, *map(str, figures)]
        self._process: subprocess.Popen[str] | None = None
        self.endpoint = ""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready.startswith("coordinator ready: grpc "), ready
        self.endpoint = ready.split()[3].rstrip(",")

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            with self._process:
                self._process.kill()
            self._process = None

    @classmethod
    @contextlib.contextmanager
    def running(cls, etcd: str, settings: ReaperSettings, count: int = 2) -> Iterator[list[Replica]]:
        """Run some of them until the block ends."""
        replicas = [cls(etcd, settings) for _ in range(count)]
        try:
            for replica in replicas:
                replica.start()
            yield replicas
        finally:
            for replica in replicas:
                replica.kill()
