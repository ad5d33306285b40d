"""The options that say how a coordinator is protected, once for ``up`` and ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.paths import named_path
from coordinator.security import SecuritySettings

__all__ = ["ClientCa", "MetricsPublic", "TlsCert", "TlsKey", "Tokens", "arguments"]

TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        envvar="COORDINATION_TLS_CERT",
        parser=named_path("--tls-cert", "a file"),
        help="Speak TLS, with this certificate (PEM). It is read anew when it changes.",
        show_default=False,
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        metavar="FILE",
        envvar="COORDINATION_TLS_KEY",
        parser=named_path("--tls-key", "a file"),
        help="The key of that certificate (PEM, without a password).",
        show_default=False,
    ),
]
ClientCa = Annotated[
    Path | None,
    typer.Option(
        "--client-ca",
        metavar="FILE",
        envvar="COORDINATION_CLIENT_CA",
        parser=named_path("--client-ca", "a file"),
        help="Take connections only from clients with a certificate of these authorities.",
        show_default=False,
    ),
]
Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens",
        metavar="FILE",
        envvar="COORDINATION_TOKENS",
        parser=named_path("--tokens", "a file"),
        help="Which credentials may do what (docs/security.md). It is read anew when it changes.",
        show_default=False,
    ),
]
MetricsPublic = Annotated[
    bool,
    typer.Option(
        "--metrics-public",
        envvar="COORDINATION_METRICS_PUBLIC",
        help="Let other hosts read the metrics: kinds of work and counts, no work keys, sessions or secrets.",
    ),
]


def arguments(security: SecuritySettings) -> list[str]:
    """Return the options that say the same to another process. They name files and hold no secret."""
    files = (
        ("--tls-cert", security.tls_cert),
        ("--tls-key", security.tls_key),
        ("--client-ca", security.client_ca),
        ("--tokens", security.tokens),
    )
    options = [word for name, path in files if path is not None for word in (name, str(path))]
    return [*options, "--metrics-public"] if security.metrics_public else options
