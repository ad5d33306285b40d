"""How to connect to etcd: with TLS or not, and as which user.

Invariant: a password is read from its file when it is needed and nowhere kept; it is in no setting, message or log.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from coordinator.errors import InvalidInput
from coordinator.net.channels import CHANNEL_OPTIONS
from coordinator.net.endpoints import parse_endpoints
from coordinator.net.loopback import stays_here
from coordinator.net.unix_sockets import UNIX, target_of
from coordinator.security.file_trust import read_bounded, read_trusted

__all__ = ["EtcdAccess", "parse_members"]

#: etcd throws out who pings more often than every 5 s (``--grpc-keepalive-min-time``). A watch is silent for minutes
#: while nothing happens, and must notice all the same that its connection is dead: gRPC would stop to ping such a one.
_OPTIONS: tuple[tuple[str, int | str], ...] = (
    *CHANNEL_OPTIONS,
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC would take megabytes of each watch that is not read yet, growing with the bandwidth; so it takes 64 KiB.
    ("grpc.http2.bdp_probe", 0),
)


@dataclass(frozen=True, slots=True)
class EtcdAccess:
    """TLS and user towards etcd; nothing of it is set for an etcd that asks for neither.

    ``ca`` turns TLS on and names the authorities to trust; ``cert`` and ``key`` are what we show ourselves. ``user``
    logs in with the password that is the first line of ``password_file``. Files are PEM. Raises ``InvalidInput`` where
    one is given without the other that it needs, cannot be read, or a password can be read by every user of the host.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password_file: Path | None = None

    def __post_init__(self) -> None:
        if self.user == "":
            raise InvalidInput("--etcd-user is empty; it must be a name", field="etcd-user", hint="or leave it out")
        for given, needed, name, other in (
            (self.cert, self.key, "etcd-cert", "etcd-key"),
            (self.key, self.cert, "etcd-key", "etcd-cert"),
            (self.cert, self.ca, "etcd-cert", "etcd-ca"),
            (self.user, self.password_file, "etcd-user", "etcd-password-file"),
            (self.password_file, self.user, "etcd-password-file", "etcd-user"),
        ):
            if given is not None and needed is None:
                raise InvalidInput(f"--{name} needs --{other} too", field=name, hint=f"give --{other}, or neither")
        for path, name in ((self.ca, "etcd-ca"), (self.cert, "etcd-cert"), (self.key, "etcd-key")):
            if path is not None:
                _read(path, name)
        if self.password_file is not None:
            self.password()

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.ca is not None

    @property
    def shown(self) -> tuple[Path, Path] | None:
        """Certificate and key that we show, if we do."""
        return None if self.cert is None or self.key is None else (self.cert, self.key)

    def password(self) -> str:
        """Read the password; raises ``InvalidInput`` if there is none."""
        if self.password_file is None:
            raise InvalidInput("no --etcd-password-file was given", field="etcd-password-file")
        found = _read(self.password_file, "etcd-password-file")
        try:
            password = found.decode().split("\n", 1)[0].rstrip("\r")
        except UnicodeDecodeError:
            password = ""
        if not password:
            raise InvalidInput(
                f"--etcd-password-file {self.password_file} does not begin with a password in UTF-8",
                field="etcd-password-file",
            )
        return password

    def check_clear(self, endpoints: Sequence[str]) -> None:
        """Raise ``InvalidInput`` if the password would travel in clear to another host."""
        if self.tls or self.user is None:
            return
        for endpoint in endpoints:
            if not stays_here(endpoint):
                raise InvalidInput(
                    f"the password of --etcd-user is not sent to {endpoint}, because it would travel in clear",
                    field="etcd-ca",
                    hint="give the authority of etcd's certificates with --etcd-ca; `serve --insecure` sends it all "
                    "the same, if only trusted hosts can reach the network",
                )

    def open_channel(self, endpoint: str) -> grpc.aio.Channel:
        """Open a channel to the member at ``endpoint``, ``HOST:PORT`` or ``unix:PATH``."""
        target = target_of(endpoint)
        if self.ca is None:
            return grpc.aio.insecure_channel(target, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca, "etcd-ca"),
            private_key=None if self.key is None else _read(self.key, "etcd-key"),
            certificate_chain=None if self.cert is None else _read(self.cert, "etcd-cert"),
        )
        return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


def parse_members(typed: str) -> tuple[str, ...]:
    """Read where etcd's members are: ``HOST:PORT`` or ``unix:PATH`` each, with commas between them.

    Raises ``InvalidInput`` for anything else.
    """
    found: list[str] = []
    for part in filter(None, (part.strip() for part in typed.split(","))):
        if not part.startswith(UNIX):
            found += parse_endpoints(part, field="etcd")
            continue
        # etcdctl writes it as a URL.
        path = part.removeprefix(UNIX).removeprefix("//")
        if not path.startswith("/") or "\0" in path:
            raise InvalidInput(
                f"{part!r} is not an address for --etcd: a unix socket is named by an absolute path",
                field="etcd",
                hint="for example unix:/home/me/.local/share/coordination/sockets/etcd.sock:0, as `up` prints it",
            )
        found.append(f"{UNIX}{path}")
    return tuple(found) or parse_endpoints("", field="etcd")


def _read(path: Path, name: str) -> bytes:
    try:
        secret = name in ("etcd-key", "etcd-password-file")
        found = read_bounded(path) if name == "etcd-cert" else read_trusted(path, name, secret=secret)
    except OSError as error:
        raise InvalidInput(
            f"--{name} {path} cannot be read: {error.strerror}", field=name, hint="name a file that can be read"
        ) from None
    if name != "etcd-password-file" and b"-----BEGIN " not in found:
        raise InvalidInput(f"--{name} {path} is not a PEM file", field=name, hint=f"{os.fspath(path)} must hold PEM")
    return found
