"""TLS over HTTP, with the certificates of the gRPC port, which are read again when their files change.

Invariants: files that cannot be used never replace those that could (``FollowedFiles``); no key is written to a disk.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from coordinator.security.pem import KeyPair
from coordinator.service.connections.tls import FollowedFiles

__all__ = ["FollowedContext"]


class FollowedContext:
    """What new connections are protected with."""

    def __init__(self, files: FollowedFiles) -> None:
        self._files = files
        self._context = self._make()

    def __call__(self) -> ssl.SSLContext:
        """Return it, made anew where the files have changed."""
        if self._files.changed() is not None:
            self._context = self._make()
        return self._context

    def _make(self) -> ssl.SSLContext:
        used = self._files.used
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        with _in_memory(used.pair) as (chain, key):
            context.load_cert_chain(chain, key, password="")
        if used.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=used.client_ca.decode("ascii"))
        return context


@contextmanager
def _in_memory(pair: KeyPair) -> Iterator[tuple[str, str]]:
    """Give paths of certificate chain and key, which OpenSSL only reads from files."""
    opened: list[int] = []
    try:
        opened += [_readable(content) for content in (pair.chain, pair.key)]
        yield f"/dev/fd/{opened[0]}", f"/dev/fd/{opened[1]}"
    finally:
        for each in opened:
            os.close(each)


if sys.platform == "linux":

    def _readable(content: bytes) -> int:
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        os.write(descriptor, content)
        return descriptor

else:

    def _readable(content: bytes) -> int:
        reading, writing = os.pipe()
        # What does not fit into a pipe is cut off, and refused by OpenSSL.
        os.set_blocking(writing, False)
        os.write(writing, content)
        os.close(writing)
        return reading
