"""Starts and stops a coordinator in the background."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from coordinator.cli.foreground import Options
from coordinator.errors import Unavailable
from coordinator.store.embedded import default_data_dir
from coordinator.store.embedded.directory import DataDirectory

__all__ = ["start", "stop"]

_LINES_TOLD = 3


def start(data_dir: Path | None, etcd: str | None, options: Options) -> str:
    """Start a coordinator that goes on after this command; returns its ready line.

    Raises ``Unavailable``, with the last it said, if it ends instead.
    """
    directory = (data_dir or default_data_dir()).absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = directory / "coordinator.log"
    command = [sys.executable, "-m", "coordinator.cli", "up", "--data-dir", str(directory)]
    command += ["--listen", options.listen, "--metrics-listen", options.metrics_listen]
    command += ["--topic-kinds", options.topic_kinds] if options.topic_kinds else []
    command += ["--etcd", etcd] if etcd else []
    command += ["--insecure"] if options.insecure else []
    with log.open("ab") as errors:
        said_before = errors.tell()
        child = subprocess.Popen(  # noqa: S603  # our own command, with arguments as they were given to us
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True
        )
    with child:
        line = child.stdout.readline().strip() if child.stdout else ""
        if line:
            # It goes on; leaving the block would wait for it.
            child.returncode = 0
            return line
    said = log.read_bytes()[said_before:].decode(errors="replace").strip().splitlines()
    raise Unavailable(
        f"the coordinator did not start: {' | '.join(said[-_LINES_TOLD:]) or f'exit code {child.returncode}'}",
        hint=f"its log is {log}",
    )


def stop(data_dir: Path | None, timeout: float) -> int | None:
    """Stop the coordinator that runs on the directory; returns its process id, None if there was none."""
    directory = DataDirectory(data_dir or default_data_dir())
    pid = directory.holder()
    if pid is None:
        return None
    ended = os.pidfd_open(pid)
    try:
        # Whoever has the number now is the one that holds the lock, or it would have been let go.
        if directory.holder() != pid:
            return None
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        import select

        if not select.select([ended], [], [], timeout)[0]:
            raise Unavailable(
                f"the coordinator (pid {pid}) was told to stop, but has not after {timeout:g} s",
                hint="it answers the calls in flight first; wait, or ask again with a longer --timeout",
            )
    finally:
        os.close(ended)
    return pid
