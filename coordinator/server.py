"""The composition root: builds a coordinator and stops it. Wiring only."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from coordinator import clock
from coordinator._version import __version__
from coordinator.errors import CoordinatorError
from coordinator.logs.audit import Audit
from coordinator.metrics import PrometheusRecorder, TaskGauges
from coordinator.metrics.replica_gauges import replica_gauges
from coordinator.process.open_files import allowed_connections
from coordinator.process.tasks import Tasks, watch_log
from coordinator.reaper import Reaper
from coordinator.server_settings import ServerSettings
from coordinator.service import Middleware, Servicer
from coordinator.service.access import Authorizer, CredentialsFile, add_guarded_reflection
from coordinator.service.admission.admission import Admission
from coordinator.service.admission.budgets import WriteBudgets
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.admission.turns import Turns
from coordinator.service.connections.crowds import Crowd
from coordinator.service.connections.gate import Gate
from coordinator.service.connections.idle import IdleConnections
from coordinator.service.connections.replaceable_server import ReplaceableServer
from coordinator.service.connections.stale import StaleConnections
from coordinator.service.connections.tls import FollowedFiles, server_credentials
from coordinator.service.connections.unread_answers import UnreadAnswers
from coordinator.service.diagnosis import DiagnosisReader
from coordinator.service.drain import drain
from coordinator.service.error_replies import Refusals
from coordinator.service.health import Health
from coordinator.service.next import Looks, Placements, PoolOverview, PoolPlacements, Pools, Views
from coordinator.service.status import StatusReader
from coordinator.service.topics import TopicClaims, TopicViews
from coordinator.service.waiters import Waits
from coordinator.service.watch.watches import Watches
from coordinator.store.diagnosis.members import MembersReader
from coordinator.store.diagnosis.probe import Examination
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies
from coordinator.store.storage_quota import SpaceWatch
from coordinator.v1 import service_pb2 as pb
from coordinator.web import Serving, WebPorts

__all__ = ["Server"]


_LOG = logging.getLogger(__name__)
SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
#: How long to wait at start for an etcd that answers, in seconds.
_FIRST_ANSWER_SECONDS = 5.0
#: How long a task that looks at something every few seconds may be silent.
_SILENT_SECONDS = 60.0


class Server:
    """A coordinator. ``start`` it, and ``stop`` it; between the two it answers calls.

    ``audit`` is where it writes down who did what, None for nowhere. ``wall`` is the clock of the times that it writes
    and ``boot`` that of the deadlines of its leases; tests of replicas whose clocks differ give others.
    """

    def __init__(
        self,
        settings: ServerSettings,
        audit: Audit | None = None,
        *,
        wall: Callable[[], datetime] = clock.now,
        boot: Callable[[], float] = clock.boot_seconds,
    ) -> None:
        self._settings = settings
        self._audit = audit
        self._wall = wall
        self._boot = boot
        self._listener = ReplaceableServer()
        self._stopping = False
        #: Where it answers calls over HTTP, "" where it does not, and where its metrics are.
        self.http_url = self.metrics_url = ""
        #: What goes on in the background, and how that does.
        self.tasks = Tasks()

    @property
    def endpoint(self) -> str:
        """Where it listens, as it is announced to others; "" before it does."""
        return self._listener.endpoint

    @property
    def listening(self) -> tuple[str, ...]:
        """The addresses that it listens on: those of the host in ``endpoint``."""
        return self._listener.listening

    @property
    def ready_line(self) -> str:
        """The line with all addresses; the board is where calls over HTTP are answered."""
        etcd = ",".join(self._settings.etcd)
        board = f", board {self.http_url}/" if self.http_url else ""
        return f"coordinator ready: grpc {self.endpoint}, metrics {self.metrics_url}, etcd {etcd}{board}"

    async def start(self) -> None:
        """Start to answer calls; raises ``Unavailable`` if an address is taken or etcd does not answer."""
        settings = self._settings
        credentials, authorizer = self._read_credentials()
        self._certificates = self._read_certificates()
        tls = None if self._certificates is None else server_credentials(self._certificates)
        self._channel = EtcdChannel(settings.etcd, settings.etcd_access)
        await self._await_etcd()
        registry = CollectorRegistry()
        recorder = PrometheusRecorder(registry)
        pool = LeasePool(self._channel, boot=self._boot, wall=self._wall)
        self._connections = StaleConnections(self._replace)
        runner = self._runner = Runner(self._channel, pool, recorder, clock=self._wall, pauses=self._connections.pauses)
        most_connections = allowed_connections()
        self._listener.open(settings.listen, tls, most_connections)
        members = MembersReader(self._channel, quota_bytes=settings.quota_bytes)
        self._pools = Pools(self._channel, runner)
        overview = PoolOverview(self._pools, runner)
        status = StatusReader(
            runner, members, recorder, overview, self.tasks.statuses, version=__version__, endpoint=self.endpoint
        )
        examination = Examination(self._channel, quota_bytes=settings.quota_bytes, access=settings.etcd_access)
        self._policies = Policies(self._channel, runner, settings.key_rules.topic_kinds)
        reaper = self._make_reaper(runner, recorder)
        diagnosis = DiagnosisReader(
            examination,
            runner,
            self.tasks.statuses,
            version=__version__,
            endpoint=self.endpoint,
            clock=self._wall,
            offsets=dict if reaper is None else reaper.offsets,
            clear_http=self._clear_http,
        )
        self._space = SpaceWatch(self._channel, quota_bytes=settings.quota_bytes)
        budgets = WriteBudgets(settings.limits, lambda: self._space.quota_bytes or settings.quota_bytes, recorder)
        metering = Metering(runner, budgets, self._space)
        claim_limits = ClaimLimits(runner, self._space, settings.limits, metering)
        self._watches = Watches(self._channel, runner)
        self._views = Views(self._channel)
        self._topics = TopicViews(self._channel, runner)
        topics = TopicClaims(runner, claim_limits, metering, self._topics, self._policies, recorder, clock=self._wall)
        looks = Looks(runner, self._views.learn)
        self._waits = Waits(self._views, looks, self._pools, settings.limits.max_waiters)
        registry.register(replica_gauges(pool, self._space, self._watches, self._waits))
        registry.register(TaskGauges(self.tasks))
        turns = Turns(silence=self._channel.silence)
        servicer = Servicer(
            runner,
            recorder,
            status,
            diagnosis,
            claim_limits,
            metering,
            self._watches,
            Placements(runner, claim_limits, metering, self._views, looks, recorder, topics),
            PoolPlacements(runner, claim_limits, metering, self._pools, recorder, topics),
            overview,
            self._policies,
            turns,
            self._waits,
            topics,
            key_rules=settings.key_rules,
            clock=self._wall,
            retention=None if settings.reaper is None else settings.reaper.retention,
            sees=_all_fleets if authorizer is None else lambda context: authorizer.identify(context).fleets.match,
            credential=_no_credential if authorizer is None else lambda context: authorizer.identify(context).name,
        )
        crowd = Crowd()
        idle = IdleConnections(self._listener.port, most_connections, crowd)
        self._serve = self._make_serve(servicer, recorder, authorizer, idle, turns, crowd)
        self._serve()
        self._web = WebPorts(settings, self._serving(registry, authorizer))
        self.http_url, self.metrics_url = self._web.url, self._web.metrics_url
        await self._space.look()
        self._connections.pauses.start()
        await self._listener.server.start()
        self._web.start()
        self._start_tasks(idle, reaper)
        if credentials is not None and authorizer is not None:
            looked = self._looked(credentials, authorizer)
            self.tasks.start("credentials", partial(credentials.follow, looked), within=_SILENT_SECONDS)
        for name in ("", SERVICE.full_name):
            self._health.serves(name)

    def _start_tasks(self, idle: IdleConnections, reaper: Reaper | None) -> None:
        start = self.tasks.start
        start("space", self._space.run, within=_SILENT_SECONDS)
        start("listener", self._connections.run)
        start("idle-connections", idle.run, within=_SILENT_SECONDS)
        start("views", self._views.run, within=_SILENT_SECONDS)
        start("pools", self._pools.run, within=_SILENT_SECONDS)
        start("topics", self._topics.run, within=_SILENT_SECONDS)
        start("policies", self._policies.run, within=_SILENT_SECONDS)
        start("log", watch_log, within=_SILENT_SECONDS)
        if self._certificates is not None:
            start("certificates", self._certificates.run, within=_SILENT_SECONDS)
        if self._audit is not None:
            start("audit-counts", self._audit.run)
        if reaper is not None:
            start("reaper", lambda _: reaper.run())

    def _make_serve(
        self,
        servicer: Servicer,
        recorder: PrometheusRecorder,
        authorizer: Authorizer | None,
        idle: IdleConnections,
        turns: Turns,
        crowd: Crowd,
    ) -> Callable[[], None]:
        """Return what has the gRPC server serve calls: at the start, and whenever it was replaced after a pause."""
        refusals = self._refusals = Refusals(self._audit)
        admission = Admission(self._settings.limits.max_calls)
        unread = UnreadAnswers(idle.close)
        gate = self._gate = Gate(recorder, refusals, authorizer, idle.called, unread=unread, crowd=crowd)
        self._health = Health()
        services = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)

        def serve() -> None:
            self._middleware = Middleware(
                servicer,
                SERVICE.methods,
                recorder,
                admission,
                authorizer,
                self._connections.unpaused(),
                refusals,
                self._audit,
                turns,
            )
            gate.serve(self._listener.server, self._middleware, SERVICE)
            gate.serve(self._listener.server, self._health, _HEALTH, open_to_all=True)
            add_guarded_reflection(services, self._listener.server, authorizer)

        return serve

    def _serving(self, registry: CollectorRegistry, authorizer: Authorizer | None) -> Serving:
        """Return what is served over HTTP, and how."""
        return Serving(
            SERVICE,
            self._gate,
            lambda: self._middleware,
            registry,
            self._refusals,
            authorizer,
            self._read_certificates(),
            lambda: not self._stopping,
            self._connections.unpaused,
        )

    async def _replace(self) -> None:
        """Close all connections, which are older than a pause, and listen for new ones."""
        await self._listener.replace(self._serve)
        self._web.renew()

    def _clear_http(self) -> str:
        """Return where tokens come over HTTP without TLS, "" for nowhere."""
        security = self._settings.security
        return "" if security.tokens is None or security.tls_cert is not None else urlsplit(self.http_url).netloc

    def _looked(self, credentials: CredentialsFile, authorizer: Authorizer) -> Callable[[], None]:
        known = credentials.current

        def looked() -> None:
            nonlocal known
            authorizer.recheck()
            if self._audit is not None and credentials.current is not known:
                known = credentials.current
                self._audit.write("credentials read", count=len(known.by_digest) + len(known.by_certificate))

        return looked

    async def stop(self) -> None:
        """Take no more calls, let those in flight be answered, and stop."""
        self._stopping = True
        await self.tasks.stop("listener")
        self._connections.pauses.stop()
        self._health.stop_serving()
        self._waits.close()
        await drain(self._middleware)
        self._health.let_go()
        self._watches.close()
        await self.tasks.stop("credentials")
        self._web.stop_accepting()
        grace = self._settings.grace_seconds
        await asyncio.gather(self._listener.server.stop(grace), self._web.close(grace))
        await self._waits.settle()
        self.remove_socket()
        await self.tasks.stop()
        self._runner.close()
        await self._channel.close()

    def remove_socket(self) -> None:
        """Remove the socket file, if there is one: also after a start that has failed."""
        self._listener.remove_socket()

    def _make_reaper(self, runner: Runner, recorder: PrometheusRecorder) -> Reaper | None:
        settings = self._settings.reaper
        if settings is None:
            return None
        name = f"{socket.gethostname()}/{self.endpoint}"
        return Reaper(
            self._channel, runner, recorder, name, settings, self.tasks, clock=self._wall, policies=self._policies
        )

    async def _await_etcd(self) -> None:
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        try:
            await self._channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/coordination/"), deadline=deadline)
        except CoordinatorError:
            await self._channel.close()
            raise

    def _read_credentials(self) -> tuple[CredentialsFile | None, Authorizer | None]:
        path = self._settings.security.tokens
        if path is None:
            return None, None
        credentials = CredentialsFile(path)
        return credentials, Authorizer(lambda: credentials.current)

    def _read_certificates(self) -> FollowedFiles | None:
        security = self._settings.security
        if security.tls_cert is None or security.tls_key is None:
            return None
        return FollowedFiles(security.tls_cert, security.tls_key, security.client_ca)


def _all_fleets(_: object) -> Callable[[str], bool]:
    return lambda _: True


def _no_credential(_: object) -> str:
    return ""
