"""The composition root: puts a coordinator together and takes it apart again. Wiring only."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from datetime import datetime

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from coordinator import clock
from coordinator._version import __version__
from coordinator.config import ServerSettings, split_address
from coordinator.errors import CoordinatorError, Unavailable
from coordinator.limits import MAX_REQUEST_BYTES
from coordinator.listeners import hold
from coordinator.logs import dropped_lines
from coordinator.metrics import MetricsEndpoint, PrometheusRecorder, Reading, ReplicaGauges
from coordinator.reaper import Reaper
from coordinator.service import Answering, Servicer
from coordinator.service.access import Authorizer, CredentialsFile, add_guarded_reflection
from coordinator.service.admission import Admission
from coordinator.service.connections import Connections
from coordinator.service.diagnosis import DiagnosisReader
from coordinator.service.granting import Granting
from coordinator.service.health import Health
from coordinator.service.receiving import add_to_server
from coordinator.service.status import StatusReader
from coordinator.service.tls import server_credentials
from coordinator.service.watches import Watches
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.examination import Examination
from coordinator.store.leases import LeasePool
from coordinator.store.members import MembersReader
from coordinator.store.runner import Runner
from coordinator.store.space import SpaceWatch
from coordinator.v1 import service_pb2 as pb

__all__ = ["Server"]

_LOG = logging.getLogger(__name__)
SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
#: How long to wait at start for an etcd that answers, in seconds.
_FIRST_ANSWER_SECONDS = 5.0
#: At shutdown calls are taken up until none has come for the first figure, in seconds, and for the second at most. gRPC
#: cancels those that have arrived and were not taken up yet, and clients that watch our health need a moment to leave.
_DRAIN_SECONDS, _LONGEST_DRAIN_SECONDS = 0.25, 5.0

_OPTIONS: tuple[tuple[str, int], ...] = (
    # Two coordinators on one port would share its connections between them, and it would go unnoticed (`listeners.py`).
    ("grpc.so_reuseport", 0),
    # Clients ping every ten seconds to notice a dead coordinator; gRPC's default is to throw such callers out.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # Beyond the first figure gRPC drops a share of the calls that wait to be taken up, beyond the second all, and their
    # callers only learn that they were cancelled. Its defaults are 1,000 and 3,000; the store refuses with a reason.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
)


class Server:
    """A coordinator. ``start`` it, and ``stop`` it; between the two it answers calls.

    ``wall`` is the clock of the times that it writes and ``boot`` that of the deadlines of its leases; tests of
    replicas whose clocks differ give others.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        wall: Callable[[], datetime] = clock.now,
        boot: Callable[[], float] = clock.boot_seconds,
    ) -> None:
        self._settings = settings
        self._wall = wall
        self._boot = boot
        self.endpoint = ""
        #: The addresses that it listens on: those of the host in ``endpoint``.
        self.listening: tuple[str, ...] = ()
        self.metrics_url = ""
        self._following: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._reaping: asyncio.Task[None] | None = None

    @property
    def ready_line(self) -> str:
        """The one line that tells where everything is."""
        etcd = ",".join(self._settings.etcd)
        return f"coordinator ready: grpc {self.endpoint}, metrics {self.metrics_url}, etcd {etcd}"

    async def start(self) -> None:
        """Start to answer calls; raises ``Unavailable`` if an address is taken or etcd does not answer."""
        settings = self._settings
        credentials, authorizer = self._read_credentials()
        self._tls = self._read_certificates()
        self._channel = EtcdChannel(settings.etcd, settings.etcd_access)
        await self._await_etcd()
        registry = CollectorRegistry()
        recorder = PrometheusRecorder(registry)
        pool = LeasePool(self._channel, boot=self._boot, wall=self._wall)
        self._connections = Connections(self._listen_anew)
        runner = self._runner = Runner(self._channel, pool, recorder, clock=self._wall, pauses=self._connections.pauses)
        self._grpc = grpc.aio.server(options=_OPTIONS)
        self.endpoint = self._listen(settings.listen)
        members = MembersReader(self._channel, quota_bytes=settings.quota_bytes)
        status = StatusReader(runner, members, recorder, version=__version__, endpoint=self.endpoint)
        examination = Examination(self._channel, quota_bytes=settings.quota_bytes, access=settings.etcd_access)
        reaper = self._make_reaper(runner, recorder)
        diagnosis = DiagnosisReader(
            examination,
            runner,
            version=__version__,
            endpoint=self.endpoint,
            clock=self._wall,
            offsets=dict if reaper is None else reaper.offsets,
        )
        self._space = SpaceWatch(self._channel, quota_bytes=settings.quota_bytes)
        granting = Granting(runner, self._space, settings.limits)
        self._watches = Watches(self._channel, runner)
        registry.register(_gauges(pool, self._space, self._watches))
        servicer = Servicer(
            runner,
            recorder,
            status,
            diagnosis,
            granting,
            self._watches,
            topic_kinds=settings.topic_kinds,
            clock=self._wall,
        )
        admission = Admission(settings.limits.max_calls)
        self._health = Health()

        def serve() -> None:
            gate = self._connections.gate()
            self._answering = Answering(servicer, SERVICE.methods, recorder, admission, authorizer, gate)
            add_to_server(self._answering, SERVICE, self._grpc)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
            add_guarded_reflection(
                (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME), self._grpc, authorizer
            )

        self._serve = serve
        self._serve()
        self._metrics = MetricsEndpoint(registry, *split_address(settings.metrics_listen, "metrics-listen"))
        self.metrics_url = self._metrics.url
        await self._space.look()
        self._looking = asyncio.create_task(self._space.run())
        self._connections.pauses.start()
        await self._grpc.start()
        self._renewing = asyncio.create_task(self._connections.run())
        if reaper is not None:
            self._reaping = asyncio.create_task(reaper.run())
        if credentials is not None and authorizer is not None:
            self._following = asyncio.create_task(credentials.follow(authorizer.recheck))
        for name in ("", SERVICE.full_name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Take no more calls, let those in flight be answered, and stop."""
        self._renewing.cancel()
        await asyncio.wait((self._renewing,))
        self._connections.pauses.stop()
        await self._health.enter_graceful_shutdown()
        await self._drain()
        self._health.let_go()
        self._watches.close()
        if self._following is not None:
            self._following.cancel()
        await self._grpc.stop(self._settings.grace_seconds)
        if self._looking is not None:
            self._looking.cancel()
        if self._reaping is not None:
            self._reaping.cancel()
            await asyncio.wait((self._reaping,))
        self._runner.close()
        await asyncio.to_thread(self._metrics.close)
        await self._channel.close()

    async def _drain(self) -> None:
        """Take up the calls that have arrived. On a busy machine that takes longer than any fixed pause."""
        until = time.monotonic() + _LONGEST_DRAIN_SECONDS
        taken_up = -1
        while taken_up != self._answering.taken_up and time.monotonic() < until:
            taken_up = self._answering.taken_up
            await asyncio.sleep(_DRAIN_SECONDS)

    def _make_reaper(self, runner: Runner, recorder: PrometheusRecorder) -> Reaper | None:
        settings = self._settings.reaper
        if settings is None:
            return None
        name = f"{socket.gethostname()}/{self.endpoint}"
        return Reaper(self._channel, runner, recorder, name, settings, clock=self._wall)

    async def _listen_anew(self) -> None:
        """Close all connections, and listen at the same address for new ones."""
        await self._grpc.stop(None)
        self._grpc = grpc.aio.server(options=_OPTIONS)
        self._serve()
        self._listen(self.endpoint)
        await self._grpc.start()

    async def _await_etcd(self) -> None:
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        try:
            await self._channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/coordination"), deadline=deadline)
        except CoordinatorError:
            await self._channel.close()
            raise

    def _read_credentials(self) -> tuple[CredentialsFile | None, Authorizer | None]:
        path = self._settings.security.tokens
        if path is None:
            return None, None
        credentials = CredentialsFile(path)
        return credentials, Authorizer(lambda: credentials.current)

    def _read_certificates(self) -> grpc.ServerCredentials | None:
        security = self._settings.security
        if security.tls_cert is None or security.tls_key is None:
            return None
        return server_credentials(security.tls_cert, security.tls_key, security.client_ca)

    def _listen(self, address: str) -> str:
        host, port = split_address(address, "listen")
        with hold(host, port, what="the coordinator", option="--listen") as held:
            for each, target in zip(held.addresses, held.targets, strict=True):
                self._listen_at(target, held.refused(each))
            held.check_alone()
            self.listening = held.targets
            return f"[{host}]:{held.port}" if ":" in host else f"{host}:{held.port}"

    def _listen_at(self, target: str, refused: Unavailable) -> None:
        try:
            if self._tls is None:
                port = self._grpc.add_insecure_port(target)
            else:
                port = self._grpc.add_secure_port(target, self._tls)
        except RuntimeError:
            port = 0
        if not port:
            raise refused


def _gauges(pool: LeasePool, space: SpaceWatch, watches: Watches) -> ReplicaGauges:
    return ReplicaGauges(
        Reading("leases", "Leases of this replica's pool that have not reached their deadlines.", lambda: pool.size),
        Reading("watchers", "Streams of Watch that this replica serves now.", lambda: watches.size),
        Reading(
            "etcd_has_leader",
            "Whether any etcd member that answers this replica sees a leader: 1 or 0.",
            lambda: space.has_leader,
        ),
        Reading(
            "etcd_db_size_bytes",
            "Size of etcd's database on its largest member, in bytes, free space in it included.",
            lambda: space.db_size_bytes,
        ),
        Reading(
            "etcd_used_bytes",
            "What counts of it towards the quota, on the member with the least room, in bytes; without a sample where "
            "no quota is known. From 80 % of the quota on, new claims are refused.",
            lambda: space.used_bytes,
        ),
        Reading(
            "etcd_quota_bytes",
            "Storage quota of that member, in bytes; without a sample where it is not known.",
            lambda: space.quota_bytes,
        ),
        Reading(
            "log_lines_dropped_total",
            "Lines of the log that were dropped: nobody read them quickly enough, or they could not be written.",
            dropped_lines,
            counts=True,
        ),
    )
