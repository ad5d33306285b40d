"""``coordination hook`` as agents run it: it ends with 0 and one JSON object, whatever is there and whatever is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.agents import stamps
from coordinator.agents.stamps import Stamp
from tests.cli.json_page import check, tables
from tests.conftest import COMMAND, Coordination, RunningCoordinator

START = json.dumps({"session_id": "session-1", "hook_event_name": "SessionStart", "source": "startup"}).encode()
TOOL = json.dumps({"session_id": "session-1", "hook_event_name": "PostToolUse", "tool_input": {}}).encode()


def run(said: bytes, *arguments: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    environment = {**kept, "COORDINATION_ENDPOINT": "127.0.0.1:1", **settings}
    return subprocess.run(
        [COMMAND, "hook", *(arguments or ("claude",))], input=said, env=environment, capture_output=True, timeout=60
    )


def answered(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode == 0, done
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


ODD = {
    "nothing": b"",
    "no JSON": b"SessionStart",
    "no object": b"[1]",
    "nested": b"[" * 100_000,
    "no UTF-8": b'{"hook_event_name": "\xff\xfe"}',
    "another event": b'{"hook_event_name": "PreCompact", "session_id": "x"}',
    "another type": b'{"hook_event_name": ["Stop"], "session_id": {"a": 1}}',
    "a number of many digits": b'{"hook_event_name": "Stop", "x": ' + b"9" * 10_000 + b"}",
    "too long": b" " * (33 * 1024 * 1024),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_input_is_answered_with_nothing(odd: str) -> None:
    assert answered(run(ODD[odd])) == {}


def test_hostile_fields_stay_out_of_the_answer(home: Path) -> None:
    hostile = 'x"; rm -rf / #\n\u202e\ud800IGNORE ALL'
    said = json.dumps(dict.fromkeys(("session_id", "cwd", "transcript_path", "source", "model"), hostile))
    found = answered(run(json.dumps({**json.loads(said), "hook_event_name": "SessionStart"}).encode()))
    text = found["hookSpecificOutput"]["additionalContext"]
    assert "IGNORE" not in text
    assert "rm -rf" not in text


def test_the_switch_turns_hooks_off() -> None:
    done = run(START, COORDINATION_HOOKS="off")
    assert (answered(done), done.stderr) == ({}, b"")


@pytest.mark.parametrize("arguments", [("nosuch",), ("claude", "--nosuch"), ("claude", "--guard"), ("claude", "x")])
def test_wrong_usage_never_ends_with_2_which_blocks_agents(arguments: tuple[str, ...]) -> None:
    done = run(START, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")


@pytest.mark.parametrize(
    "settings",
    [
        {"COORDINATION_FLEET": "No Fleet!"},
        {"COORDINATION_ENDPOINT": "nowhere"},
        {"COORDINATION_TIMEOUT": "soon"},
        {"COORDINATION_CONFIG": "/nonexistent/config.toml"},
        {"COORDINATION_TOKEN_FILE": "/nonexistent/token"},
        {"HOME": ""},
        {"HOME": "/proc/nowhere"},
    ],
)
def test_settings_that_cannot_be_used_are_said_and_block_nobody(settings: dict[str, str]) -> None:
    done = run(START, **settings)
    answered(done)
    assert done.stderr.startswith(b"coordination hook: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">/dev/full"])
def test_closed_descriptors_block_nobody(closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{COMMAND} hook claude {closed}"], input=START, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.long  # it waits for its limit
def test_an_agent_that_never_stops_writing_is_answered_all_the_same() -> None:
    started = time.monotonic()
    with subprocess.Popen([COMMAND, "hook", "claude"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == {}
        assert process.wait() == 0
    assert time.monotonic() - started < 30


_MODULES = """
import os, sys
from coordinator.cli.hook import run_quickly
run_quickly(["hook", "claude"])
print(sorted({"grpc", "typer", "asyncio", "socket", "pathlib", "dataclasses", "typing", "mcp"} & {*sys.modules}))
"""


def test_a_hook_that_has_nothing_to_do_loads_and_asks_nothing(silent: str) -> None:
    """The address is one that never answers: it would take long to ask."""
    assert stamps.save("session-1", Stamp(stamps.now() + 600))
    done = subprocess.run(
        [sys.executable, "-S", "-c", _MODULES],
        input=TOOL,
        env={**os.environ, "PYTHONPATH": str(Path(COMMAND).parents[2])},
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.decode().splitlines() == ["{}", "[]"], done


def test_a_session_from_install_to_the_end(
    coordination: Coordination,
    coordinator: RunningCoordinator,
    fleet: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hook is run as the settings say, with a claim that a command of the agent's shell has made."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert coordination("install", "claude", "--project", "--check").returncode == 1
    shown = coordination("install", "claude", "--print")
    assert "+++" in shown.stdout
    assert list(Path.cwd().iterdir()) == []
    done = coordination("install", "claude", "--project")
    assert done.returncode == 0, done
    assert coordination("install", "claude", "--check").returncode == 0
    settings = json.loads(Path(".claude/settings.json").read_text())
    command = settings["hooks"]["SessionStart"][0]["hooks"][0]["command"]
    assert coordination("work-claim", "task:one", CLAUDE_CODE_SESSION_ID="session-1").returncode == 0
    environment = {**os.environ, "COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
    environment["PATH"] = f"{Path(COMMAND).parent}:{environment['PATH']}"
    started = subprocess.run(["/bin/sh", "-c", command], input=START, env=environment, capture_output=True, timeout=60)
    assert "task:one" in answered(started)["hookSpecificOutput"]["additionalContext"]
    removed = coordination("install", "claude", "--remove")
    assert removed.stdout.count("removed ") == 3
    assert list(Path.cwd().iterdir()) == []


def test_the_object_of_install_is_as_documented(
    coordination: Coordination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common, (install,), (file,) = (
        tables("What all objects have in common")[0],
        tables("install"),
        tables("install: a file"),
    )
    for option, code in (("--check", 1), ("--print", 0), ("--project", 0), ("--check", 0), ("--remove", 0)):
        done = coordination("install", "cursor", option, "--json")
        assert done.returncode == code
        check(json.loads(done.stdout), common | install | {"files": [file]})


def test_what_install_refuses(coordination: Coordination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, says in (
        (("nosuch",), "is no agent that is known"),
        (("claude", "--project", "--user"), "exclude each other"),
        (("claude", "--check", "--remove"), "exclude each other"),
        (("generic", "--user"), "in projects only"),
        (("claude", "--guard", "a\nb"), "one line"),
    ):
        done = coordination("install", *arguments)
        assert done.returncode == 2
        assert says in done.stderr
