"""Starts and stops a coordinator in the background."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from coordinator.cli import limit_options, log_options, protection, reaper_options
from coordinator.errors import CoordinatorError, InvalidInput, PermissionDenied, Unavailable
from coordinator.log_writing import LogFile
from coordinator.logs import LogSettings
from coordinator.store.embedded import default_data_dir
from coordinator.store.embedded.directory import DataDirectory

if TYPE_CHECKING:
    from coordinator.cli.foreground import Options

__all__ = ["start", "stop"]

#: How long a coordinator that was started in vain may take to end, in seconds.
_ENDING_SECONDS = 15.0
_SAID_BYTES = 64 * 1024


def start(data_dir: Path | None, etcd: str | None, options: Options, *, etcd_listen: str) -> str:
    """Start a coordinator that goes on after this command; returns its ready line.

    Raises ``Unavailable``, with the last it said, if it ends instead. Whoever is interrupted leaves none behind.
    """
    directory = DataDirectory(data_dir or default_data_dir())
    directory.make()
    log = options.log.file or directory.path / "coordinator.log"
    audit = options.log.audit
    command = [sys.executable, "-m", "coordinator.cli", "up", "--data-dir", str(directory.path)]
    command += ["--listen", options.listen, "--metrics-listen", options.metrics_listen]
    command += ["--topic-kinds", options.topic_kinds, "--etcd-listen", etcd_listen]
    command += ["--etcd", etcd] if etcd is not None else []
    command += ["--insecure"] if options.insecure else []
    command += protection.arguments(options.security)
    command += limit_options.arguments(options.limits, options.quota_bytes)
    command += reaper_options.arguments(options.reaper)
    command += log_options.arguments(LogSettings(options.log.level, log.absolute(), audit and audit.absolute()))
    errors = LogFile.open_descriptor(log)
    with os.fdopen(errors, "ab"), _Said(log) as said:
        child = subprocess.Popen(  # noqa: S603  # our own command, with arguments as they were given to us
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True
        )
        line = _ready_line(child)
        if not line:
            raise _failure(child.wait(), said.lines(), log)
        # It goes on; Popen would complain of a child that nobody has waited for.
        child.returncode = 0
        sys.stderr.writelines(f"{other}\n" for other in said.lines() if other.startswith("notice: "))
        return line


def _ready_line(child: subprocess.Popen[str]) -> str:
    """Return what a child says when it is ready, nothing if it has ended; it is ended if somebody interrupts this."""
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    try:
        with child.stdout:
            return child.stdout.readline().strip()
    except BaseException:
        child.terminate()
        try:
            child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        raise


class _Said:
    """What is written into a log from now on, also where the log is then moved away."""

    def __init__(self, log: Path) -> None:
        self._file = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._start = os.fstat(self._file).st_size

    def lines(self) -> list[str]:
        """Return it, as far as it was written."""
        with contextlib.suppress(OSError):  # there is nothing to be read back from a pipe
            return os.pread(self._file, _SAID_BYTES, self._start).decode(errors="replace").splitlines()
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _failure(code: int, said: list[str], log: Path) -> CoordinatorError:
    """Say of a coordinator that did not start what it said itself."""
    told = {kind: text for kind, _, text in (line.partition(": ") for line in said) if kind in ("error", "hint")}
    error = InvalidInput if code == InvalidInput.exit_code else Unavailable
    return error(
        told.get("error") or f"the coordinator did not start; it ended with exit code {code}",
        hint=told.get("hint") or f"its log is {log}",
    )


def stop(data_dir: Path | None, timeout: float, *, force: bool) -> tuple[int, bool] | None:
    """Stop the coordinator that runs on the directory; returns its process id and whether it had to be killed.

    Returns None if there is none. One that has not ended after ``timeout`` seconds is killed with ``force``; without it
    ``Unavailable`` is raised.
    """
    directory = DataDirectory(data_dir or default_data_dir())
    pid = directory.holder()
    if pid is None:
        return None
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        # Whoever has the number now is the one that holds the lock, or it would have been let go.
        if directory.holder() != pid:
            return None
        return pid, _end(pid, ended, timeout, force=force)
    finally:
        os.close(ended)


def _end(pid: int, ended: int, timeout: float, *, force: bool) -> bool:
    """End the process behind the descriptor; returns whether it had to be killed."""
    try:
        signal.pidfd_send_signal(ended, signal.SIGTERM)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise PermissionDenied(
            f"the coordinator (pid {pid}) belongs to another user; only that one and root may stop it"
        ) from None
    if select.select([ended], [], [], timeout)[0]:
        return False
    if not force:
        raise Unavailable(
            f"the coordinator (pid {pid}) was told to stop, but has not after {timeout:g} s",
            hint="it answers the calls in flight first: wait, or ask again with a longer --timeout; "
            "--force kills it when that is over, and claims are kept all the same",
        )
    signal.pidfd_send_signal(ended, signal.SIGKILL)
    select.select([ended], [], [])
    return True
