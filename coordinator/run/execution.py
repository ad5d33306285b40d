"""From the grant to the end of the claim: COMMAND runs, and everything that happens meanwhile is answered.

Invariants:
- The claim is completed or released only after the watchdog has said that no process of COMMAND is alive.
- A claim that another session has got is never completed. One that COMMAND has ended itself is left as it is.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, Refused
from coordinator.model import Claim, Record
from coordinator.quotation import key, quoted
from coordinator.run import finish, messages
from coordinator.run.brief_file import brief_file
from coordinator.run.descriptors import let_go
from coordinator.run.environment import PREFIX, claim_variables
from coordinator.run.outcome import FAULT, LOST, Outcome, RunFault, What, code_of, reason_of
from coordinator.run.program import cannot_execute
from coordinator.run.renewal import Failing, Lost, Renewal, Renewed, Revoked, find_end, was_ended_by_holder
from coordinator.run.revocation import watch_revocation
from coordinator.run.signals import ENDING, name_of, stop_own_group

if TYPE_CHECKING:
    from coordinator.run.wrapper import Wrapper

__all__ = ["Execution"]

_NOT_RENEWED = "the claim could not be renewed in time"


class Execution:
    """One claim, and COMMAND that runs under it."""

    def __init__(self, wrapper: Wrapper, claim: Claim) -> None:
        self._wrapper = wrapper
        self._request = wrapper.request
        self._link = wrapper.link
        self._terminal = wrapper.terminal
        self._claim = claim
        self._deadline = claim.deadline or 0.0
        # A renewal that hangs must leave time for others before COMMAND has to be ended.
        patience = min(self._request.timeout, self._request.timing.interval / 2)
        self._client = self._request.connect(patience)
        self._renewal = Renewal(self._client, claim, self._request.timing, wrapper.calls.report)
        #: COMMAND's process and group, 0 before it runs.
        self._group = 0
        self._wants_terminal = False
        self._has_stopped = False
        #: Why the claim is lost, and what COMMAND made of it itself.
        self._lost: CoordinatorError | None = None
        self._was_ended_by_command = False
        self._revoked: str | None = None
        self._has_been_failing = False
        #: Whether a signal has asked this process, and so COMMAND, to end.
        self._was_asked = False
        #: What the watchdog has said at last; empty if it was killed.
        self._last_words: list[str] | None = None
        #: Whether the end of the claim was begun: what became of it has been said, or is unknown.
        self.is_settled = False

    def run(self) -> Outcome:
        """Run COMMAND and end the claim; raises ``CoordinatorError`` if COMMAND could not be run."""
        timing, claim = self._request.timing, self._claim
        if boot_seconds() >= timing.end_at(self._deadline):
            self.release(Outcome(What.RELEASED, FAULT, claim, reason="the grant came too late to begin"))
            raise RunFault(f"the grant of {key(claim.work_key)} came too late to begin; nothing was run")
        self._wants_terminal = self._terminal.is_for_command_alone()
        if self._wants_terminal:
            self._terminal.note_given()
        with brief_file(claim.brief) as path:
            self._run_command(claim_variables(claim, self._request.instance, self._request.settings, path))
        self._renewal.stop()
        self._wrapper.forget_watchdog()
        had_terminal = self._group and self._terminal.take_back(self._group)
        return self._finish(bool(had_terminal))

    def _run_command(self, variables: list[str]) -> None:
        """Run COMMAND to its end."""
        timing = self._request.timing
        self._link.start(
            timing.end_at(self._deadline), timing.kill_at(self._deadline), variables, terminal=self._wants_terminal
        )
        while self._last_words is None:
            self._wrapper.wait()
            for number in self._wrapper.signals.take():
                self._on_signal(number)
            for result in self._wrapper.calls.take():
                self._on_result(result)
            for words in self._link.take():
                self._on_message(words)

    def release(self, outcome: Outcome) -> Outcome:
        """Release the work with the outcome's reason, if that can be done in time; returns the outcome."""
        self.is_settled = True
        until = min(self._deadline, boot_seconds() + self._request.timeout)
        try:
            self._call(lambda: finish.release(self._client, self._claim, outcome.reason, until, failed=outcome.failed))
        except Refused as error:
            # Of a claim that is lost nothing else is to be expected.
            if outcome.what is not What.LOST and not was_ended_by_holder(
                self._claim, find_end(self._client, self._claim)
            ):
                self._wrapper.notice(f"the work could not be released: {error.message}")
        except CoordinatorError as error:
            self._wrapper.notice(f"the work could not be released, and its claim will expire: {error.message}")
        return outcome

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCONT:
            self._go_on()
        elif number == signal.SIGCHLD:
            self._link.wake()
        else:
            self._was_asked = self._was_asked or number in ENDING
            self._link.signal(number)

    def _on_result(self, result: object) -> None:
        if isinstance(result, Renewed):
            self._deadline = result.deadline
            self._link.extend(self._request.timing.end_at(self._deadline), self._request.timing.kill_at(self._deadline))
            if self._has_been_failing:
                self._has_been_failing = False
                self._wrapper.notice(f"the claim on {key(self._claim.work_key)} has been renewed again")
        elif isinstance(result, Failing):
            if not self._has_been_failing:
                self._has_been_failing = True
                left = self._request.timing.end_at(self._deadline) - boot_seconds()
                self._wrapper.notice(
                    f"the claim on {key(self._claim.work_key)} cannot be renewed, and the command is ended in "
                    f"{max(left, 0):.0f} s unless that changes: {result.error.message}"
                )
        elif isinstance(result, Lost):
            self._on_lost(result)
        elif isinstance(result, Revoked):
            self._on_revoked(result)
        elif isinstance(result, BaseException):
            # A fault of ours in the renewals. The claim ends by its deadline, and COMMAND before it.
            self._lost = RunFault(f"the claim could not be renewed because of an internal error: {result!r}")
            self._link.kill()

    def _on_lost(self, lost: Lost) -> None:
        if was_ended_by_holder(self._claim, lost.entry):
            self._was_ended_by_command = True
            self._link.release()
        else:
            self._lost = lost.error
            self._link.kill()

    def _on_revoked(self, revoked: Revoked) -> None:
        """End COMMAND as at its deadline: until it has ended the work is still held."""
        self._revoked = f"revoked by an operator{f' ({quoted(revoked.reason)})' if revoked.reason else ''}"
        self._renewal.stop()
        self._link.terminate(boot_seconds() + self._request.timing.grace)

    def _on_message(self, words: list[str]) -> None:
        match words:
            case [messages.STARTED, group]:
                self._group = int(group)
                # What it reads and writes is COMMAND's alone. Standard error stays: there may be something to say.
                let_go((0, 1), self._wrapper.inherited)
                self._wrapper.calls.start(self._renewal.run)
                report = self._wrapper.calls.report
                self._wrapper.calls.start(lambda: watch_revocation(self._client, self._claim, report))
            case [messages.STOPPED, number]:
                self._on_stopped(int(number))
            case [messages.CONTINUED]:
                self._renewal.resume()
            case [messages.ENDED | messages.FAILED, *_]:
                self._last_words = words
            case [] | [messages.BROKEN, *_]:
                self._last_words = self._last_words or []

    def _on_stopped(self, number: int) -> None:
        """Stop like COMMAND, so that the shell of this terminal sees it; give it the terminal if it waits for that."""
        for_terminal = number in (signal.SIGTTIN, signal.SIGTTOU)
        self._wants_terminal = self._wants_terminal or for_terminal
        # Word of a stop may come late: a command that has the terminal by now waits for it no more.
        if for_terminal and (self._terminal.is_mine or self._terminal.is_given_to(self._group)):
            self._terminal.give(self._group)
            self._link.signal(signal.SIGCONT)
            return
        self._has_stopped = True
        if not self._terminal.is_there:
            # No shell would have this process go on again.
            self._renewal.pause()
            return
        self._terminal.take_back(self._group)
        stop_own_group(number if for_terminal else signal.SIGTSTP)
        self._go_on()

    def _go_on(self) -> None:
        """Let COMMAND continue, and renew the claim at once."""
        if self._has_stopped and self._wants_terminal:
            self._terminal.give(self._group)
        self._has_stopped = False
        self._link.signal(signal.SIGCONT)
        self._renewal.resume()

    def _finish(self, had_terminal: bool) -> Outcome:
        """Complete or release the work, now that no process of COMMAND is alive."""
        claim, words = self._claim, self._last_words or []
        if not words:
            self._link.end_orphans()
            self.release(Outcome(What.RELEASED, FAULT, claim, reason="the watchdog of the command was killed"))
            raise RunFault(
                "the watchdog of the command was killed, so the command was, too; the work was released",
                hint="look for what kills processes on this host, for example a lack of memory",
            )
        if words[0] == messages.FAILED:
            error = cannot_execute(self._request.command[0], int(words[1]))
            self.release(Outcome(What.RELEASED, error.exit_code, claim, reason="the command could not be executed"))
            raise error
        self.is_settled = True
        status, cause = int(words[1]), words[2]
        if os.WIFSIGNALED(status) and had_terminal:
            self._terminal.restore_modes()
        killed, going_on, names = int(words[3]), int(words[4]), words[5:]
        self._say_what_goes_on(going_on, names[min(killed, messages.MOST_NAMES) :])
        if self._lost is not None:
            return Outcome(What.LOST, LOST, claim, reason=self._lost.message, goes_on=going_on > 0)
        if cause != "own":
            lost = Outcome(What.LOST, LOST, claim, reason=self._revoked or _NOT_RENEWED, goes_on=going_on > 0)
            # It is free at its deadline: nothing is released while the command works.
            return lost if going_on else self.release(lost)
        self._say_what_was_left(killed, names)
        ended = Outcome(
            What.ENDED_BY_COMMAND,
            code_of(status),
            claim,
            reason=reason_of(status),
            signal=os.WTERMSIG(status),
            by_interrupt=had_terminal and os.WTERMSIG(status) == signal.SIGINT,
        )
        if self._was_ended_by_command:
            return ended
        if status == 0:
            return self._complete(ended)
        # What ends because it was asked to says nothing about the work.
        failed = not (self._was_asked or ended.by_interrupt)
        return self.release(ended._replace(what=What.RELEASED, failed=failed))

    def _complete(self, ended: Outcome) -> Outcome:
        claim = self._claim
        self.is_settled = True
        until = max(self._deadline, boot_seconds() + self._request.timeout)
        try:
            self._call(lambda: finish.complete(self._client, claim, until, self._say_that_it_waits))
        except Refused as error:
            if was_ended_by_holder(claim, find_end(self._client, claim)):
                return ended
            return Outcome(What.LOST, LOST, claim, reason=error.message)
        except CoordinatorError as error:
            raise RunFault(
                f"the command has succeeded, but {key(claim.work_key)} could not be completed: {error.message}",
                hint=f"do it later, before another session claims it: {self._completing()}",
            ) from error
        return ended._replace(what=What.COMPLETED)

    def _completing(self) -> str:
        """Return the command line that completes the work, quoted for a shell."""
        claim, settings = self._claim, self._request.settings
        words = ["coordination", "work-complete", claim.session, claim.work_key, "--token", str(claim.fencing_token)]
        for option in ("endpoint", "fleet"):
            value = settings.get(f"{PREFIX}{option.upper()}")
            words += [f"--{option}", value] if value else []
        return shlex.join(words)

    def _say_that_it_waits(self, error: CoordinatorError) -> None:
        self._wrapper.notice(
            f"the command has succeeded, and its completion is tried for {self._deadline - boot_seconds():.0f} s "
            f"(a signal ends that): {error.message}"
        )

    def _say_what_was_left(self, killed: int, names: list[str]) -> None:
        """Report how many processes COMMAND has left behind, and the names of the first."""
        if killed:
            shown = _enumerated(killed, [quoted(name) for name in names[: min(killed, messages.MOST_NAMES)]])
            self._wrapper.notice(f"processes that the command left behind were killed: {shown}")

    def _say_what_goes_on(self, count: int, named: list[str]) -> None:
        """Report the processes of COMMAND that this user may not kill, and how to end them."""
        if not count:
            return
        found = [name.partition(" ") for name in named]
        shown = _enumerated(count, [f"{quoted(name)} (process {pid})" for pid, _, name in found])
        pids = " ".join(pid for pid, _, _ in found)
        self._wrapper.notice(
            f"processes of the command may not be killed by this user, and go on: {shown}; "
            f"end them before the work is done again: sudo kill -KILL {pids}"
        )

    def _call(self, call: Callable[[], Record]) -> Record:
        """Make a call, and wait for its answer; a signal to end gives it up."""
        self._wrapper.calls.start(call)
        while True:
            self._wrapper.wait()
            for number in self._wrapper.signals.take():
                if number in ENDING:
                    raise RunFault(f"{name_of(number)} ended the waiting for an answer")
            for result in self._wrapper.calls.take():
                if isinstance(result, Record):
                    return result
                if isinstance(result, BaseException):
                    raise result


def _enumerated(count: int, shown: list[str]) -> str:
    """Return the first of ``count`` things, and how many more there are."""
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
