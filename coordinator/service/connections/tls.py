"""TLS on the port of the service, with certificates that are reloaded when their files change.

Invariants:
- Files that cannot be used never replace those that could.
- gRPC is given a configuration once for each change, and none where nothing has changed: it replaces its own with what
  it is given while other connections use it, and 500 at once have crashed it so (gRPC 1.85).
- However many connections come, the files are read once for each change.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import grpc

from coordinator.errors import InvalidInput
from coordinator.logs.format import said
from coordinator.process.tasks import Task, repeat
from coordinator.security.pem import KeyPair, read_authorities, read_key_pair

__all__ = ["FollowedFiles", "server_credentials"]

_LOG = logging.getLogger(__name__)
#: A file that was changed so short a time ago, in seconds, may be changed again without a trace in its times.
_FRESH_SECONDS = 2.0
#: How often it is read then at most, in seconds.
_AGAIN_SECONDS = 0.05
#: How often it is looked whether the files can be used, in seconds.
_LOOK_SECONDS = 10.0

_Signature = tuple[tuple[int, ...], ...]


class _Files(NamedTuple):
    pair: KeyPair
    client_ca: bytes | None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.pair.key, self.pair.chain)], self.client_ca)


def server_credentials(files: FollowedFiles) -> grpc.ServerCredentials:
    """Return the credentials to listen with.

    With authorities among the files only clients with a certificate of these get a connection. Connections that are
    there stay as they are when files change.
    """
    return grpc.dynamic_ssl_server_credentials(
        files.used.configuration(),
        files.changed,  # type: ignore[arg-type]  # it may return None, whatever the stubs say
        files.used.client_ca is not None,
    )


class FollowedFiles:
    """Certificate, key and authorities as they were when they could last be used; ``clock`` returns the Unix time.

    Raises ``InvalidInput`` where they cannot be used to begin with.
    """

    def __init__(
        self, cert: Path, key: Path, client_ca: Path | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._clock = clock
        self._signature = self._sign()
        self.used = self._read()
        self._read_at = clock()
        self._trouble = ""
        self._lock = threading.Lock()

    async def run(self, task: Task) -> None:
        """Check repeatedly whether they can be used, also while no client connects; ``task`` fails while not."""
        await repeat(task, partial(asyncio.to_thread, self._read), every=_LOOK_SECONDS)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold, None where that is known; gRPC asks for each connection, in any thread."""
        with self._lock:
            signature, now = self._sign(), self._clock()
            if signature == self._signature and not self._may_differ(signature, now):
                return None
            self._signature, self._read_at = signature, now
            try:
                found = self._read()
            except InvalidInput as error:
                # Once each: connections are many.
                if error.message != self._trouble:
                    _LOG.error("certificates unchanged", extra=said(why=error.message))
                self._trouble = error.message
                return None
            self._trouble = ""
            if found == self.used:
                return None
            self.used = found
            _LOG.info("certificates read", extra=said(file=str(self._cert)))
            return found.configuration()

    def _may_differ(self, signature: _Signature, now: float) -> bool:
        """Return whether files with the same times may hold something else than when they were read last."""
        latest = max((times[0] for times in signature if times), default=0) / 1e9
        return self._read_at - latest < _FRESH_SECONDS and abs(now - self._read_at) >= _AGAIN_SECONDS

    def _sign(self) -> _Signature:
        return tuple(_stamp(path) for path in (self._cert, self._key, self._client_ca) if path is not None)

    def _read(self) -> _Files:
        return _Files(
            read_key_pair(self._cert, self._key, "tls-cert", "tls-key"),
            None if self._client_ca is None else read_authorities(self._client_ca, "client-ca"),
        )


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return max(found.st_mtime_ns, found.st_ctime_ns), found.st_mtime_ns, found.st_size, found.st_ino
