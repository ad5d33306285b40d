"""The options that say how to connect to an etcd: for ``serve``, ``backup`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.quantities import named_path

__all__ = ["EtcdCa", "EtcdCert", "EtcdKey", "EtcdOptions", "EtcdPasswordFile", "EtcdUser"]

#: The values of the options below, in their order.
EtcdOptions = tuple[Path | None, Path | None, Path | None, str | None, Path | None]

EtcdCa = Annotated[
    Path | None,
    typer.Option(
        "--etcd-ca",
        metavar="FILE",
        envvar="COORDINATION_ETCD_CA",
        parser=named_path("--etcd-ca", "a file"),
        help="Use TLS to etcd, and trust these authorities (PEM).",
        show_default=False,
    ),
]
EtcdCert = Annotated[
    Path | None,
    typer.Option(
        "--etcd-cert",
        metavar="FILE",
        envvar="COORDINATION_ETCD_CERT",
        parser=named_path("--etcd-cert", "a file"),
        help="The certificate to show to etcd (PEM).",
        show_default=False,
    ),
]
EtcdKey = Annotated[
    Path | None,
    typer.Option(
        "--etcd-key",
        metavar="FILE",
        envvar="COORDINATION_ETCD_KEY",
        parser=named_path("--etcd-key", "a file"),
        help="The key of that certificate (PEM, without a password).",
        show_default=False,
    ),
]
EtcdUser = Annotated[
    str | None,
    typer.Option(
        "--etcd-user",
        metavar="NAME",
        envvar="COORDINATION_ETCD_USER",
        help="Log in to etcd as this user.",
        show_default=False,
    ),
]
EtcdPasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--etcd-password-file",
        metavar="FILE",
        envvar="COORDINATION_ETCD_PASSWORD_FILE",
        parser=named_path("--etcd-password-file", "a file"),
        help="The password of that user is the first line of this file.",
        show_default=False,
    ),
]
