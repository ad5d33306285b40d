"""A scripted agent, which behaves as the documentation of Claude Code says, from its start to its crash.

It reads the settings that ``install`` has written, runs the hooks with the documented JSON, starts the server of
``.mcp.json`` and calls its tools by the SDK's client; its sub-agents have its session. No language model takes part.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.agents.install import apply, look, plan_install
from coordinator.agents.places import Places
from coordinator.agents.registry import load_agent
from coordinator.client import Client
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import COMMAND, RunningCoordinator
from tests.expiry_waiting import await_expiry
from tests.mcp.agents import Agent, an_agent, environment_of


class ScriptedAgent:
    """One session of the agent in a project."""

    def __init__(self, project: Path, session: str, endpoint: str, fleet: str) -> None:
        self.project, self.session, self._endpoint, self._fleet = project, session, endpoint, fleet
        self._environment = environment_of(endpoint, fleet, CLAUDE_CODE_SESSION_ID=session, HOME=str(project.parent))
        self._environment["PATH"] = f"{Path(COMMAND).parent}:{os.environ['PATH']}"

    def hook(self, event: str, tool: str = "", **fields: Any) -> dict[str, Any]:
        """Run the hooks of an event, as the settings say, and return what they answer together."""
        said = {
            "session_id": self.session,
            "transcript_path": str(self.project / "transcript.jsonl"),
            "cwd": str(self.project),
            "hook_event_name": event,
            **({"tool_name": tool} if tool else {}),
            **fields,
        }
        settings = json.loads((self.project / ".claude" / "settings.json").read_text())
        answers: dict[str, Any] = {}
        for group in settings["hooks"].get(event, []):
            if tool and group.get("matcher", tool) != tool:
                continue
            for handler in group["hooks"]:
                done = subprocess.run(
                    ["/bin/sh", "-c", handler["command"]],
                    input=json.dumps(said).encode(),
                    env=self._environment,
                    cwd=self.project,
                    capture_output=True,
                    timeout=handler["timeout"],
                    check=True,
                )
                answers.update(json.loads(done.stdout))
        return answers

    def start(self) -> str:
        """Return the context with which the session starts."""
        context: str = self.hook("SessionStart", source="startup")["hookSpecificOutput"]["additionalContext"]
        assert len(context) <= 10_000
        return context

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the tool Bash does: hooks before and after it."""
        before = self.hook("PreToolUse", "Bash", tool_input={"command": command})
        decided = before.get("hookSpecificOutput", {})
        if decided.get("permissionDecision") == "deny":
            return subprocess.CompletedProcess(command, -1, "", decided["permissionDecisionReason"])
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=self._environment,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.hook("PostToolUse", "Bash", tool_input={"command": command}, tool_response={"stdout": done.stdout})
        return done

    @contextmanager
    def tools(self, *arguments: str) -> Iterator[Agent]:
        """Start the server that .mcp.json names."""
        server = json.loads((self.project / ".mcp.json").read_text())["mcpServers"]["coordination"]
        assert (server["command"], server["args"]) == ("coordination", ["mcp"])
        with an_agent(self._endpoint, self._fleet, *arguments, CLAUDE_CODE_SESSION_ID=self.session) as running:
            yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "web"
    path.mkdir()
    pieces = load_agent("claude").pieces(Places(path, user=False), ["git push*"])
    apply(plan_install(look(pieces), path), path)
    return path


@pytest.mark.timeout(120)  # two servers of the SDK are started
async def test_a_session_crashes_and_the_next_one_sees_what_it_has_left(
    project: Path, coordinator: RunningCoordinator, fleet: str, etcd_channel: EtcdChannel
) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as others:
        others.claim("session-of-another", "acme/web#1", note="begun")
        first = ScriptedAgent(project, "session-first", coordinator.endpoint, fleet)
        context = first.start()
        assert "acme/web" in context
        assert "session-of-another" in context
        assert "session-first" in context
        assert "no claim" in first.shell("git push").stderr, "nothing is held yet"
        with first.tools("--ttl", "5s") as tools:
            granted = tools.call("claim", keys=["acme/web#1", "acme/web#2", "acme/web#3"])
            assert "acme/web#2" in granted.text, "the first is taken"
            tools.call("note", key="acme/web#2", note="the tests are written, the fix is not")
            first.hook("PostToolUse", "mcp__coordination__note", tool_input={"key": "acme/web#2"}, tool_response={})
            assert "DENIED" in tools.call("claim", keys=["acme/web#1"]).text
            # Two sub-agents have the session of their parent; they do not both hold what one of them has.
            assert "DENIED" in tools.call("claim", keys=["acme/web#2"]).text
            assert first.shell("coordination work-claim acme/web#2").returncode == 1
            assert first.shell("git push --dry-run").returncode != -1, "now something is held"
            compacted = first.hook("SessionStart", source="compact")["hookSpecificOutput"]["additionalContext"]
            assert compacted.index("You hold") < compacted.index("Taken")
            assert "#2" in first.hook("Stop", stop_hook_active=False)["reason"]
            assert first.hook("Stop", stop_hook_active=False) == {}
        # It ends here without a word, as one that is killed.
        others.release("session-of-another", "acme/web#1", reason="out of time")
        await await_expiry(etcd_channel, fleet)
        others.reap()
        second = ScriptedAgent(project, "session-second", coordinator.endpoint, fleet)
        context = second.start()
        assert "the tests are written, the fix is not" in context
        assert "out of time" in context
        with second.tools() as tools:
            taken = tools.call("claim", keys=["acme/web#2"])
            assert "the tests are written, the fix is not" in taken.text
            finished = tools.call("finish", key="acme/web#2", outcome="completed", result="PR 7")
            assert not finished.failed
        assert second.hook("Stop", stop_hook_active=False) == {}
        third = ScriptedAgent(project, "session-third", coordinator.endpoint, fleet)
        assert third.shell("coordination work-claim acme/web#2").returncode == 1, "it is finished"
        done = third.shell("coordination work-next acme/web#1 acme/web#2")
        assert done.returncode == 0
        assert "claimed github:acme/web#1" in done.stdout
