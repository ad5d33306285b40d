"""Starts and stops a coordinator in the background.

Invariants:
- Of all who start one on a directory at the same time, the one that gets its lock does, and hands the lock over; the
  others write nothing and wait until that one is ready.
- What is started runs in no directory of ours, and imports nothing from there.
- `down` says what has happened: a coordinator is called stopped when its process has ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from coordinator.cli.server import up_arguments
from coordinator.errors import CoordinatorError, InvalidInput, Unavailable
from coordinator.logs.format import LogSettings
from coordinator.logs.writer import LogFile
from coordinator.process.current_directory import NEUTRAL, child_environment
from coordinator.security.file_trust import open_own
from coordinator.store.embedded import default_data_dir
from coordinator.store.embedded.data_directory import DataDirectory
from coordinator.store.embedded.running_coordinator import READY, STOP, Holder, find_holder

if TYPE_CHECKING:
    from coordinator.cli.server.foreground import Options

__all__ = ["Started", "Stopped", "start", "stop"]

#: How long a coordinator that was started in vain may take to end, in seconds.
_ENDING_SECONDS = 15.0
#: How long one that has the lock may take until it listens on its control socket, and until it is ready, in seconds.
_LISTENING_SECONDS = 15.0
_READY_SECONDS = 60.0
#: How long `down` looks for the one that has the lock, in seconds, if its --timeout is longer.
_LOOKING_SECONDS = 5.0
_POLL_SECONDS = 0.02
_SAID_BYTES = 64 * 1024
_PROGRAM = Path(__file__).parents[1] / "__main__.py"


class Started(NamedTuple):
    """A coordinator that is ready; ``notices`` are sentences for who started it, or found it ``running`` already."""

    line: str
    running: bool
    notices: tuple[str, ...]


class Stopped(NamedTuple):
    """A coordinator that has ended: ``pid`` is None where it had none here, ``killed`` whether that was needed."""

    who: str
    pid: int | None
    killed: bool


def start(data_dir: Path | None, etcd: str | None, options: Options, *, etcd_listen: str | None) -> Started:
    """Start a coordinator that goes on after this command, or find the one that runs on the directory.

    Raises ``Unavailable``, with the last it said, if it ends instead. If this is interrupted, none is left behind.
    """
    directory = DataDirectory(data_dir or default_data_dir())
    wanted = up_arguments.settings(up_arguments.arguments(options, etcd, etcd_listen))
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if _take(directory):
                return _launch(directory, etcd, options, etcd_listen)
        finally:
            directory.unlock()
        found = _running(directory, wanted, deadline)
        if found is not None:
            return found
        # It has ended, or was about to.


def _take(directory: DataDirectory) -> bool:
    """Lock a directory on which no coordinator runs; returns whether that could be done.

    One that is ending may have unlocked it already, and one that runs may have lost its lock file to a cleanup.
    """
    try:
        directory.take_lock()
    except Unavailable:
        return False
    holder = find_holder(directory.sockets)
    if holder is not None:
        holder.close()
    return holder is None


def _running(directory: DataDirectory, wanted: dict[str, str], deadline: float) -> Started | None:
    """Wait until the coordinator that has the lock is ready; returns None if it lets go of it before."""
    holder = _look_for(directory, min(deadline, time.monotonic() + _LISTENING_SECONDS))
    if holder is None:
        return None
    with holder:
        try:
            answer = holder.ask(READY, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise Unavailable(
                f"{holder.who} that is running on {directory.path} has not become ready",
                hint="see its log; `coordination down` stops it",
            ) from None
    if answer is None:
        return None
    notices = ["already running"]
    differing = tuple(up_arguments.differences(wanted, answer["settings"]))
    if differing:
        notices.append(
            f"it was started with {'; '.join(differing)}. Stop it with `coordination down` to start it otherwise"
        )
    return Started(answer["ready"], True, tuple(notices))


def _launch(directory: DataDirectory, etcd: str | None, options: Options, etcd_listen: str | None) -> Started:
    """Start one on a directory that is locked, and hand the lock over."""
    log = (options.log.file or directory.path / "coordinator.log").absolute()
    options = options._replace(log=LogSettings(options.log.level, log, options.log.audit))
    command = [sys.executable, "-P", str(_PROGRAM), "up", "--data-dir", str(directory.path)]
    command += ["--lock-descriptor", str(directory.lock_descriptor)]
    command += up_arguments.arguments(options, etcd, etcd_listen)
    errors = LogFile.open_descriptor(log)
    with os.fdopen(errors, "ab"), _Said(log) as said:
        child = subprocess.Popen(  # noqa: S603  # our own command, with arguments as they were given to us
            command,
            cwd=NEUTRAL,
            env=child_environment(),
            pass_fds=(directory.lock_descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            text=True,
        )
        # From here on the child alone holds it.
        directory.unlock()
        line = _ready_line(child)
        if not line:
            raise _failure(child.wait(), said.lines(), log)
        # It goes on; Popen would complain of a child that has not been waited for.
        child.returncode = 0
        notice = "notice: "
        return Started(
            line, False, tuple(other.removeprefix(notice) for other in said.lines() if other.startswith(notice))
        )


def _ready_line(child: subprocess.Popen[str]) -> str:
    """Return what a child says when it is ready, nothing if it has ended; an interrupt of this ends the child."""
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
        self._file = open_own(log, os.O_RDONLY | os.O_NONBLOCK)
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
    reported = {kind: text for kind, _, text in (line.partition(": ") for line in said) if kind in ("error", "hint")}
    error = InvalidInput if code == InvalidInput.exit_code else Unavailable
    if not said and log.is_file() and shutil.disk_usage(log.parent).free == 0:
        # So it could not say why either.
        return error(
            f"the coordinator did not start: there is no space left on the file system of {log.parent}",
            hint="free at least 128 MB there, or name another --data-dir",
        )
    # Once it catches signals, it ends as shells say that a signal has ended something.
    number = -code if code < 0 else code - 128
    ended = f"a signal ended it ({number})" if 0 < number < signal.NSIG else f"it ended with exit code {code}"
    return error(
        reported.get("error") or f"the coordinator did not start; {ended}",
        hint=reported.get("hint") or f"its log is {log}",
    )


def stop(data_dir: Path | None, timeout: float, *, force: bool) -> Stopped | None:
    """Stop the coordinator that runs on the directory; returns None if there is none.

    One that has not ended after ``timeout`` seconds is killed with ``force``; without it ``Unavailable`` is raised, as
    it is for one that cannot be reached from here, which is left alone.
    """
    directory = DataDirectory(data_dir or default_data_dir())
    deadline = time.monotonic() + timeout
    holder = _look_for(directory, min(deadline, time.monotonic() + _LOOKING_SECONDS))
    if holder is None:
        return None
    with holder:
        asked = True
        with contextlib.suppress(TimeoutError):
            asked = holder.ask(STOP, timeout) is not None
        if holder.wait(deadline - time.monotonic()):
            # One that had ended by itself was not stopped by us.
            return Stopped(holder.who, holder.pid, killed=False) if asked else None
        if not force:
            raise Unavailable(
                f"{holder.who} was asked to stop, but has not after {timeout:g} s",
                hint="it answers the calls in flight first: wait, or ask again with a longer --timeout; "
                "--force kills it when that is over, and claims are kept all the same",
            )
        holder.kill()
        return Stopped(holder.who, holder.pid, killed=True)


def _look_for(directory: DataDirectory, deadline: float) -> Holder | None:
    """Return the coordinator that runs on a directory, which may only just begin to; None if there is none.

    Raises ``Unavailable`` for one that has the directory locked and cannot be reached from here.
    """
    while True:
        locked = directory.is_locked()
        holder = find_holder(directory.sockets)
        if holder is not None or not locked:
            return holder
        if time.monotonic() >= deadline:
            raise Unavailable(
                f"{directory.path} is locked, but what has locked it cannot be reached from here",
                hint="it may run on another machine that shares the directory: stop it there. Nothing was done to it",
            )
        time.sleep(_POLL_SECONDS)
