"""A backup of etcd: a copy of its database as it was at one revision, with its digest behind it.

Invariant: what is called a backup is whole. etcd ends it with the SHA-256 of all that stands before; a copy that was
cut off or damaged on its way, or since, is refused.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput, Unavailable
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["check_backup", "download"]

_DIGEST_BYTES = hashlib.sha256().digest_size
#: A database is made of pages; this much divides the size of all of them (etcd's own check).
_BLOCK_BYTES = 512
_PIECE_BYTES = 1024 * 1024


class _Whole:
    """Checks whether what it was given ends with the digest of the rest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._end = b""
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self.size += len(piece)
        self._end += piece
        self._hash.update(self._end[:-_DIGEST_BYTES])
        self._end = self._end[-_DIGEST_BYTES:]

    def __bool__(self) -> bool:
        return self.size % _BLOCK_BYTES == _DIGEST_BYTES and self._hash.digest() == self._end


async def download(
    channel: EtcdChannel, write: Callable[[bytes], object], progress: Callable[[int, int], object]
) -> int:
    """Write a backup of the member that answers; returns its size in bytes.

    ``progress`` is called with how many bytes there are so far and in all. Raises ``Unavailable`` if the backup does
    not arrive whole.
    """
    whole = _Whole()
    async for answer in channel.download(Methods.SNAPSHOT, rpc.SnapshotRequest()):
        whole.add(answer.blob)
        write(answer.blob)
        progress(whole.size, whole.size + answer.remaining_bytes)
    if not whole:
        raise Unavailable("etcd's backup did not arrive whole", hint="nothing was kept; try again")
    return whole.size


def check_backup(path: Path) -> None:
    """Raise ``InvalidInput`` if a file is no backup that is whole."""
    whole = _Whole()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # It is read several times, and a device may have no end.
            raise InvalidInput(
                f"{path} is no plain file; a backup is restored from one", field="file", hint="save it in a file first"
            )
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                whole.add(piece)
    except OSError as error:
        raise InvalidInput(f"the backup {path} cannot be read: {error.strerror}", field="file") from None
    if not whole:
        raise InvalidInput(
            f"{path} is no backup that is whole: it does not end with the digest of the rest",
            field="file",
            hint="take another; `coordination backup` and `etcdctl snapshot save` make them, a copied database is none",
        )
