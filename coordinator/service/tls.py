"""TLS on the port of the service, with certificates that are read anew when their files change.

Invariant: files that cannot be used never replace those that could.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import grpc

from coordinator.errors import InvalidInput
from coordinator.logs import said
from coordinator.pem import KeyPair, read_authorities, read_key_pair

__all__ = ["server_credentials"]

_LOG = logging.getLogger(__name__)


class _Files(NamedTuple):
    pair: KeyPair
    client_ca: bytes | None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.pair.key, self.pair.chain)], self.client_ca)


def server_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Return the credentials to listen with; raises ``InvalidInput`` if a file cannot be used.

    With ``client_ca`` only clients with a certificate of these authorities get a connection. Connections that are there
    stay as they are when files change.
    """
    used = _read(cert, key, client_ca)
    trouble = ""

    def current() -> grpc.ServerCertificateConfiguration:
        """Called by gRPC for every new connection, in a thread of its own."""
        nonlocal used, trouble
        try:
            found = _read(cert, key, client_ca)
        except InvalidInput as error:
            # Once each: connections are many.
            if error.message != trouble:
                _LOG.error("certificates unchanged", extra=said(why=error.message))
            trouble = error.message
            return used.configuration()
        trouble = ""
        if found != used:
            used = found
            _LOG.info("certificates read", extra=said(file=str(cert)))
        return used.configuration()

    return grpc.dynamic_ssl_server_credentials(used.configuration(), current, client_ca is not None)


def _read(cert: Path, key: Path, client_ca: Path | None) -> _Files:
    return _Files(
        read_key_pair(cert, key, "tls-cert", "tls-key"),
        None if client_ca is None else read_authorities(client_ca, "client-ca"),
    )
