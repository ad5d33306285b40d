"""The wrapper: claims, has the watchdog run COMMAND, renews, passes signals on, and completes or releases.

Invariants:
- The watchdog is started before anything else, while this process has one thread.
- COMMAND runs only with a claim. The claim is ended only after all processes of COMMAND have ended.
- Whatever fails, COMMAND ends before its claim: the watchdog alone ensures that, and it ends with this process.
- A fault of this process after the grant releases the work, unless it has killed the process.
- A watchdog that was stopped (SIGSTOP) is continued at once: nothing else keeps COMMAND's deadline.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coordinator.errors import CoordinatorError, OutcomeUnknown
from coordinator.run import messages
from coordinator.run.call_threads import Calls
from coordinator.run.descriptors import inheritable_descriptors
from coordinator.run.environment import original_environment
from coordinator.run.link import Link
from coordinator.run.outcome import FAULT, NOTHING_FREE, Outcome, RunFault, What
from coordinator.run.prctl import become_subreaper
from coordinator.run.program import cannot_execute, find_program
from coordinator.run.signals import ENDING, SignalPipe, end_by, name_of, stop_own_group
from coordinator.run.terminal import Terminal
from coordinator.run.timing import Timing

if TYPE_CHECKING:
    from coordinator.client import Client
    from coordinator.model import Claim
    from coordinator.run.candidates import Asking
    from coordinator.run.execution import Execution

__all__ = ["Request", "Wrapper"]

#: What a process cannot be started for, whatever it is to execute.
_SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Request(NamedTuple):
    """What to run, and for what.

    ``settings`` are variables for COMMAND, so that commands inside it ask the same coordinator. ``connect`` makes a
    client with the timeout that it is given, in seconds, at most ``timeout``.
    """

    session: str
    instance: str
    #: The work to choose from; None for the pool.
    keys: Sequence[str] | None
    timing: Timing
    command: Sequence[str]
    settings: Mapping[str, str]
    timeout: float
    connect: Callable[[float], Client]
    #: The exit code where nothing could be had.
    nothing_free: int = NOTHING_FREE
    #: After how many seconds what was completed is free again; None: where its policy says so.
    repeat_after: float | None = None
    #: How long to wait for the work, in seconds; None: not at all.
    wait: float | None = None
    #: From the pool, only work of this kind; None for any.
    kind: str | None = None
    #: Similar topics that the work is distinct from.
    distinct_from: Sequence[str] = ()


class _Withdrawn(NamedTuple):
    """What came of the withdrawal of a claim that a signal has interrupted: whether nothing is held for certain."""

    certain: bool


class Wrapper:
    """Runs one command; ``notice`` shows a message to its user."""

    def __init__(self, request: Request, notice: Callable[[str], None], granted: Callable[[Claim], None]) -> None:
        self.request = request
        self.notice = notice
        self._granted = granted
        self.signals = SignalPipe()
        self.calls = Calls()
        self.terminal = Terminal()
        #: What was opened by the caller of this; it is COMMAND's.
        self.inherited = inheritable_descriptors()
        self.link = _start_watchdog(request)
        self.calls.prepare()
        self._asking: Asking
        #: Why the watchdog has ended before COMMAND was started, None while it has not.
        self._broken: str | None = None
        self._poll = select.poll()
        for descriptor in (self.signals.descriptor, self.calls.descriptor, self.link.descriptor):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> Outcome:
        """Run COMMAND; raises ``CoordinatorError`` where that could not be done."""
        try:
            return self._run()
        finally:
            self.link.close()

    def wait(self) -> None:
        """Wait until a signal has come, a call has ended, or the watchdog says something."""
        self._poll.poll()

    def forget_watchdog(self) -> None:
        """Stop waiting for the watchdog: it has ended."""
        self._poll.unregister(self.link.descriptor)

    def _run(self) -> Outcome:
        from coordinator.model import Claim
        from coordinator.run.execution import Execution

        answer, interrupted = self._claim()
        if isinstance(answer, BaseException) and not interrupted:
            raise answer
        if interrupted and not isinstance(answer, Claim):
            if isinstance(answer, CoordinatorError):
                name = name_of(interrupted)
                hint = f"; {answer.hint}" if isinstance(answer, OutcomeUnknown) else ""
                self.notice(f"{name} came before a claim was answered: {answer.message}{hint}")
            return Outcome(What.INTERRUPTED, 128 + interrupted, signal=interrupted)
        if not isinstance(answer, Claim):
            return Outcome(What.NOT_CLAIMED, self.request.nothing_free, denial=answer)
        holding: Execution | None = None
        try:
            holding = Execution(self, answer)
            return self._hold(holding, answer, interrupted)
        except BaseException:
            if holding is None or not holding.is_settled:
                # A fault of ours. No process of COMMAND may be alive when the work is released.
                self.link.end_orphans()
                self._asking.release(answer)
            raise

    def _hold(self, holding: Execution, answer: Claim, interrupted: int) -> Outcome:
        if interrupted:
            reason = f"signal {name_of(interrupted)} before the command began"
            outcome = Outcome(What.INTERRUPTED, 128 + interrupted, answer, reason=reason, signal=interrupted)
            return holding.release(outcome)
        if self._broken is not None:
            holding.release(Outcome(What.RELEASED, FAULT, answer, reason="the command could not be watched"))
            raise RunFault(f"the watchdog of the command has ended{self._broken}; nothing was run")
        self._granted(answer)
        return holding.run()

    def _claim(self) -> tuple[Any, int]:
        """Claim the work, and wait for the watchdog to be in place.

        Returns the claim, the denial, the error, or the withdrawal, and the signal that has come meanwhile to end
        ``run``, 0 for none.
        """
        from coordinator.run.candidates import Asking

        request, interrupted, ready = self.request, 0, False
        connect = partial(request.connect, request.timeout)
        asking = self._asking = Asking(
            connect,
            request.session,
            request.keys,
            request.timing.ttl,
            request.repeat_after,
            request.wait,
            request.kind,
            request.distinct_from,
        )
        self.calls.start(asking.claim)
        answer: Any = None
        while answer is None or not (ready or self._broken is not None):
            self.wait()
            for number in self.signals.take():
                if number in ENDING and interrupted:
                    # Asked for twice: whatever has been claimed expires.
                    end_by(number)
                if number in ENDING:
                    interrupted = number
                    self.calls.start(lambda: _Withdrawn(asking.withdraw()))
                elif number == signal.SIGTSTP:
                    stop_own_group(number)
                elif number == signal.SIGCHLD:
                    self.link.wake()
            for result in self.calls.take():
                # Of a withdrawal that failed the answer to the claim is waited for.
                answer = answer or (None if result == _Withdrawn(False) else result)
            ready = self._is_ready() or ready
        return answer, interrupted

    def _is_ready(self) -> bool:
        for words in self.link.take():
            if words[:1] == [messages.READY]:
                return True
            self._broken = self._broken or (f": {words[1]}" if words[:1] == [messages.BROKEN] else "")
            if not words:
                self.forget_watchdog()
        return False


def _path_in(environment: Mapping[bytes, bytes]) -> str | None:
    path = environment.get(b"PATH")
    return None if path is None else os.fsdecode(path)


def _start_watchdog(request: Request) -> Link:
    name = request.command[0]
    environment = original_environment()
    program = find_program(name, _path_in(environment))
    become_subreaper()
    try:
        return Link(program, request.command, environment)
    except OSError as error:
        if error.errno in _SCARCE:
            raise RunFault(
                f"the watchdog of the command cannot be started: {error.strerror}; nothing was claimed",
                hint="allow more processes (ulimit -u), files (ulimit -n) or memory (ulimit -v)",
            ) from None
        # Mostly E2BIG, which COMMAND itself would have met.
        raise cannot_execute(name, error.errno or 0) from None
