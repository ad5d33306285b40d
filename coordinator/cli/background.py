"""Starts and stops a coordinator in the background."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from coordinator.cli.foreground import Options
from coordinator.errors import CoordinatorError, InvalidInput, Unavailable
from coordinator.store.embedded import default_data_dir
from coordinator.store.embedded.directory import DataDirectory

__all__ = ["start", "stop"]


def start(data_dir: Path | None, etcd: str | None, options: Options) -> str:
    """Start a coordinator that goes on after this command; returns its ready line.

    Raises ``Unavailable``, with the last it said, if it ends instead.
    """
    directory = DataDirectory(data_dir or default_data_dir())
    log = directory.make() / "coordinator.log"
    command = [sys.executable, "-m", "coordinator.cli", "up", "--data-dir", str(directory.path)]
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
        said = _said_since(log, said_before)
        if line:
            sys.stderr.writelines(f"{other}\n" for other in said if other.startswith("notice: "))
            # It goes on; leaving the block would wait for it.
            child.returncode = 0
            return line
    raise _failure(child.returncode, _said_since(log, said_before), log)


def _said_since(log: Path, start: int) -> list[str]:
    return log.read_bytes()[start:].decode(errors="replace").strip().splitlines()


def _failure(code: int, said: list[str], log: Path) -> CoordinatorError:
    """Say of a coordinator that did not start what it said itself."""
    told = {kind: text for kind, _, text in (line.partition(": ") for line in said) if kind in ("error", "hint")}
    error = InvalidInput if code == InvalidInput.exit_code else Unavailable
    return error(
        told.get("error") or f"the coordinator did not start; it ended with exit code {code}",
        hint=told.get("hint") or f"its log is {log}",
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
