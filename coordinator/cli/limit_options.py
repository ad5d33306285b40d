"""The options that bound what a coordinator grants and answers, once for ``up`` and ``serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.limits import DEFAULT_MAX_CALLS, LimitSettings

__all__ = [
    "EtcdQuota",
    "MaxCalls",
    "MaxClaimsPerFleet",
    "MaxClaimsPerSession",
    "MaxWriteRatePerCredential",
    "MaxWriteRatePerFleet",
    "arguments",
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
        help="How many calls are answered at a time, and half as many of one connection; more are refused.",
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


def arguments(limits: LimitSettings, quota_bytes: int | None) -> list[str]:
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
