"""Bad input to ``run``: one sentence, its code, nothing claimed and nothing run; no coordinator is needed to say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COMMAND

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``coordination run`` where no coordinator is."""

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        return subprocess.run(
            [COMMAND, "run", *arguments],
            env=kept | {"COORDINATION_ENDPOINT": "127.0.0.1:1", "COORDINATION_TIMEOUT": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


_TRUE = ("--", "true")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("task:a",), 125, "no command is named; it must stand behind --"),
        (("task:a", "--"), 125, "no command stands behind --; it must stand behind --"),
        (_TRUE, 125, "no work key is named; at least one is needed"),
        (("task:a", "--", "not-there"), 127, "the command 'not-there' is not found; nothing was run"),
        (("task:a", "--", "./not-there"), 127, "the command './not-there' is not found; nothing was run"),
        (("task:a", "--", ""), 127, "the command '' is not found; nothing was run"),
        (("task:a", "--", "/"), 126, "the command '/' cannot be executed: it is a directory; nothing was run"),
        (("task:a", "--", "/etc/passwd"), 126, "cannot be executed: Permission denied; nothing was run"),
        (
            ("task:a", "--ttl", "20s", *_TRUE),
            125,
            "a ttl of 20 s is too short for a grace of 10 s; it must be at least 36",
        ),
        (("task:a", "--grace", "10", *_TRUE), 125, "'10' is not a duration; it must be a number with s, m, h or d"),
        (("task:a", "-E", "256", *_TRUE), 125, "256 is not in the range 0<=x<=255"),
        (("task:a", "--nosuch", *_TRUE), 125, "no such option: --nosuch"),
        (("task:a", "--session", "a b", *_TRUE), 125, "the session holds a space"),
        (("task:a", "task:b", "task:", *_TRUE), 125, "at least one letter or digit in it (number 3 of 3)"),
        ([*(f"task:{number}" for number in range(1001)), *_TRUE], 125, "1,001 work keys are too many; at most 1,000"),
        (("--from", "list", *_TRUE), 125, "--from list cannot be read: No such file or directory"),
        (("--from", "-", *_TRUE), 125, "--from cannot be standard input, which is COMMAND's"),
        (("--next", "task:a", *_TRUE), 125, "--next takes work of the pool, and work keys are named"),
        (("--next", "--from", "list", *_TRUE), 125, "--next takes work of the pool, and work keys are named"),
        (("--kind", "task", "task:a", *_TRUE), 125, "--kind is about the pool, and --next is not given"),
        (("--next", "--kind", "T:", *_TRUE), 125, "'T:' is not a kind"),
        (("task:a", *_TRUE), 125, "no coordinator answers at 127.0.0.1:1: the connection is refused"),
    ],
    ids=lambda value: None if isinstance(value, int | str) else "-".join(value[:4]),
)
def test_it_is_refused_with_one_sentence(arguments: list[str], code: int, error: str, run: Run) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    lines = done.stderr.splitlines()
    assert error in lines[0]
    assert lines[0].startswith("error: ")
    assert [line.partition(":")[0] for line in lines[1:]] in ([], ["hint"])


def test_of_an_empty_list_nothing_can_be_had(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("\n  \n")
    done = run("--from", "list", *_TRUE)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == "DENIED: nothing is free: the list is empty\n"
    assert run("-E", "0", "--from", "list", *_TRUE).returncode == 0


def test_json_goes_to_standard_error(run: Run) -> None:
    done = run("--json", "task:a", "--ttl", "1h", "--grace", "x", *_TRUE)
    assert (done.returncode, done.stdout) == (125, "")
    assert json.loads(done.stderr)["error"]["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("command", "code"), [("not-there", 127), ("/", 126)])
def test_a_command_that_cannot_be_run_is_a_mistake_and_no_internal_error(command: str, code: int, run: Run) -> None:
    done = run("--json", "task:a", "--", command)
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (code, "INVALID_ARGUMENT")


def test_options_behind_the_dashes_are_the_commands(run: Run) -> None:
    done = run("task:a", "--", sys.executable, "--json", "--nosuch")
    assert "no coordinator answers" in done.stderr.splitlines()[0]
