"""The composition root: puts a coordinator together and takes it apart again. Wiring only."""

from __future__ import annotations

import asyncio
import logging
import time

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from coordinator._version import __version__
from coordinator.config import ServerSettings, split_address
from coordinator.errors import Unavailable
from coordinator.metrics import MetricsEndpoint, PrometheusRecorder
from coordinator.service import Answering, Servicer
from coordinator.service.health import Health
from coordinator.service.status import StatusReader
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases import LeasePool
from coordinator.store.members import MembersReader
from coordinator.store.runner import Runner
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import add_CoordinatorServiceServicer_to_server

__all__ = ["Server"]

_LOG = logging.getLogger(__name__)
SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
#: How long to wait at start for an etcd that answers, in seconds.
_FIRST_ANSWER_SECONDS = 5.0
#: How long to go on taking calls at shutdown, in seconds. gRPC cancels those that have arrived and were not taken up
#: yet, and whoever watches our health needs a moment to go elsewhere.
_DRAIN_SECONDS = 0.25

_OPTIONS: tuple[tuple[str, int], ...] = (
    # Two coordinators on one port would share its connections between them, and nobody would notice.
    ("grpc.so_reuseport", 0),
    # Clients ping every ten seconds to notice a dead coordinator; gRPC's default is to throw such callers out.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # Beyond the first figure gRPC drops a share of the calls that wait to be taken up, beyond the second all, and their
    # callers only learn that they were cancelled. Its defaults are 1,000 and 3,000; the store refuses with a reason.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
)


class Server:
    """A coordinator. ``start`` it, and ``stop`` it; between the two it answers calls."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.endpoint = ""
        self.metrics_url = ""

    @property
    def ready_line(self) -> str:
        """The one line that tells where everything is."""
        etcd = ",".join(self._settings.etcd)
        return f"coordinator ready: grpc {self.endpoint}, metrics {self.metrics_url}, etcd {etcd}"

    async def start(self) -> None:
        """Start to answer calls; raises ``Unavailable`` if an address is taken or etcd does not answer."""
        settings = self._settings
        self._channel = EtcdChannel(settings.etcd)
        await self._await_etcd()
        registry = CollectorRegistry()
        recorder = PrometheusRecorder(registry)
        runner = Runner(self._channel, LeasePool(self._channel), recorder)
        self._grpc = grpc.aio.server(options=_OPTIONS)
        self.endpoint = self._listen()
        members = MembersReader(self._channel, quota_bytes=settings.quota_bytes)
        status = StatusReader(runner, members, recorder, version=__version__, endpoint=self.endpoint)
        servicer = Servicer(runner, recorder, status, topic_kinds=settings.topic_kinds)
        answering = Answering(servicer, SERVICE.methods, recorder)
        add_CoordinatorServiceServicer_to_server(answering, self._grpc)
        self._health = Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection(
            (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME), self._grpc
        )
        self._metrics = MetricsEndpoint(registry, *split_address(settings.metrics_listen, "metrics-listen"))
        self.metrics_url = self._metrics.url
        await self._grpc.start()
        for name in ("", SERVICE.full_name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Take no more calls, let those in flight be answered, and stop."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(_DRAIN_SECONDS)
        self._health.let_go()
        await self._grpc.stop(self._settings.grace_seconds)
        await asyncio.to_thread(self._metrics.close)
        await self._channel.close()

    async def _await_etcd(self) -> None:
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        try:
            await self._channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/coordination"), deadline=deadline)
        except Unavailable:
            await self._channel.close()
            raise

    def _listen(self) -> str:
        address = self._settings.listen
        host, _ = split_address(address, "listen")
        try:
            port = self._grpc.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if not port:
            raise Unavailable(
                f"the coordinator cannot listen on {address}: the address is taken or not this machine's",
                hint="choose another with --listen, port 0 picks a free one; "
                "or use the coordinator that is running there",
            )
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
