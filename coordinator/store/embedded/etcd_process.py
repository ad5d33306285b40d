"""Launches and ends the process of an embedded etcd.

Invariants:
- It never outlives the thread that has launched it (``launcher.py``), and no Ctrl-C of the terminal reaches it.
- What its environment or its user's says about etcd does not change it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from coordinator.process.current_directory import child_environment
from coordinator.process.service_manager import ADDRESS_VARIABLE
from coordinator.store.embedded.binary import EtcdBinary
from coordinator.store.embedded.data_directory import DataDirectory

__all__ = ["CLIENTS", "end", "launch"]

STOP_SECONDS = 5.0
_LAUNCHER = Path(__file__).with_name("launcher.py")
#: The names of its sockets. To etcd each is a ``HOST:PORT``; they lie in the directory in which it runs, so that no
#: path is too long for it.
CLIENTS, _PEERS = "etcd.sock:0", "peer.sock:0"


async def launch(
    binary: EtcdBinary, directory: DataDirectory, *, client_url: str, quota_bytes: int
) -> asyncio.subprocess.Process:
    """Start an etcd on a directory, which serves at ``client_url``; ``quota_bytes`` bounds its database."""
    peer_url = f"unix://{_PEERS}"
    arguments = {
        "--name": "coordinator",
        "--data-dir": str(directory.etcd),
        "--listen-client-urls": client_url,
        "--advertise-client-urls": client_url,
        "--listen-peer-urls": peer_url,
        "--initial-advertise-peer-urls": peer_url,
        "--initial-cluster": f"coordinator={peer_url}",
        "--auto-compaction-mode": "periodic",
        "--auto-compaction-retention": "10m",
        "--quota-backend-bytes": str(quota_bytes),
        "--logger": "zap",
        "--log-level": "warn",
        # Its standard error is the log file: that also holds what it says when it crashes, and takes any path.
        "--log-outputs": "stderr",
    }
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(binary.path)]
    command += [part for pair in arguments.items() for part in pair]
    log = directory.open_log()
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory.sockets,
            env=_environment(),
            start_new_session=True,  # keeps the terminal's Ctrl-C from it
        )
    finally:
        os.close(log)


def _environment() -> dict[str, str]:
    """Return what etcd is to know of ours: no settings of an etcd, and no one to tell that it is ready."""
    given = child_environment()
    return {name: value for name, value in given.items() if not name.startswith("ETCD_") and name != ADDRESS_VARIABLE}


async def end(process: asyncio.subprocess.Process) -> None:
    """End an etcd: ask it to end, and kill it if that takes longer than 5 s. Harmless if it has ended."""
    if process.returncode is not None:
        return
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
        # Not process.send_signal(): it looks first whether the child has ended, and so may take its exit code away from
        # the thread of asyncio's that waits for it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
                return
        except TimeoutError:
            continue
