"""``coordination doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.context import Context, current
from coordinator.cli.json_objects.doctor import doctor_object
from coordinator.cli.output import answer
from coordinator.cli.server.etcd_options import EtcdCa, EtcdCert, EtcdKey, EtcdOptions, EtcdPasswordFile, EtcdUser
from coordinator.cli.text.doctor import colour_findings, describe_findings
from coordinator.diagnosis.findings import Finding, is_healthy

__all__ = ["COMMANDS"]

Etcd = Annotated[
    str | None,
    typer.Option("--etcd", metavar="HOST:PORT,…", help="Examine this etcd instead, before any coordinator runs."),
]


def doctor(
    etcd: Etcd = None,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
) -> int:
    """Check the coordinators and their etcd, and show what to do about problems.

    Exits with 0 if there is no problem, warnings or not, and with 1 if there is one: also where nothing answers. With
    --etcd it looks at an etcd directly, which needs what `serve` needs.
    """
    context = current()
    how = (etcd_ca, etcd_cert, etcd_key, etcd_user, etcd_password_file)
    findings = _examine_coordinators(context) if etcd is None else _examine_etcd(etcd, how, context)
    answer(context, describe_findings(findings), doctor_object(findings), decorate=colour_findings)
    return 0 if is_healthy(findings) else 1


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"doctor": doctor}


def _examine_coordinators(context: Context) -> tuple[Finding, ...]:
    from coordinator.cli.doctor.checks import examine

    return examine(context)


def _examine_etcd(etcd: str, how: EtcdOptions, context: Context) -> tuple[Finding, ...]:
    from coordinator.cli.server.serve import need_server

    need_server()
    from coordinator.cli.doctor.etcd_checks import examine

    return examine(etcd, how, seconds=context.timeout)
