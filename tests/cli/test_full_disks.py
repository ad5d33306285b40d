"""A full disk, whether answers go there or files: the right exit code, a sentence, and no half-made file (18)."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from coordinator.cli.server import background
from coordinator.store.embedded.running_coordinator import find_holder
from tests.conftest import COMMAND, RunningCoordinator

NO_SPACE = "error: the answer could not be written: No space left on device\n"
NO_COORDINATOR = "127.0.0.1:1"
Streams = dict[str, BinaryIO | int]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(coordinator: RunningCoordinator, fleet: str) -> Run:
    """Run a command against the shared coordinator; the streams named are on a full disk."""

    def run(*arguments: str, full: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        environment |= {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
        with contextlib.ExitStack() as stack:
            streams: Streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            streams |= {name: stack.enter_context(Path("/dev/full").open("wb")) for name in full}
            done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]  # streams by name
                [COMMAND, *arguments], env=environment, text=True, timeout=60, **streams
            )
        assert "Traceback" not in (done.stderr or "")
        return done

    return run


def await_control(sockets: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a coordinator is found as one that runs."""
    while (holder := find_holder(sockets)) is None:
        assert process.poll() is None
        time.sleep(0.05)
    holder.close()


def test_a_coordinator_in_the_background_whose_log_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said of its end was lost with the log."""
    log = tmp_path / "coordinator.log"
    log.touch()
    assert f"its log is {log}" in str(background._failure(2, [], log).hint)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert f"no space left on the file system of {tmp_path}" in background._failure(2, [], log).message


class TestAnswers:
    @pytest.mark.long_but_for(
        "arguments0-74", "arguments5-74", "arguments6-1", "arguments7-1", "arguments12-3", "arguments13-74"
    )
    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("--version",), 74),
            (("--help",), 74),
            (("work-claim", "--help"), 74),
            (("config", "show", "--json"), 74),
            (("work-list",), 74),
            (("work-claim", "session-1", "task:new"), 74),
            (("work-claim", "session-2", "task:held"), 1),
            (("work-claim", "session-2", "task:held", "--json"), 1),
            (("work-show", "task:unknown"), 1),
            (("work-log", "session-2", "--json"), 1),
            (("work-complete", "session-2", "task:held", "--json"), 1),
            (("work-list", "--limit", "0", "--json"), 2),
            (("work-list", "--endpoint", NO_COORDINATOR, "--json"), 3),
            (("top",), 74),
        ],
    )
    def test_a_lost_answer_changes_no_code_but_0(self, arguments: tuple[str, ...], code: int, run: Run) -> None:
        run("work-claim", "session-1", "task:held")
        done = run(*arguments, full=("stdout",))
        assert done.returncode == code, done
        # The error is reported all the same, and also that it could not be written as JSON.
        assert (NO_SPACE in done.stderr) is (code in (1, 74) or "--json" in arguments)
        assert "internal error" not in done.stderr
        for full in (("stderr",), ("stdout", "stderr")):
            quiet = run(*arguments, full=full)
            assert quiet.returncode == (0 if code == 74 and "stdout" not in full else code), (full, quiet)

    def test_what_was_asked_for_has_been_done(self, run: Run) -> None:
        assert run("work-claim", "session-1", "task:x", full=("stdout",)).returncode == 74
        assert run("work-claim", "session-2", "task:x").returncode == 1
        assert run("work-complete", "session-1", "task:x", full=("stdout",)).returncode == 74
        assert "already completed by session-1" in run("work-claim", "session-2", "task:x").stdout

    def test_certificates_are_whole_although_no_output_can_be_written(self, run: Run, tmp_path: Path) -> None:
        where = tmp_path / "certs"
        assert run("certs", str(where), full=("stdout",)).returncode == 74
        assert sorted(path.name for path in where.iterdir()) == ["ca.crt", "ca.key", "server.crt", "server.key"]
        tokens = tmp_path / "tokens"
        done = run("token", "a", "--tokens", str(tokens), "--out", f"{tmp_path}/a", full=("stdout", "stderr"))
        assert (done.returncode, tokens.read_text().count("[[credential]]")) == (74, 1)

    @pytest.mark.long_but_for("full2")
    @pytest.mark.parametrize("full", [("stderr",), ("stdout",), ("stdout", "stderr")])
    def test_a_coordinator_runs_whose_notices_and_log_are_lost(self, full: tuple[str, ...], tmp_path: Path) -> None:
        command = [COMMAND, "up", "--data-dir", str(tmp_path / "data")]
        command += [
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--audit-log",
            str(tmp_path / "audit"),
        ]
        with contextlib.ExitStack() as stack:
            streams: Streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            streams |= {name: stack.enter_context(Path("/dev/full").open("wb")) for name in full}
            process: subprocess.Popen[bytes] = stack.enter_context(subprocess.Popen(command, **streams))  # type: ignore[call-overload]  # likewise
            stack.callback(process.kill)
            await_control(tmp_path / "data" / "sockets", process)
            ready = subprocess.run(
                [COMMAND, "up", "--detach", "--data-dir", str(tmp_path / "data"), *command[4:]],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert (ready.returncode, "already running" in ready.stderr) == (0, True), ready
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def limited(size: int, *arguments: object, code: int = 2) -> str:
    """Run a command that can write so many bytes to a file, as on a disk that is nearly full.

    A program of its own sets the limit: code that runs between fork and exec does not bear the threads of gRPC.
    """
    command = [sys.executable, "-c", _LIMITED, str(size), COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stderr


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class TestFiles:
    @pytest.mark.long_but_for("230")
    @pytest.mark.parametrize("size", [0, 100, 230, 400])
    def test_certificates_are_made_whole_or_not_at_all(self, size: int, tmp_path: Path) -> None:
        where = tmp_path / "new" / "certs"
        assert "the certificates cannot be written" in limited(size, "certs", where)
        assert list(tmp_path.iterdir()) == []
        subprocess.run([COMMAND, "certs", where], check=True, capture_output=True)
        before = contents(tmp_path)
        for more in (
            ("--client", "alice", "--client", "bob"),
            ("--host", "other.example"),
            ("--host", "a", "--client", "b"),
        ):
            assert "the certificates cannot be written" in limited(size, "certs", where, *more)
            assert contents(tmp_path) == before

    @pytest.mark.long_but_for("50-False", "50-True")
    @pytest.mark.parametrize(("size", "present"), [*itertools.product([0, 50, 100], [False, True])])
    def test_a_token_and_its_entry_are_both_made_or_neither(self, size: int, present: bool, tmp_path: Path) -> None:
        tokens, out = tmp_path / "tokens.toml", tmp_path / "alice.token"
        if present:
            subprocess.run(
                [COMMAND, "token", "first", "--tokens", tokens, "--out", tmp_path / "first"],
                check=True,
                capture_output=True,
            )
        size += len(tokens.read_bytes()) if present and size else 0
        before = contents(tmp_path)
        for more in (("--out", out), ("--certificate", "alice")):
            assert "cannot be written" in limited(size, "token", "alice", "--tokens", tokens, *more)
            assert contents(tmp_path) == before

    @pytest.mark.parametrize("kind", ["a device without an end", "a pipe", "a directory", "a full device"])
    def test_what_is_no_plain_file_is_no_tokens_file(self, kind: str, tmp_path: Path) -> None:
        tokens = {"a device without an end": Path("/dev/zero"), "a full device": Path("/dev/full")}.get(kind)
        if tokens is None:
            tokens = tmp_path / "there"
            os.mkfifo(tokens) if kind == "a pipe" else tokens.mkdir()
        done = subprocess.run(
            [COMMAND, "token", "alice", "--tokens", tokens, "--out", tmp_path / "out"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, "cannot be written" in done.stderr) == (2, True), done
        assert not (tmp_path / "out").exists()
