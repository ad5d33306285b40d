"""The watchdog: runs COMMAND below it, and ends all processes of COMMAND when the claim is about to end.

Invariants:
- It needs no other process: deadlines that the wrapper has sent are kept on CLOCK_BOOTTIME, whatever becomes of the
  wrapper. When the wrapper ends, all processes of COMMAND are ended at once.
- It ends only when no descendant of COMMAND's is left, but for those that it may not kill (setuid programs).
- It reports that COMMAND has ended only then.
- When it ends, the file with the brief is removed, also where the wrapper was killed.
- It has one thread, a process group of its own, and ignores what terminals and users send to end a program.

It is started as ``python -I -S __main__.py DESCRIPTOR PROGRAM ARGUMENT…``, before the wrapper has any thread;
``messages`` says what is sent over the descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Sequence

from coordinator.run import messages
from coordinator.run.descendants import end_all, is_supported
from coordinator.run.descriptors import inheritable_descriptors, let_go, occupy_closed
from coordinator.run.environment import BRIEF_FILE, changed_environment, original_environment
from coordinator.run.prctl import become_subreaper, die_with_parent

# As in typing, which takes longer to load than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

#: How often the clock is looked at, at least, in seconds: ``poll`` does not count while the host is suspended.
_LOOK_SECONDS = 1.0
#: What would end or stop it, sent by a terminal or a user who means the job.
_IGNORED = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTERM,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
#: What Python itself ignores, and COMMAND must not inherit.
_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)
_NEVER = float("inf")


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the watchdog to its end."""
    link, program = int(arguments[0]), arguments[1]
    code = 1
    watchdog: _Watchdog | None = None
    try:
        occupy_closed()
        os.set_inheritable(link, False)
        os.set_blocking(link, False)
        watchdog = _Watchdog(link, program, list(arguments[2:]))
        watchdog.run()
        code = 0
    except BaseException as error:  # noqa: BLE001  # whatever it is, nothing may be left behind
        end_all(_reap_any)
        messages.send(link, messages.BROKEN, f"{type(error).__name__}: {error}")
    finally:
        if watchdog is not None and watchdog.brief_file:
            with contextlib.suppress(OSError):
                os.unlink(watchdog.brief_file)  # noqa: PTH108  # pathlib loads slowly
        os._exit(code)


def _reap_any() -> bool:
    """Wait for the children that have ended; returns whether there are more."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


class _Watchdog:
    def __init__(self, link: int, program: str, arguments: list[str]) -> None:
        self._link = link
        self._program = program
        self._arguments = arguments
        #: What the caller of this has ignored, COMMAND ignores too, as after any exec.
        self._inherited = {
            number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN
        }.difference(_PYTHONS_OWN)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        self._child = 0
        self._status: int | None = None
        self._end_at = self._kill_at = _NEVER
        #: What ends COMMAND: itself, the deadline, or the wrapper because it was asked to.
        self._cause = "own"
        self._over = False
        self.brief_file = ""

    def run(self) -> None:
        """Do what the wrapper asks for until it ends, or COMMAND has."""
        if not is_supported():
            messages.send(self._link, messages.BROKEN, "there is no /proc of this pid namespace, or no Linux 5.3")
            return
        become_subreaper()
        woken, wakes = os.pipe()
        for descriptor in (woken, wakes):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        messages.send(self._link, messages.READY)
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while not self._over:
            poll.poll(1000 * self._patience())
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            self._take_messages()
            self._look_at_children()
            self._look_at_clock()

    def _patience(self) -> float:
        due = self._kill_at if self._cause != "own" else min(self._end_at, self._kill_at)
        return min(max(due - _boot_seconds(), 0.0), _LOOK_SECONDS) if self._child else _LOOK_SECONDS

    def _take_messages(self) -> None:
        while not self._over:
            try:
                words = messages.receive(self._link)
            except BlockingIOError:
                return
            if words is None:
                self._end("asked")
            else:
                self._take(words[0], words[1:])

    def _take(self, word: str, rest: list[str]) -> None:
        if word == messages.START and not self._child:
            self._start(rest)
        elif word == messages.UNTIL and self._cause == "own":
            self._end_at, self._kill_at = max(self._end_at, float(rest[0])), max(self._kill_at, float(rest[1]))
        elif word == messages.SIGNAL:
            self._signal(int(rest[0]))
        elif word == messages.END:
            self._terminate("asked", float(rest[0]))
        elif word == messages.KILL:
            self._end("asked")

    def _start(self, rest: list[str]) -> None:
        """Execute COMMAND."""
        self._end_at, self._kill_at = float(rest[0]), float(rest[1])
        terminal, variables = rest[2] == "1", rest[3:]
        named = (each.partition("=")[2] for each in variables if each.startswith(f"{BRIEF_FILE}="))
        self.brief_file = next(named, "")
        reader, writer = os.pipe()
        watchdog = os.getpid()
        try:
            child = os.fork()
        except OSError as error:
            # There are too many processes.
            messages.send(self._link, messages.FAILED, error.errno or errno.EAGAIN)
            self._over = True
            return
        if not child:
            self._become(watchdog, terminal, variables, writer)
        os.close(writer)
        # Both do it, so that neither has to wait for the other.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        self._child = child
        failed = os.read(reader, 16)
        os.close(reader)
        if failed:
            os.waitpid(child, 0)
            messages.send(self._link, messages.FAILED, int(failed))
            self._over = True
            return
        let_go((0, 1, 2), inheritable_descriptors())
        _come_first()
        messages.send(self._link, messages.STARTED, child)

    def _become(self, watchdog: int, terminal: bool, variables: list[str], writer: int) -> NoReturn:
        """Become COMMAND, in the forked process."""
        try:
            die_with_parent(signal.SIGKILL, watchdog)
            os.setpgid(0, 0)
            if terminal:
                # SIGTTOU is ignored still, which a process in the background gets for this.
                with contextlib.suppress(OSError):
                    os.tcsetpgrp(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC), os.getpgrp())
            environment = changed_environment(original_environment(), variables)
            for number in signal.valid_signals() - self._inherited - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            _execute(self._program, self._arguments, environment)
        except OSError as error:
            os.write(writer, str(error.errno or errno.EIO).encode())
        finally:
            os._exit(127)

    def _signal(self, number: int) -> None:
        # Its child has not been waited for, so that the group's id is still its own.
        if self._child and self._status is None:
            with contextlib.suppress(OSError):
                os.killpg(self._child, number)

    def _look_at_children(self) -> None:
        """Note what became of COMMAND, and wait for orphans that have ended."""
        while self._child and not self._over:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid != self._child:
                continue
            if os.WIFSTOPPED(status):
                messages.send(self._link, messages.STOPPED, os.WSTOPSIG(status))
            elif os.WIFCONTINUED(status):
                messages.send(self._link, messages.CONTINUED)
            else:
                self._status = status
                self._end(self._cause)

    def _look_at_clock(self) -> None:
        if self._over or not self._child:
            return
        now = _boot_seconds()
        if now >= self._kill_at:
            self._end("deadline" if self._cause == "own" else self._cause)
        elif now >= self._end_at and self._cause == "own":
            messages.send(self._link, messages.ENDING)
            self._terminate("deadline", self._kill_at)

    def _terminate(self, cause: str, kill_at: float) -> None:
        """Send SIGTERM, and kill later."""
        if self._child and self._cause == "own":
            self._cause = cause
            self._kill_at = min(self._kill_at, kill_at)
            self._signal(signal.SIGTERM)
            # What is stopped takes a signal only once it goes on.
            self._signal(signal.SIGCONT)

    def _end(self, cause: str) -> None:
        """Kill all that is left, and report when nothing is."""
        self._cause, self._over = cause, True
        if not self._child:
            return
        killed, refused = end_all(self._reap)
        status = self._status if self._status is not None else signal.SIGKILL
        going_on = [f"{pid} {name}" for pid, name in refused]
        names = (*killed[: messages.MOST_NAMES], *going_on[: messages.MOST_NAMES])
        messages.send(self._link, messages.ENDED, status, cause, len(killed), len(refused), *names)

    def _reap(self) -> bool:
        """Wait for the children that have ended; returns whether there are more."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._status = status


def _boot_seconds() -> float:
    # As clock.py has it, which loads what is not needed here.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _come_first() -> None:
    """Take priority over busy processes, where this user may; the watchdog sleeps nearly all the time.

    On an overloaded host COMMAND would otherwise be ended too late. COMMAND was forked before, and does not inherit
    the priority.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -20)


def _execute(program: str, arguments: list[str], environment: dict[bytes, bytes]) -> NoReturn:
    """Execute a program, a script without ``#!`` by the shell, as ``execvp(3)`` does."""
    try:
        os.execve(program, arguments, environment)  # noqa: S606  # to run it is the purpose
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    os.execve("/bin/sh", ["/bin/sh", program, *arguments[1:]], environment)  # noqa: S606  # as above
