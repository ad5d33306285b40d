"""The options of a coordinator: how it is protected, its limits, its reaper and its log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.quantities import named_path
from coordinator.errors import InvalidInput

if TYPE_CHECKING:
    from coordinator.reaper import ReaperSettings

__all__ = [
    "SECONDS_A_DAY",
    "AuditLog",
    "ClientCa",
    "EtcdQuota",
    "LogFile",
    "LogLevel",
    "MaxCalls",
    "MaxClaimsPerFleet",
    "MaxClaimsPerSession",
    "MaxWaiters",
    "MaxWriteRatePerCredential",
    "MaxWriteRatePerFleet",
    "MetricsPublic",
    "ReaperOn",
    "RetentionDays",
    "TlsCert",
    "TlsKey",
    "Tokens",
    "reaper_settings",
]


TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        envvar="COORDINATION_TLS_CERT",
        parser=named_path("--tls-cert", "a file"),
        help="Use TLS with this certificate (PEM). It is reloaded when it changes.",
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
        help="Accept only clients with a certificate that these authorities (PEM) have signed.",
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
        help="The file that says what each credential may do (docs/security.md). It is reloaded when it changes.",
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


MaxClaimsPerSession = Annotated[
    int,
    typer.Option(
        "--max-claims-per-session",
        metavar="N",
        envvar="COORDINATION_MAX_CLAIMS_PER_SESSION",
        help="How many live claims a session may have; 0 means any number (docs/limits.md).",
    ),
]
MaxClaimsPerFleet = Annotated[
    int,
    typer.Option(
        "--max-claims-per-fleet",
        metavar="N",
        envvar="COORDINATION_MAX_CLAIMS_PER_FLEET",
        help="How many live claims a fleet may have; 0 means any number.",
    ),
]
MaxCalls = Annotated[
    int,
    typer.Option(
        "--max-calls",
        metavar="N",
        envvar="COORDINATION_MAX_CALLS",
        help="How many calls are answered at a time, and half as many for one connection; more are refused.",
    ),
]
MaxWaiters = Annotated[
    int,
    typer.Option(
        "--max-waiters",
        metavar="N",
        envvar="COORDINATION_MAX_WAITERS",
        help="How many calls may wait for work (--wait) beside those that are answered; others are answered at once.",
    ),
]
MaxWriteRatePerFleet = Annotated[
    int | None,
    typer.Option(
        "--max-write-rate-per-fleet",
        metavar="N",
        envvar="COORDINATION_MAX_WRITE_RATE_PER_FLEET",
        help="How many bytes a second a fleet may write into etcd on average, ten minutes' worth at once; 0 means any "
        "number. [default: 1 % of the quota in a minute]",
        show_default=False,
    ),
]
MaxWriteRatePerCredential = Annotated[
    int | None,
    typer.Option(
        "--max-write-rate-per-credential",
        metavar="N",
        envvar="COORDINATION_MAX_WRITE_RATE_PER_CREDENTIAL",
        help="The same for each credential, or each session where there are no --tokens. [default: half of a fleet's]",
        show_default=False,
    ),
]
EtcdQuota = Annotated[
    int | None,
    typer.Option(
        "--etcd-quota-bytes",
        metavar="N",
        envvar="COORDINATION_ETCD_QUOTA_BYTES",
        help="etcd's storage quota: from 80 % of it on new claims are refused. `up` gives it to its etcd; with `serve` "
        "it must be what the etcd was given. [default: up 4 GiB; serve what etcd says, which it does from 3.6 on]",
        show_default=False,
    ),
]


SECONDS_A_DAY = 86_400.0
_MOST_DAYS = 36_500.0

ReaperOn = Annotated[
    bool,
    typer.Option(
        "--reaper/--no-reaper",
        envvar="COORDINATION_REAPER",
        help="Whether this coordinator takes part in the election of the replica that records expired claims.",
    ),
]
RetentionDays = Annotated[
    float,
    typer.Option(
        "--retention-days",
        metavar="DAYS",
        envvar="COORDINATION_RETENTION_DAYS",
        help="How long ended work is kept, with its history; 0 means for ever.",
    ),
]


def reaper_settings(reaper: bool, retention_days: float) -> ReaperSettings | None:
    """Return how to reap, None for not at all; raises ``InvalidInput``."""
    from coordinator.reaper import ReaperSettings

    if not math.isfinite(retention_days) or not 0 <= retention_days <= _MOST_DAYS:
        raise InvalidInput(
            f"--retention-days {retention_days:g} is not allowed; it takes 0 (for ever) to {_MOST_DAYS:g} days",
            field="retention-days",
        )
    return ReaperSettings(retention=retention_days * SECONDS_A_DAY or None) if reaper else None


LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        envvar="COORDINATION_LOG_LEVEL",
        help="The lowest level that is logged: debug, info, warning or error.",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="PATH",
        envvar="COORDINATION_LOG_FILE",
        parser=named_path("--log-file", "a file"),
        help="Where the log is written; it is rotated at 10 MiB, and the two files before it are kept. "
        "[default: standard error; with --detach coordinator.log in the data directory]",
        show_default=False,
    ),
]
AuditLog = Annotated[
    Path | None,
    typer.Option(
        "--audit-log",
        metavar="PATH",
        envvar="COORDINATION_AUDIT_LOG",
        parser=named_path("--audit-log", "a file"),
        help="Where the audit log is written: revocations, refusals, and how often each credential called each method. "
        "[default: nowhere]",
        show_default=False,
    ),
]
