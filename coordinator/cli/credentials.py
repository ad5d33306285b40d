"""The commands that make certificates and tokens. They work on files only, and need no coordinator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.context import current
from coordinator.cli.output import answer
from coordinator.cli.quantities import named_path
from coordinator.errors import InternalError, InvalidInput
from coordinator.limits import DEFAULT_CERTIFICATE_DAYS
from coordinator.time_text import format_time

__all__ = ["COMMANDS"]

Many = list[str] | None


def certs(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            parser=named_path("DIR", "a directory"),
            help="Where the files go; created if it does not exist.",
        ),
    ],
    host: Annotated[
        Many,
        typer.Option(
            "--host",
            metavar="NAME",
            help="A name or IP address of the coordinator, beside localhost, 127.0.0.1 and ::1; may be repeated. If "
            "its certificate exists, the name is added to it.",
            show_default=False,
        ),
    ] = None,
    no_localhost: Annotated[
        bool, typer.Option("--no-localhost", help="Leave out localhost, 127.0.0.1 and ::1; needs --host.")
    ] = False,
    client: Annotated[
        Many,
        typer.Option("--client", metavar="NAME", help="Make a client's certificate too; may be repeated."),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", metavar="N", help="How long they are valid.")
    ] = DEFAULT_CERTIFICATE_DAYS,
) -> int:
    """Make a private authority and a coordinator's certificate signed by it, and certificates of clients.

    Where the directory holds an authority already, that one signs. Nothing is overwritten but the coordinator's
    certificate: --host adds names to it, with the same key and from now on valid for --days. A coordinator that runs
    takes it up within a second or two.
    """
    try:
        from coordinator.security.ca import DEFAULT_HOSTS, make_certificates
    except ModuleNotFoundError as error:
        raise InternalError(
            f"making certificates needs {error.name}, which is not installed",
            hint="pip install 'coordinator[server]'",
        ) from None
    hosts = tuple(host or ())
    if no_localhost and not hosts:
        raise InvalidInput("--no-localhost leaves no name for the certificate", field="host", hint="add --host NAME")
    if hosts and not no_localhost and not (directory / "server.crt").exists():
        # Its own machine reaches it by these, `coordination doctor` and health checks among others.
        hosts = (*DEFAULT_HOSTS, *hosts)
    made = make_certificates(directory, hosts, client or (), days=days)
    lines = [f"authority: {made.ca}; keep {directory / 'ca.key'} where no other user can read it"]
    if made.hosts:
        lines.append(f"coordinator: {made.server_cert}, for {', '.join(made.hosts)}")
        lines.append(f"  coordination up --tls-cert {made.server_cert} --tls-key {made.server_key} --tokens FILE")
        lines.append(f"  its clients: --ca {made.ca}")
    for name, (certificate, key) in made.clients.items():
        lines.append(f"client {name}: {certificate}")
        lines.append(f"  --ca {made.ca} --cert {certificate} --key {key}")
    lines.append(f"valid until {format_time(made.not_after)}")
    found = {
        "ca": str(made.ca),
        "server_cert": str(made.server_cert) if made.hosts else None,
        "server_key": str(made.server_key) if made.hosts else None,
        "hosts": list(made.hosts),
        "clients": [
            {"name": name, "cert": str(certificate), "key": str(key)}
            for name, (certificate, key) in made.clients.items()
        ],
        "not_after": format_time(made.not_after),
    }
    answer(current(), "\n".join(lines), found)
    return 0


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the credential is called in errors and logs.")],
    tokens: Annotated[
        Path,
        typer.Option(
            "--tokens",
            metavar="FILE",
            envvar="COORDINATION_TOKENS",
            parser=named_path("--tokens", "a file"),
            help="The coordinator's tokens file, to which an entry is added; created if it does not exist.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=named_path("--out", "a file"),
            help="Where the new token goes, readable by you only.",
        ),
    ] = None,
    certificate: Annotated[
        str | None,
        typer.Option("--certificate", metavar="NAME", help="Instead of a token: the name in a client's certificate."),
    ] = None,
    sessions: Annotated[
        str,
        typer.Option(
            "--sessions",
            metavar="NAME,…",
            help="The sessions it may act as; * stands for any characters. Without, it may only read.",
        ),
    ] = "",
    fleets: Annotated[
        str | None,
        typer.Option(
            "--fleets", metavar="NAME,…", help="The fleets it may use. [default: the fleet]", show_default=False
        ),
    ] = None,
    role: Annotated[
        str, typer.Option("--role", metavar="agent|operator", help="Operators may also revoke claims.")
    ] = "agent",
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="How long it is valid. [default: for ever]")
    ] = None,
) -> int:
    """Make a credential: a token in a file of its own, and its digest in the coordinator's tokens file.

    A coordinator that runs takes it up within a second or two.
    """
    from coordinator.security.new_tokens import add_credential
    from coordinator.security.tokens_file import Wanted

    context = current()
    wanted = Wanted(
        name=name,
        certificate=certificate,
        sessions=_names(sessions),
        fleets=_names(context.fleet if fleets is None else fleets),
        role=role,
        days=days,
    )
    if (out is None) == (certificate is None):
        raise InvalidInput("either --out or --certificate is needed, and not both", field="out")
    add_credential(tokens, wanted, out)
    lines = [
        f"added {wanted.role} {name} to {tokens}: sessions {_list(wanted.sessions)}, fleets {_list(wanted.fleets)}"
    ]
    if out is not None:
        lines.append(f"its token is in {out}; its commands take --token-file {out}")
    found: dict[str, Any] = {
        "name": name,
        "role": role,
        "sessions": list(wanted.sessions),
        "fleets": list(wanted.fleets),
        "tokens": str(tokens),
        "token_file": None if out is None else str(out),
        "certificate": certificate,
    }
    answer(context, "\n".join(lines), found)
    return 0


def _names(typed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in typed.split(",") if name.strip())


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


COMMANDS: dict[str, Callable[..., int]] = {"certs": certs, "token": token}
