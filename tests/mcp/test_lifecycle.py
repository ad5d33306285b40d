"""How a server starts and ends, and what a session sees of one that has crashed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator import Client
from coordinator.model import Event
from tests.conftest import COMMAND, Coordination, RunningCoordinator
from tests.mcp.agents import an_agent, environment_of

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


def test_without_the_sdk_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['mcp'] = None\nfrom coordinator.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "mcp"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: `coordination mcp` needs a package that is not installed: mcp\nhint: pip install 'coordinator[mcp]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--session", "acme/web#7"], "session and key look swapped"),
        (["--ttl", "1s"], "a ttl of 1 s is out of range"),
        (["--ttl", "10"], "is not a duration"),
        (["--fleet", "Ä"], "fleet"),
    ],
)
def test_what_cannot_be_used_ends_it_before_it_serves(
    coordination: Coordination, arguments: list[str], said: str
) -> None:
    done = coordination("mcp", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_other_commands_do_not_load_the_sdk() -> None:
    code = (
        "import sys; sys.argv = ['coordination', 'work-list', '--endpoint', '127.0.0.1:1', '--timeout', '0.1']\n"
        "import os; os._exit = sys.exit\nfrom coordinator.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'mcp', 'pydantic', 'coordinator.mcp'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done


class _Raw:
    """A server to which lines are written, without the SDK's client."""

    def __init__(self, coordinator: RunningCoordinator, fleet: str) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "mcp", "--session", "raw"],
            env=environment_of(coordinator.endpoint, fleet),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.send(HELLO)
        assert json.loads(self.line())["result"]["serverInfo"]["name"] == "coordination"
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{message if isinstance(message, str) else json.dumps(message)}\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def call(self, number: int, tool: str, **arguments: object) -> dict[str, object]:
        parameters = {"name": tool, "arguments": arguments}
        self.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters})
        found = json.loads(self.line())
        assert found["id"] == number
        structured: dict[str, object] = found["result"]["structuredContent"]
        return structured


def test_a_closed_input_ends_it_at_once_and_hands_nothing_back(coordinator: RunningCoordinator, fleet: str) -> None:
    raw = _Raw(coordinator, fleet)
    raw.send("no JSON at all \u202e")
    assert raw.call(2, "claim", keys=["task:a"])["outcome"] == "granted"
    started = time.monotonic()
    rest, said = raw.process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert (raw.process.returncode, rest) == (0, "")
    assert "Traceback" not in said
    with Client(coordinator.endpoint, fleet=fleet) as client:
        assert client.get("task:a").claim is not None


def test_a_signal_ends_it_although_its_input_is_open(coordinator: RunningCoordinator, fleet: str) -> None:
    raw = _Raw(coordinator, fleet)
    raw.process.send_signal(signal.SIGTERM)
    assert raw.process.wait(timeout=20) == 143
    raw.process.communicate()


def test_an_agent_that_does_not_read_ends_it_quietly(coordinator: RunningCoordinator, fleet: str) -> None:
    raw = _Raw(coordinator, fleet)
    assert raw.process.stdout is not None
    raw.process.stdout.close()
    raw.send({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    assert raw.process.stdin is not None
    raw.process.stdin.close()
    assert raw.process.stderr is not None
    assert (raw.process.stderr.read(), raw.process.wait(timeout=20)) == ("", 0)
    raw.process.stderr.close()


def test_a_session_from_start_to_crash_and_what_the_next_one_sees(coordinator: RunningCoordinator, fleet: str) -> None:
    """The SDK's client as a scripted agent. It is killed as an agent is: its server with it."""
    with (
        Client(coordinator.endpoint, fleet=fleet) as client,
        an_agent(coordinator.endpoint, fleet, "--ttl", "5s", "--repo", "acme/web") as first,
    ):
        named = first.call("briefing").fields["session"]
        client.claim("session-b", "acme/web#1", ttl=600)
        events = client.watch(session=named)
        claimed = first.call("claim", keys=["#1", "#2"])
        assert (claimed.fields["work_key"], claimed.fields["session"]) == ("github:acme/web#2", named)
        first.call("note", key="#2", note="tests written, docs left")
        assert first.call("claim", keys=["#1"]).fields["outcome"] == "denied"
        # It is renewed although nothing is called: once by the note, and then by itself.
        renewed = 0
        while renewed < 2:
            renewed += next(events).event is Event.RENEWED
        with an_agent(coordinator.endpoint, fleet, "--repo", "acme/web", COORDINATION_SESSION="second") as second:
            assert second.call("claim", keys=["#2"]).text.startswith(f"DENIED github:acme/web#2: held by {named} for")
            os.kill(_server_of(first_marker="--ttl"), signal.SIGKILL)
            deadline = time.monotonic() + 60
            while (taken := second.call("claim", keys=["#2"])).fields["outcome"] == "denied":
                assert time.monotonic() < deadline
                time.sleep(0.3)
            assert f"attempt 2; attempt 1 by {named} expired" in taken.text
            assert 'its last note: "tests written, docs left"' in taken.text
            assert "#2" in second.call("briefing").text.split("## Taken")[0]


def _server_of(first_marker: str) -> int:
    """Return the process id of the server that this test has started with an option."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1]) if entry.name.isdigit() else 0
        except (OSError, ValueError):
            continue
        if b"mcp" in words and first_marker.encode() in words and parent == os.getpid():
            found.append(int(entry.name))
    (only,) = found
    return only


def test_a_lost_claim_is_told_with_whatever_is_called_next(coordinator: RunningCoordinator, fleet: str) -> None:
    with (
        Client(coordinator.endpoint, fleet=fleet) as client,
        an_agent(coordinator.endpoint, fleet, "--ttl", "5s", "--session", "s") as agent,
    ):
        agent.call("claim", keys=["task:a"])
        client.revoke("task:a", at_once=True, reason="wrong")
        deadline = time.monotonic() + 60
        while "notices" not in (said := agent.call("look", key="task:b")).fields:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (notice,) = said.fields["notices"]
        assert notice.startswith("LOST task:a: stop this work and do not push")
        assert said.text.splitlines()[0] == notice
        # Errors say it too, first.
        failed = agent.call("note", key="task:b")
        assert failed.failed
        assert failed.text.startswith("LOST task:a")
        # Who asks about it knows it.
        agent.call("look", key="task:a")
        assert "notices" not in agent.call("look", key="task:b").fields
