"""Job control: at a terminal, COMMAND under ``run`` behaves for the shell and its user as COMMAND does."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from coordinator.run.descendants import look
from tests.conftest import COMMAND
from tests.run.running import World

_LIMIT_SECONDS = 60.0
_PROMPT = r"PROMPT> $"
#: Makes its standard input the terminal of its session, and becomes the command that it is given.
_AT_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Shell:
    """An interactive bash at a terminal of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._terminal, end = pty.openpty()
        # This process has threads of gRPC: it must not be forked by hand.
        command = [sys.executable, "-I", "-S", "-c", _AT_TERMINAL, "bash", "--norc", "-i"]
        shown = environment | {"PS1": "PROMPT> ", "TERM": "dumb"}
        self._shell = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=shown, start_new_session=True)
        self.pid = self._shell.pid
        os.close(end)
        self._shown = ""
        self.expect(_PROMPT)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait until it shows something; returns what it has shown up to there."""
        until = time.monotonic() + _LIMIT_SECONDS
        while not (found := re.search(pattern, self._shown, re.DOTALL)):
            ready = select.select([self._terminal], [], [], until - time.monotonic())[0]
            assert ready, f"{pattern!r} is not in {self._shown!r}"
            self._shown += os.read(self._terminal, 65536).decode(errors="replace").replace("\r", "")
        shown, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return shown

    def do(self, line: str) -> str:
        """Type a line, and wait for the next prompt; returns what is shown."""
        self.type(f"{line}\n")
        return self.expect(_PROMPT)

    def await_foreground(self, name: str) -> None:
        """Wait until the process of that name leads the group that has the terminal."""
        until = time.monotonic() + _LIMIT_SECONDS
        while (process := look(os.tcgetpgrp(self._terminal))) is None or process.name != name:
            assert time.monotonic() < until, process and process.name
            time.sleep(0.01)

    def close(self) -> None:
        os.close(self._terminal)
        self._shell.wait()


@pytest.fixture
def shell(world: World) -> Iterator[Shell]:
    found = Shell(world.environment)
    yield found
    found.close()


def test_interrupts_end_it_and_the_script_that_runs_it(shell: Shell, world: World) -> None:
    shell.type(f"{COMMAND} run task:a -- sleep 600\n")
    shell.await_foreground("sleep")
    shell.type("\x03")
    shell.expect(_PROMPT)
    assert "code 130" in shell.do("echo code $?")
    assert world.client.get("task:a").record.reason == "signal SIGINT"
    shell.type(f"bash -c '{COMMAND} run task:b -- sleep 600; echo reached'\n")
    shell.await_foreground("sleep")
    shell.type("\x03")
    assert "\nreached" not in shell.expect(_PROMPT)
    assert "code 130" in shell.do("echo code $?")


def test_an_interrupt_before_it_begins_ends_the_loop_that_runs_it(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        shell.type(f"for key in a b; do {COMMAND} run --endpoint {endpoint} --timeout 1 $key -- true; done\n")
        with silent.accept()[0]:
            shell.type("\x03")
            assert shell.expect(_PROMPT).count("SIGINT came before") == 1
    assert "code 130" in shell.do("echo code $?")


def test_an_interrupt_ends_the_loop_also_if_the_command_writes_elsewhere(shell: Shell) -> None:
    shell.type(f"for key in a b; do {COMMAND} run $key -- sh -c 'echo up >&2; exec sleep 600' > /dev/null; done\n")
    shell.expect("\nup\n")
    shell.type("\x03")
    assert "up" not in shell.expect(_PROMPT)
    assert "code 130" in shell.do("echo code $?")


def test_it_stops_and_goes_on_in_the_foreground_and_in_the_background(shell: Shell, world: World) -> None:
    shell.type(f"{COMMAND} run task:a -- sh -c 'read word; echo got $word'\n")
    shell.await_foreground("sh")
    shell.type("\x1a")
    assert "Stopped" in shell.expect(_PROMPT)
    # In the background it wants the terminal again, and is stopped for it.
    if "Stopped" not in shell.do("bg") + shell.do("wait"):
        shell.expect("Stopped")
    shell.type("fg\n")
    shell.await_foreground("sh")
    shell.type("hello\n")
    assert "got hello" in shell.expect(_PROMPT)
    assert "code 0" in shell.do("echo code $?")
    assert world.client.get("task:a").record.state.value == "completed"


def test_in_a_pipeline_it_gets_the_terminal_when_it_wants_it(shell: Shell) -> None:
    shell.type(f"{COMMAND} run task:a -- sh -c 'read word </dev/tty; echo got $word' | cat\n")
    shell.await_foreground("sh")
    shell.type("hello\n")
    assert "got hello" in shell.expect(_PROMPT)


def test_a_shell_inside_has_job_control_of_its_own(shell: Shell) -> None:
    shell.type(f"{COMMAND} run task:a -- bash --norc -i\n")
    shell.await_foreground("bash")
    shell.expect(_PROMPT)
    shell.type("sleep 600\n")
    shell.await_foreground("sleep")
    shell.type("\x1a")
    assert "Stopped" in shell.expect(_PROMPT)
    shell.type("fg\n")
    shell.await_foreground("sleep")
    shell.type("\x03")
    shell.expect(_PROMPT)
    shell.do("exit 5")
    assert "code 5" in shell.do("echo code $?")


def test_a_command_that_was_stopped_for_too_long_has_lost_its_claim(shell: Shell, world: World) -> None:
    shell.type(f"{COMMAND} run --ttl 6.3s --grace 0.1s task:a -- sleep 600\n")
    shell.await_foreground("sleep")
    shell.type("\x1a")
    assert "Stopped" in shell.expect(_PROMPT)
    until = time.monotonic() + _LIMIT_SECONDS
    while world.client.get("task:a").claim is not None:
        assert time.monotonic() < until
        time.sleep(0.1)
    shell.type("fg\n")
    assert "LOST: the claim on task:a" in shell.expect(_PROMPT)
    assert "code 124" in shell.do("echo code $?")


def test_the_terminal_comes_back_from_what_a_command_has_put_into_the_foreground(shell: Shell) -> None:
    shell.type(f"bash -c '{COMMAND} run task:a -- bash --norc -i; read word; echo after $word'\n")
    # A shell that is not interactive passes no PS1 on.
    shell.expect(r"bash-[0-9.]+[$#] $")
    shell.type("sleep 600\n")
    shell.await_foreground("sleep")
    sleeping = look(os.tcgetpgrp(shell._terminal))
    assert sleeping is not None
    os.kill(sleeping.parent, signal.SIGKILL)
    shell.type("hello\n")
    assert "\nafter hello" in shell.expect(_PROMPT)
