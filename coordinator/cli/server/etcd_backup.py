"""What ``backup`` asks of an etcd."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from coordinator.cli.server.etcd_options import EtcdOptions
from coordinator.errors import Unavailable
from coordinator.store.backup import download
from coordinator.store.embedded import default_data_dir
from coordinator.store.embedded.running_coordinator import READY, find_holder
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["etcd_of", "save"]

#: What may come after etcd's addresses in the line of a coordinator that is ready; a path may hold commas.
_BOARD = re.compile(r", board https?://[^/ ]+/\Z")


def etcd_of(data_dir: Path | None, seconds: float) -> str:
    """Return where the etcd is of the coordinator that runs on a directory; raises ``Unavailable`` if none does."""
    directory = (data_dir or default_data_dir()).absolute()
    holder = find_holder(directory / "sockets")
    if holder is not None:
        with holder, contextlib.suppress(TimeoutError):
            answer = holder.ask(READY, seconds)
            if answer is not None:
                return _BOARD.sub("", str(answer["ready"]).partition(", etcd ")[2])
    raise Unavailable(
        f"no coordinator is ready on {directory}",
        hint="name the directory of one that runs with --data-dir, or an etcd with --etcd; a directory on which none "
        "runs can be copied as it is",
    )


async def save(
    etcd: tuple[str, ...], how: EtcdOptions, target: BinaryIO, progress: Callable[[int, int], object], seconds: float
) -> tuple[int, int]:
    """Write a backup of the etcd whose members are named; returns its size in bytes and a revision that is in it.

    It must answer within ``seconds``; how long the backup then takes is not limited.
    """
    access = EtcdAccess(*how)
    access.check_clear(etcd)
    channel = EtcdChannel(etcd, access)
    try:
        # Where etcd knows users, this logs in.
        wanted = rpc.RangeRequest(key=b"/coordination/", count_only=True)
        found = await channel.call(Methods.RANGE, wanted, deadline=time.monotonic() + seconds)
        return await download(channel, target.write, progress), found.header.revision
    finally:
        await channel.close()
