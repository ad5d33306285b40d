"""Options of ``up`` and ``serve`` that other commands take too: protection, etcd, limits, reaper, log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.quantities import named_path
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_MAX_CALLS, LimitSettings
from coordinator.security.settings import SecuritySettings

if TYPE_CHECKING:
    from coordinator.logs.format import LogSettings
    from coordinator.reaper import ReaperSettings

__all__ = [
    "DEFAULT_RETENTION_DAYS",
    "AuditLog",
    "ClientCa",
    "EtcdCa",
    "EtcdCert",
    "EtcdKey",
    "EtcdOptions",
    "EtcdPasswordFile",
    "EtcdQuota",
    "EtcdUser",
    "LogFile",
    "LogLevel",
    "MaxCalls",
    "MaxClaimsPerFleet",
    "MaxClaimsPerSession",
    "MaxWriteRatePerCredential",
    "MaxWriteRatePerFleet",
    "MetricsPublic",
    "ReaperOn",
    "RetentionDays",
    "TlsCert",
    "TlsKey",
    "Tokens",
    "limit_arguments",
    "log_arguments",
    "reaper_arguments",
    "reaper_settings",
    "security_arguments",
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


def security_arguments(security: SecuritySettings) -> list[str]:
    """Return the options that say the same to another process. They name files and hold no secret."""
    files = (
        ("--tls-cert", security.tls_cert),
        ("--tls-key", security.tls_key),
        ("--client-ca", security.client_ca),
        ("--tokens", security.tokens),
    )
    options = [word for name, path in files if path is not None for word in (name, str(path))]
    return [*options, "--metrics-public"] if security.metrics_public else options


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


def limit_arguments(limits: LimitSettings, quota_bytes: int | None) -> list[str]:
    """Return the options that say the same to another process."""
    words: list[str] = []
    for name, value, default in (
        ("--max-claims-per-session", limits.max_claims_per_session, 0),
        ("--max-claims-per-fleet", limits.max_claims_per_fleet, 0),
        ("--max-calls", limits.max_calls, DEFAULT_MAX_CALLS),
        ("--max-write-rate-per-fleet", limits.max_write_rate_per_fleet, None),
        ("--max-write-rate-per-credential", limits.max_write_rate_per_credential, None),
        ("--etcd-quota-bytes", quota_bytes, None),
    ):
        words += [name, str(value)] if value != default else []
    return words


DEFAULT_RETENTION_DAYS = 30.0
_SECONDS_A_DAY = 86_400.0
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
    return ReaperSettings(retention=retention_days * _SECONDS_A_DAY or None) if reaper else None


def reaper_arguments(reaper: ReaperSettings | None) -> list[str]:
    """Return the options that say the same to another ``up``."""
    if reaper is None:
        return ["--no-reaper"]
    return ["--retention-days", repr((reaper.retention or 0.0) / _SECONDS_A_DAY)]


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


def log_arguments(log: LogSettings) -> list[str]:
    """Return the arguments that say this."""
    files = (("--log-file", log.file), ("--audit-log", log.audit))
    return ["--log-level", log.level, *(word for name, file in files if file is not None for word in (name, str(file)))]
