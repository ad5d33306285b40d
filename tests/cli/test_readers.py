"""Commands whose reader has gone: those that go on for ever end, soon and quietly, and coordinators go on (16)."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import COMMAND, RunCoordinator, RunningCoordinator, RunningEtcd

#: The longest that anything here may take, on a machine that is busy with other tests.
SECONDS = 30.0


@pytest.fixture(scope="module")
def own(etcd: RunningEtcd, run_coordinator: RunCoordinator) -> Iterator[RunningCoordinator]:
    """A coordinator whose watchers are those of these tests only."""
    with run_coordinator("serve", "--etcd", etcd.endpoint) as running:
        yield running


def watchers(coordinator: RunningCoordinator) -> int:
    with urllib.request.urlopen(coordinator.metrics_url, timeout=SECONDS) as page:  # noqa: S310  # our own
        found = re.search(r"^coordination_watchers (\d+)", page.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


def await_watchers(coordinator: RunningCoordinator, wanted: int, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while watchers(coordinator) != wanted:
        assert time.monotonic() < deadline, f"there are not {wanted} watchers after {seconds:g} s"
        time.sleep(0.05)


def command(coordinator: RunningCoordinator, fleet: str, *arguments: str) -> list[str]:
    return [COMMAND, *arguments, "--endpoint", coordinator.endpoint, "--fleet", fleet]


def claim(coordinator: RunningCoordinator, fleet: str, key: str) -> None:
    subprocess.run(command(coordinator, fleet, "work-claim", "session-1", key), check=True, capture_output=True)


@contextlib.contextmanager
def watching(
    coordinator: RunningCoordinator, fleet: str, *arguments: str, stdout: int
) -> Iterator[subprocess.Popen[str]]:
    """Run a watch until the block ends; in the block, the coordinator serves it."""
    await_watchers(coordinator, 0)
    with subprocess.Popen(
        command(coordinator, fleet, "work-watch", *arguments),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            await_watchers(coordinator, 1)
            yield process
        finally:
            process.kill()


def see_that_it_ended(process: subprocess.Popen[str], coordinator: RunningCoordinator) -> None:
    _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (0, "")
    await_watchers(coordinator, 0)


def a_pipe() -> tuple[int, Callable[[], None]]:
    reading, writing = os.pipe()
    return writing, lambda: os.close(reading)


def a_socket() -> tuple[int, Callable[[], None]]:
    mine, its = socket.socketpair()
    return its.detach(), mine.close


def a_terminal() -> tuple[int, Callable[[], None]]:
    mine, its = pty.openpty()
    return its, lambda: os.close(mine)


@pytest.mark.long_but_for("arguments0-a_pipe", "arguments1-a_pipe", "arguments0-a_socket", "arguments2-a_terminal")
@pytest.mark.parametrize("reader", [a_pipe, a_socket, a_terminal])
@pytest.mark.parametrize("arguments", [(), ("--json",), ("--session", "nobody"), ("--limit", "9")])
def test_a_watch_ends_when_its_reader_has_gone_although_nothing_happens(
    own: RunningCoordinator,
    fleet: str,
    arguments: tuple[str, ...],
    reader: Callable[[], tuple[int, Callable[[], None]]],
) -> None:
    writing, go = reader()
    with watching(own, fleet, *arguments, stdout=writing) as process:
        os.close(writing)
        go()
        see_that_it_ended(process, own)


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_watch_into_head_ends_with_it(own: RunningCoordinator, fleet: str, json: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    with watching(own, fleet, *json, stdout=writing) as process:
        os.close(writing)
        head = subprocess.Popen(["head", "-n", "2"], stdin=reading, stdout=subprocess.PIPE, text=True)
        os.close(reading)
        for number in range(2):
            claim(own, fleet, f"task:{number}")
        shown, _ = head.communicate(timeout=SECONDS)
        assert shown.count("\n") == 2
        see_that_it_ended(process, own)


def test_a_watch_whose_interrupts_are_ignored_ends_too(own: RunningCoordinator, fleet: str) -> None:
    """As in a script that runs it in the background."""
    script = f"{' '.join(command(own, fleet, 'work-watch'))} | head -n 1 > /dev/null &\nwait"
    with subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True) as shell:
        try:
            await_watchers(own, 1)
            claim(own, fleet, "task:x")
            _, said = shell.communicate(timeout=SECONDS)
        except BaseException:
            # The watch is a child of the shell's, and would go on for ever.
            os.killpg(shell.pid, signal.SIGKILL)
            raise
    assert (shell.returncode, said) == (0, "")
    await_watchers(own, 0)


def test_a_reader_that_only_waits_has_not_gone(own: RunningCoordinator, fleet: str) -> None:
    reading, writing = os.pipe()
    with watching(own, fleet, "--limit", "2", stdout=writing) as process, os.fdopen(reading) as lines:
        os.close(writing)
        claim(own, fleet, "task:first")
        assert "task:first" in lines.readline()
        assert process.poll() is None
        claim(own, fleet, "task:second")
        assert "task:second" in lines.readline()
        see_that_it_ended(process, own)


def test_a_watch_into_nothing_goes_on(own: RunningCoordinator, fleet: str) -> None:
    with watching(own, fleet, "--limit", "1", stdout=subprocess.DEVNULL) as process:
        claim(own, fleet, "task:x")
        see_that_it_ended(process, own)


def test_what_is_for_a_closed_output_ends(coordinator: RunningCoordinator, fleet: str) -> None:
    for arguments, code, said in ((("work-watch",), 0, ""), (("backup", "-"), 2, "error: standard output is closed\n")):
        line = shlex.join(command(coordinator, fleet, *arguments))
        done = subprocess.run(f"exec {line} >&-", shell=True, stderr=subprocess.PIPE, text=True, timeout=SECONDS)  # noqa: S602  # a shell closes it
        assert (done.returncode, done.stderr[: len(said) or None]) == (code, said)


def test_a_watch_onto_a_full_disk_ends_and_says_so(own: RunningCoordinator, fleet: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with watching(own, fleet, stdout=full) as process:
        os.close(full)
        claim(own, fleet, "task:x")
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 74
    assert said.startswith("error: the answer could not be written: No space left on device\n")


def test_top_ends_when_its_terminal_hangs_up(own: RunningCoordinator, fleet: str) -> None:
    mine, its = pty.openpty()
    with subprocess.Popen(
        command(own, fleet, "top"),
        stdin=its,
        stdout=its,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm"},
    ) as process:
        os.close(its)
        try:
            await_watchers(own, 1)
            os.close(mine)
            see_that_it_ended(process, own)
        finally:
            process.kill()


@pytest.mark.long
def test_a_watch_whose_client_has_stopped_gives_up_its_place(own: RunningCoordinator, fleet: str) -> None:
    """It closes nothing, and its host goes on answering for it."""
    reading, writing = os.pipe()
    with watching(own, fleet, stdout=writing) as process, os.fdopen(reading) as lines:
        os.close(writing)
        process.send_signal(signal.SIGSTOP)
        await_watchers(own, 0, 20 + SECONDS)
        claim(own, fleet, "task:meanwhile")
        process.send_signal(signal.SIGCONT)
        # It goes on where it was.
        assert "task:meanwhile" in lines.readline()


@pytest.mark.long_but_for("up")
@pytest.mark.parametrize("kind", ["serve", "up"])
def test_a_coordinator_continues_when_its_output_is_not_read(
    kind: str, etcd: RunningEtcd, tmp_path: Path, fleet: str
) -> None:
    source = ("--etcd", etcd.endpoint) if kind == "serve" else ("--data-dir", str(tmp_path))
    free = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
    with subprocess.Popen(
        [COMMAND, kind, *source, *free], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        ready = process.stdout.readline().split()
        process.stdout.close()
        process.stderr.close()
        endpoint = ready[ready.index("grpc") + 1].rstrip(",")
        for number in range(3):
            done = subprocess.run(
                [COMMAND, "work-claim", "session-1", f"task:{number}", "--endpoint", endpoint, "--fleet", fleet],
                capture_output=True,
                timeout=SECONDS,
            )
            assert done.returncode == 0
        process.terminate()
        assert process.wait(SECONDS) == 0
