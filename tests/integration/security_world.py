"""Certificates, tokens and callers for the tests of security."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from coordinator.net.channels import CHANNEL_OPTIONS
from coordinator.process.new_files import new_files
from coordinator.security import ca as authority
from coordinator.security.ca import make_certificates
from coordinator.security.new_tokens import add_credential
from coordinator.security.tokens_file import Wanted
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

SERVICE = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
#: How long to wait for a coordinator to look at its files again, at most, in seconds. It does so every second.
SOON = 30.0


@dataclass(frozen=True)
class World:
    """A directory with an authority, certificates and a tokens file."""

    directory: Path

    @property
    def tokens(self) -> Path:
        return self.directory / "tokens.toml"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    def file(self, name: str) -> Path:
        return self.directory / name

    def add(self, name: str, *, file: str | None = None, **rights: Any) -> str:
        """Add a credential with a token, and return the token."""
        out = self.file(file or f"{name}.token")
        add_credential(self.tokens, Wanted(name, **({"fleets": ("default",)} | rights)), out)
        return out.read_text().strip()

    def serve_options(self, *, mutual: bool = False, tokens: bool = True) -> list[str]:
        options = ["--tls-cert", str(self.file("server.crt")), "--tls-key", str(self.file("server.key"))]
        options += ["--client-ca", str(self.ca)] if mutual else []
        return options + (["--tokens", str(self.tokens)] if tokens else [])

    def client_options(self, name: str | None = None, *, bearing: str | None = None) -> dict[str, Any]:
        """What a ``Client`` is made with; ``name`` is whose certificate it shows, ``bearing`` whose token."""
        options: dict[str, Any] = {"ca": self.ca}
        if name is not None:
            options |= {"cert": self.file(f"{name}.crt"), "key": self.file(f"{name}.key")}
        if bearing is not None:
            options["token_file"] = self.file(f"{bearing}.token")
        return options

    def expire(self, name: str, *, client: bool = False) -> None:
        """Replace a certificate by one of the same authority that has expired."""
        for suffix in ("crt", "key"):
            self.file(f"{name}.{suffix}").unlink()
        days_ago = datetime.now(UTC) - timedelta(days=2)
        hosts = None if client else authority.subject_names(("localhost", "127.0.0.1"))
        with new_files() as files:
            authority.issue(
                files,
                authority.load_authority(self.directory),
                (self.file(f"{name}.crt"), self.file(f"{name}.key")),
                name,
                (days_ago - timedelta(days=1), days_ago),
                hosts,
            )


def make_world(directory: Path, *clients: str, hosts: tuple[str, ...] = ()) -> World:
    make_certificates(directory, hosts, clients)
    return World(directory)


def channel(endpoint: str, world: World | None, name: str | None = None) -> grpc.aio.Channel:
    """Open a channel without a client of ours, which would refuse to make some of the calls."""
    if world is None:
        return grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
    pair = (None, None) if name is None else tuple(world.file(f"{name}.{end}").read_bytes() for end in ("key", "crt"))
    credentials = grpc.ssl_channel_credentials(world.ca.read_bytes(), *pair)
    return grpc.aio.secure_channel(endpoint, credentials, options=CHANNEL_OPTIONS)


async def code_of(
    opened: grpc.aio.Channel, method: str, request: Any, token: str | None = None, *, header: str | None = None
) -> tuple[str, str]:
    """Make a call, and return the name of its status and the message."""
    stub = CoordinatorServiceStub(opened)
    value = header if header is not None else None if token is None else f"Bearer {token}"
    metadata = () if value is None else (("authorization", value),)
    streams = SERVICE.methods_by_name[method].server_streaming
    # A stream that is permitted may have nothing to say.
    call = getattr(stub, method)(request, timeout=2 if streams else 20, metadata=metadata)
    try:
        await (call.read() if streams else call)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    call.cancel()
    return "OK", ""
