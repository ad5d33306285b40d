"""``coordination top`` on a terminal, without one, and without the package that draws its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import Client
from coordinator.cli.top.view import sparkline
from tests.conftest import COMMAND, Coordination, RunningCoordinator, _environment

SECONDS = 30
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of 140 by 40, what it has drawn so far, and a way to type."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard
        self.drawn = ""

    def see(self, *wanted: str) -> None:
        """Wait until all of these have been drawn since the last call."""
        until = time.monotonic() + SECONDS
        while not all(each in self.drawn for each in wanted):
            assert time.monotonic() < until, (wanted, self.drawn)
            if not self._read():
                raise AssertionError((wanted, self.drawn))
        self.drawn = ""

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def wait(self) -> int:
        """Read on until it has ended; returns its exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=SECONDS)

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._keyboard)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._keyboard], [], [], SECONDS)
        assert ready, self.drawn
        # EIO is how a terminal says that its other side is closed.
        with contextlib.suppress(OSError):
            piece = os.read(self._keyboard, 65536)
            self.drawn += _ESCAPES.sub("", piece.decode(errors="replace"))
            return bool(piece)
        return False


@contextlib.contextmanager
def terminal(*arguments: str, **environment: str) -> Iterator[Terminal]:
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    settings = _environment(**environment) | {"TERM": "xterm-256color"}
    # They would count for more than the size of the terminal; a runner of tests may have set them.
    settings = {name: value for name, value in settings.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=screen, stdout=screen, stderr=screen, env=settings, start_new_session=True
    ) as process:
        os.close(screen)
        try:
            yield Terminal(process, keyboard)
        finally:
            process.kill()
            os.close(keyboard)


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet, instance="") as client:
        yield client


@pytest.fixture
def shown(coordinator: RunningCoordinator, fleet: str, client: Client) -> Iterator[Terminal]:
    """The view of a fleet with a claim, a session that was denied it, and a loose end."""
    client.claim("holder-1", "task:taken", 4045)
    client.try_claim("denied-before", "task:taken")
    client.claim("leaver-1", "task:left")
    client.release("leaver-1", "task:left", reason="too [bold]hard")
    settings = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
    with terminal("top", "--interval", "0.3", **settings) as shown:
        yield shown


def test_it_shows_the_fleet_and_what_happens_to_it(shown: Terminal, client: Client, fleet: str) -> None:
    before = shown.settings()
    # Markup in what others wrote is shown as it is.
    shown.see(fleet, "67 min", "task:taken", "holder-1", "task:left", "leaver-1", "too [bold]hard", "convergence 33%")
    client.try_claim("denied-now", "task:taken")
    shown.see("denied-now")
    client.claim("holder-2", "blog:later")
    shown.see("blog:later", "holder-2")
    shown.type("q")
    assert shown.wait() == 0
    assert shown.settings() == before


def test_an_interrupt_ends_it(shown: Terminal) -> None:
    shown.see("task:taken")
    shown.type("\x03")
    # The terminal of a new session is no session's controlling one, so that the key is no signal there.
    shown.process.send_signal(signal.SIGINT)
    assert shown.wait() == 130


def test_it_outlives_the_coordinator(coordinator: RunningCoordinator, fleet: str, run_coordinator: object) -> None:
    assert callable(run_coordinator)
    settings = {"COORDINATION_FLEET": fleet, "COORDINATION_TIMEOUT": "1"}
    with run_coordinator("serve", "--etcd", coordinator.etcd) as own:
        view = terminal("top", "--interval", "0.3", COORDINATION_ENDPOINT=own.endpoint, **settings)
        shown = view.__enter__()
        shown.see(fleet)
    try:
        shown.see("no coordinator answers")
        shown.type("q")
        assert shown.wait() == 0
    finally:
        view.__exit__(None, None, None)


def test_without_a_terminal_it_shows_everything_once(coordination: Coordination, client: Client, fleet: str) -> None:
    client.claim("holder-1", "task:taken", 4045)
    client.try_claim("denied-1", "task:taken")
    client.claim("leaver-1", "task:left")
    client.release("leaver-1", "task:left")
    done = coordination("top")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    for wanted in (f"fleet {fleet}", "67 min", "task:taken", "holder-1", "task:left", "leaver-1", "convergence 33%"):
        assert wanted in done.stdout


def test_without_its_package_it_says_what_to_install(coordination: Coordination, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('not here')\n")
    done = coordination("top", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "rich" in done.stderr
    assert "pip install 'coordinator[top]'" in done.stderr
    # Nothing else needs it.
    assert coordination("status", PYTHONPATH=str(tmp_path)).returncode == 0
    assert coordination("top", "--json", PYTHONPATH=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("interval", ["0", "nan", "inf", "-1", "x"])
def test_an_interval_that_is_none_is_refused(coordination: Coordination, interval: str) -> None:
    done = coordination("top", f"--interval={interval}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "interval" in done.stderr


def test_a_sparkline_shows_the_last_rates() -> None:
    assert sparkline([None, 0.0, 0.5, 1.0], 10) == "·▁▅█"
    assert sparkline([0.0, 0.5, 1.0], 2) == "▅█"
    assert sparkline([0.0], 0) == ""
