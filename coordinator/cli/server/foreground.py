"""Runs a coordinator until a signal stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from coordinator._version import __version__
from coordinator.cli.server import up_arguments
from coordinator.cli.server.key_options import KeyOptions
from coordinator.cli.streams import announce, notice
from coordinator.errors import CoordinatorError
from coordinator.logs import format as log_format
from coordinator.logs.audit import Audit
from coordinator.net.endpoints import split_address
from coordinator.net.loopback import is_loopback
from coordinator.net.unix_sockets import is_unix
from coordinator.process.memory import collect_less_often, return_large_blocks
from coordinator.process.open_files import need_files
from coordinator.process.service_manager import notify
from coordinator.reaper import ReaperSettings
from coordinator.security.host_users import has_other_users
from coordinator.security.settings import SecuritySettings
from coordinator.server import Server
from coordinator.server_limits import LimitSettings, check_quota
from coordinator.server_settings import ServerSettings
from coordinator.store.embedded import (
    DEFAULT_QUOTA_BYTES,
    EmbeddedEtcd,
    check_loopback,
    default_data_dir,
    find_etcd,
    keep_running,
)
from coordinator.store.embedded.control_socket import Control
from coordinator.store.embedded.version_notice import notices_for
from coordinator.store.etcd.access import EtcdAccess, parse_members

__all__ = ["HttpOptions", "Options", "run_beside", "run_embedded"]

_LOG = logging.getLogger(__name__)
#: What --etcd-listen means.
_OPEN = (
    "etcd listens on --etcd-listen: every user of this host can read and change all claims there, whatever tokens say"
)


class HttpOptions(NamedTuple):
    """Where there is HTTP, and under which names, as it is typed."""

    listen: str | None = None
    metrics_listen: str | None = None
    hosts: str = ""

    def names(self) -> tuple[str, ...]:
        """Return the further names of this coordinator."""
        return tuple(name.strip() for name in self.hosts.split(",") if name.strip())


class Options(NamedTuple):
    """What ``up`` and ``serve`` have in common."""

    listen: str
    http: HttpOptions
    keys: KeyOptions
    insecure: bool
    security: SecuritySettings = SecuritySettings()
    log: log_format.LogSettings = log_format.LogSettings()
    limits: LimitSettings = LimitSettings()
    quota_bytes: int | None = None
    etcd_access: EtcdAccess = EtcdAccess()
    reaper: ReaperSettings | None = ReaperSettings()

    def settings(self, etcd: tuple[str, ...]) -> ServerSettings:
        """Return the settings of the coordinator; raises ``InvalidInput``."""
        return ServerSettings(
            etcd=etcd,
            listen=self.listen,
            http_listen=self.http.listen,
            metrics_listen=self.http.metrics_listen,
            http_hosts=self.http.names(),
            key_rules=self.keys.rules(),
            insecure=self.insecure,
            security=self.security,
            etcd_access=self.etcd_access,
            reaper=self.reaper,
            quota_bytes=check_quota(self.quota_bytes),
            limits=self.limits,
        )


def run_embedded(
    data_dir: Path | None,
    etcd_path: str | None,
    options: Options,
    *,
    etcd_listen: str | None,
    lock_descriptor: int | None = None,
) -> int:
    """Run an etcd and a coordinator on this machine; returns the exit code.

    ``lock_descriptor`` is the lock of the data directory, where who started this process has taken it.
    """
    need_files(with_etcd=True)
    return_large_blocks()
    settings = up_arguments.settings(up_arguments.arguments(options, etcd_path, etcd_listen))
    listen = split_address(etcd_listen, "etcd-listen") if etcd_listen is not None else None
    if listen is not None:
        check_loopback(listen[0])
    quota_bytes = options.quota_bytes if options.quota_bytes is not None else DEFAULT_QUOTA_BYTES
    options = options._replace(quota_bytes=quota_bytes)
    options.settings(etcd=("127.0.0.1:1",))  # so that a mistake is reported before anything is started
    binary = find_etcd(etcd_path)
    if listen is not None:
        notice(_OPEN)
    for text in _notices(options):
        notice(text)

    async def run() -> int:
        etcd = EmbeddedEtcd(data_dir or default_data_dir(), binary, quota_bytes=quota_bytes, listen=listen)
        etcd.lock(lock_descriptor)
        for text in notices_for(binary, etcd.data_dir):
            notice(text)
        async with Control(etcd.sockets, settings) as control, etcd:
            return await _serve(options.settings((etcd.endpoint,)), options.log.audit, etcd, control)

    return _run(run, options)


def run_beside(endpoints: str, options: Options) -> int:
    """Run a coordinator beside an etcd that is there already; returns the exit code."""
    need_files(with_etcd=False)
    return_large_blocks()
    settings = options.settings(parse_members(endpoints))
    for text in _notices(options):
        notice(text)
    return _run(lambda: _serve(settings, options.log.audit), options)


def _notices(options: Options) -> Iterator[str]:
    """Yield a notice if another user of this host may get tokens; of calls over HTTP as well as over gRPC."""
    if options.security.tokens is None or options.security.tls_cert is not None:
        return
    listening = {"listen": options.listen, "http-listen": options.settings(etcd=("127.0.0.1:1",)).calls_listen}
    taken = []
    for field, address in listening.items():
        if address is not None and not is_unix(address):
            host, port = split_address(address, field)
            if port and is_loopback(host):
                taken.append(address)
    if taken and has_other_users():
        # Beside a socket there are calls over HTTP only where --http-listen is given.
        prevents = "--tls-cert" if is_unix(options.listen) else "--listen unix:/PATH"
        yield (
            f"tokens are sent in clear text to {' and '.join(taken)}, which another user of this host could take; "
            f"{prevents} prevents that"
        )


def _run(main: Callable[[], Coroutine[Any, Any, int]], options: Options) -> int:
    log_format.configure(options.log)
    try:
        return uvloop.run(main())
    finally:
        logging.shutdown()


async def _serve(
    settings: ServerSettings, audit_log: Path | None, etcd: EmbeddedEtcd | None = None, control: Control | None = None
) -> int:
    """Serve until a signal comes, or the embedded etcd ends and cannot be started again."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # nohup ignores it, so that a coordinator goes on without its terminal.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, _note_signal, stop, number)
    audit = None if audit_log is None else Audit(audit_log)
    server = Server(settings, audit)
    async with AsyncExitStack() as stack:
        if audit is not None:
            stack.callback(audit.close)
        stack.callback(server.remove_socket)
        await server.start()
        collect_less_often()
        stack.callback(_LOG.info, "stopped", extra=log_format.said(pid=os.getpid()))
        stack.push_async_callback(server.stop)
        where = {
            "grpc": server.endpoint,
            "http": server.http_url or "-",
            "metrics": server.metrics_url,
            "etcd": ",".join(settings.etcd),
        }
        listening = ",".join(server.listening)
        _LOG.info("started", extra=log_format.said(version=__version__, pid=os.getpid(), **where, listening=listening))
        if control is not None:
            control.set_ready(server.ready_line)
            stack.callback(control.set_ending)
        if audit is not None:
            audit.write("started", version=__version__, pid=os.getpid(), **where)
            audit.end_with("stopped", pid=os.getpid())
        if is_unix(server.endpoint):
            notice(f"clients reach it with COORDINATION_ENDPOINT={shlex.quote(server.endpoint)}")
        # It runs even if the ready line cannot be written.
        announce(f"{server.ready_line}\n")
        notify("READY=1")
        try:
            number = await _until_stopped(stop, etcd)
        except CoordinatorError as error:
            _LOG.error("stopping", extra=log_format.said(why=error.message))  # a traceback would not help
            raise
        _LOG.info("stopping", extra=log_format.said(why=number.name))
        notify("STOPPING=1")
    return 0 if number is signal.SIGTERM else 128 + number


def _note_signal(stop: asyncio.Future[signal.Signals], number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number)


async def _until_stopped(stop: asyncio.Future[signal.Signals], etcd: EmbeddedEtcd | None) -> signal.Signals:
    """Wait for a signal, and keep etcd running until then; raises ``Unavailable`` if that cannot be done."""
    if etcd is None:
        return await stop
    keeping = asyncio.create_task(keep_running(etcd))
    try:
        await asyncio.wait((keeping, stop), return_when=asyncio.FIRST_COMPLETED)
        return stop.result() if stop.done() else await keeping
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
