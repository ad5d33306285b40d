"""Wherever a command is run, it ends with a documented exit code and one object: 1 is a "no", and never a crash.

Number 17.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND

DOCUMENTED = {0, 1, 2, 3, 4, 70, 74, 130}
NO_COORDINATOR = "127.0.0.1:1"
#: Loads all that the command needs, becomes a user of whom the system knows nothing, and goes on.
_AS_UNKNOWN_USER = """
import logging.config, os, pwd, runpy, sys, tomllib, encodings.idna
import grpc, grpc_health, prometheus_client, uvicorn, uvloop
import coordinator.cli.server.background, coordinator.cli.crash_report, coordinator.cli.entry, coordinator.cli.startup
import coordinator.cli.app, coordinator.client._sync, coordinator.model.fleet, coordinator.model.work
coordinator.cli.app.build_app()
if os.getuid() == 0:
    os.setgroups([]), os.setgid(54321), os.setuid(54321)
from coordinator.cli import main
main()
"""


def run(
    *arguments: str, environment: dict[str, str], program: tuple[str, ...] = (COMMAND,), cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    # Where mutants are tried, it says which tree is run.
    tree = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    done = subprocess.run(
        [*program, *arguments], env=tree | environment, capture_output=True, encoding="utf-8", timeout=60, cwd=cwd
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in DOCUMENTED, done
    return done


def error_in(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    return error


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_file(path: Path) -> None:
    path.write_text("")


def nothing(path: Path) -> None:
    pass


def a_home_whose_config_is_a_file(path: Path) -> None:
    path.mkdir()
    (path / ".config").write_text("")


HOMES: dict[str, Callable[[Path], None]] = {
    "a symlink to itself": a_loop,
    "a file": a_file,
    "not there": nothing,
    "a directory whose .config is a file": a_home_whose_config_is_a_file,
}


class TestHomes:
    @pytest.mark.long_but_for("a symlink to itself", "not there")
    @pytest.mark.parametrize("home", HOMES)
    def test_a_home_that_is_none_means_no_file(self, home: str, tmp_path: Path) -> None:
        path = tmp_path / "home"
        HOMES[home](path)
        environment = {"HOME": str(path)}
        assert run("config", "show", environment=environment).returncode == 0
        failed = run("work-list", "--endpoint", NO_COORDINATOR, "--json", environment=environment)
        assert failed.returncode == 3
        assert error_in(failed)["code"] == "UNAVAILABLE"

    @pytest.mark.long_but_for("environment0", "environment2")
    @pytest.mark.parametrize(
        "environment", [{}, {"HOME": ""}, {"HOME": "relative"}, {"XDG_CONFIG_HOME": "relative"}, {"HOME": "/root"}]
    )
    def test_an_empty_environment_and_an_unknown_user(self, environment: dict[str, str]) -> None:
        program = (sys.executable, "-c", _AS_UNKNOWN_USER)
        for arguments, code in ((("config", "show"), 0), (("work-list", "--endpoint", NO_COORDINATOR), 3)):
            for options in ((), ("--json",)):
                done = run(*arguments, *options, environment=environment, program=program)
                assert done.returncode == code, done
                assert bool(done.stdout) is (code == 0 or bool(options))
        assert run(*arguments, environment=environment).returncode == code

    def test_a_user_without_a_home_is_asked_for_a_directory(self) -> None:
        program = (sys.executable, "-c", _AS_UNKNOWN_USER)
        done = run("down", environment={"HOME": ""}, program=program)
        # Where tests do not run as root, the user stays the same and has one.
        assert done.returncode == (2 if os.getuid() == 0 else 1)

    def test_a_path_that_cannot_be_read_is_reported_by_config_show(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("")
        environment = {"HOME": str(tmp_path / "home")}
        said = run("config", "show", environment=environment).stdout
        assert said.endswith("config.toml: Not a directory\n")
        found = json.loads(run("config", "show", "--json", environment=environment).stdout)
        assert found["config_file_problem"] == "Not a directory"


class TestFiles:
    """Configured settings are never left out without a message."""

    @pytest.mark.long_but_for("True-not UTF-8", "True-deep", "True-large", "False-a long number", "False-unknown")
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"fleet = '\xff'", "is not UTF-8"),
            (b"[" * 100_000, "is not TOML"),
            (b"timeout = " + b"9" * 5000, "is not TOML"),
            (b"a = 1\n" * 200_000, "is too large"),
            (b"fleets = 'x'", "is not a setting"),
            (b"\x00", "is not TOML"),
        ],
        ids=["not UTF-8", "deep", "a long number", "large", "unknown", "a null byte"],
    )
    @pytest.mark.parametrize("named", [True, False])
    def test_one_that_cannot_be_used_is_an_error(self, content: bytes, said: str, named: bool, tmp_path: Path) -> None:
        file = tmp_path / "coordination" / "config.toml"
        file.parent.mkdir()
        file.write_bytes(content)
        where = {"COORDINATION_CONFIG": str(file)} if named else {"XDG_CONFIG_HOME": str(tmp_path)}
        done = run("work-list", "--json", environment=where)
        assert done.returncode == 2
        assert said in error_in(done)["message"]

    def test_one_that_is_a_directory_or_endless_is_an_error(self, tmp_path: Path) -> None:
        for file in (tmp_path, tmp_path / "not there", Path("/dev/zero"), tmp_path / ("x" * 300)):
            done = run("work-list", "--json", environment={"COORDINATION_CONFIG": str(file)})
            assert done.returncode == 2
            assert "configuration file" in error_in(done)["message"]

    def test_a_pipe_is_read_once(self) -> None:
        script = f"exec 9< <(echo \"fleet = 'piped'\"); COORDINATION_CONFIG=/dev/fd/9 {COMMAND} work-list --json"
        done = run("-c", f"{script} --endpoint {NO_COORDINATOR}", environment={}, program=("bash",))
        assert (done.returncode, json.loads(done.stdout)["fleet"]) == (3, "piped")


class TestDirectories:
    def removed(self, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a directory that is not there any more."""
        gone = tmp_path / "gone"
        gone.mkdir()
        script = 'rmdir "$PWD"; exec "$@"'
        return run("-c", script, "sh", COMMAND, *arguments, environment={}, program=("sh",), cwd=gone)

    @pytest.mark.long_but_for("arguments0-0", "arguments1-3", "arguments2-2", "arguments5-2")
    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("--version",), 0),
            (("work-list", "--endpoint", NO_COORDINATOR), 3),
            (("certs", "relative"), 2),
            (("token", "a", "--tokens", "tokens", "--out", "token"), 2),
            (("down", "--data-dir", "relative"), 2),
            (("up", "--data-dir", "relative", "--detach"), 2),
        ],
    )
    def test_a_current_directory_that_was_removed(self, arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
        done = self.removed(tmp_path, *arguments)
        assert done.returncode == code, done
        assert "internal error" not in done.stderr


#: What is done to the command before it runs, and what it says.
FAULTS = {
    "an error while an error is reported": (
        """
from coordinator.cli import entry
def fail(*_, **__): raise RuntimeError('broken')
entry.emit_error = fail
""",
        "RuntimeError: broken",
    ),
    "no memory": (
        "from coordinator.cli import entry\ndef fail(*_): raise MemoryError\nentry._invoke = fail",
        "not enough memory",
    ),
    "recursion": ("from coordinator.cli import entry\ndef fail(a): fail(a)\nentry._invoke = fail", "RecursionError"),
    "cancelled": (
        """
import asyncio
from coordinator.cli import entry
def fail(*_): raise asyncio.CancelledError
entry._invoke = fail
""",
        "CancelledError",
    ),
    "sys.exit": ("from coordinator.cli import entry\ndef fail(*_): sys.exit(1)\nentry._invoke = fail", "SystemExit"),
    "a library that cannot be loaded": ("sys.modules['grpc'] = None", "cannot load what it needs"),
    "a part of ours that cannot be loaded": ("sys.modules['coordinator.cli.text'] = None", "cannot load what it"),
}


class TestFaults:
    @pytest.mark.long_but_for(
        "an error while an error is reported", "no memory", "sys.exit", "a library that cannot be loaded"
    )
    @pytest.mark.parametrize("fault", FAULTS)
    def test_an_unexpected_error_is_70_and_one_object(self, fault: str) -> None:
        code, said = FAULTS[fault]
        program = (sys.executable, "-c", f"import sys\n{code}\nfrom coordinator.cli import main; main()")
        arguments = ("work-list", "--endpoint", NO_COORDINATOR)
        done = run(*arguments, environment={}, program=program)
        assert (done.returncode, done.stdout) == (70, "")
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        done = run(*arguments, "--json", environment={"COORDINATION_FLEET": "mine"}, program=program)
        assert done.returncode == 70
        assert said in error_in(done)["message"]
        assert json.loads(done.stdout)["fleet"] == "mine"

    @pytest.mark.parametrize("module", ["crash_report", "streams"])
    def test_even_the_last_words_may_fail(self, module: str) -> None:
        code = f"import sys; sys.modules['coordinator.cli.{module}'] = sys.modules['coordinator.cli.entry'] = None\n"
        code += "from coordinator.cli import main; main()"
        done = run("work-list", environment={}, program=(sys.executable, "-c", code))
        assert (done.returncode, done.stderr) == (70, "error: the command failed because of an internal error\n")

    def test_a_traceback_that_was_asked_for_changes_no_code(self) -> None:
        code = f"import sys\n{FAULTS['recursion'][0]}\nfrom coordinator.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "work-list", "--json"],
            env={"COORDINATION_TRACE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (70, True)
        assert json.loads(done.stdout)["error"]["code"] == "INTERNAL"


class TestDescriptors:
    @pytest.mark.long_but_for("2>&-", "<&- >&- 2>&-")
    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
    def test_nothing_else_takes_the_place_of_a_closed_one(self, closed: str) -> None:
        """A connection with the number 2 would be written to as standard error."""
        code = (
            "import os\nfrom coordinator.cli import entry, main\n"
            "entry._invoke = lambda *_: 0 if os.open('/dev/zero', os.O_RDONLY) > 2 else 3\nmain()"
        )
        script = f'exec "$@" {closed}'
        done = run("-c", script, "bash", sys.executable, "-c", code, environment={}, program=("bash",))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
