"""Each event of each agent, with a coordinator that answers, that is absent, that hangs, and that refuses the token.

What is answered then is in the golden files. Whatever the coordinator does, the agent goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.agents import hook as hooks
from coordinator.agents.event import Event, read_event
from coordinator.agents.hook import Hook, Where
from coordinator.agents.registry import AGENTS, load_agent
from coordinator.client import Client
from tests.agents.golden_files import GUARD, shown
from tests.agents.golden_files import hooks as golden
from tests.conftest import RunningCoordinator

MOMENTS = ("start", "tool", "guard", "stop")
STATES = ("holds a claim", "holds nothing", "absent", "hangs", "refuses the token")


@pytest.fixture
def endpoints(coordinator: RunningCoordinator, refusing: RunningCoordinator, silent: str) -> dict[str, str]:
    return {"absent": "127.0.0.1:1", "hangs": silent, "refuses the token": refusing.endpoint} | dict.fromkeys(
        ("holds a claim", "holds nothing"), coordinator.endpoint
    )


def said(agent: str, moment: str, directory: Path, session: str) -> bytes:
    text = json.dumps(golden(agent)[moment]["input"])
    return text.replace("SESSION", session).replace("CWD", str(directory)).encode()


def answer(agent: str, content: bytes, endpoint: str, fleet: str) -> tuple[dict[str, Any], list[str]]:
    known = load_agent(agent)
    event = read_event(content, known.EVENTS)
    assert isinstance(event, Event)
    where = Where("some-fleet", event.session, known.SHOWS_SESSION, "")
    called = Hook(known, event, where, lambda seconds: Client(endpoint, fleet=fleet, timeout=seconds, instance=""))
    return called.answer(GUARD), called.notices


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("agent", AGENTS)
def test_what_an_agent_is_answered(
    agent: str, state: str, endpoints: dict[str, str], fleet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "START_SECONDS", 0.4 if state == "hangs" else 5.0)
    monkeypatch.setattr(hooks, "TOOL_SECONDS", 0.4 if state == "hangs" else 5.0)
    endpoint = endpoints[state]
    if state == "holds a claim":
        with Client(endpoint, fleet=fleet) as client:
            client.claim("session-1", "acme/web#7", ttl=600, note="half of it is done")
    found = {}
    for moment in MOMENTS:
        got, notices = answer(agent, said(agent, moment, tmp_path, "session-1"), endpoint, fleet)
        assert bool(notices) == (not state.startswith("holds")), notices
        assert ("acme/web" in json.dumps(got)) == (state == "holds a claim" and moment in ("start", "stop"))
        found[moment] = shown(got, endpoint)
    wanted = {moment: golden(agent)[moment]["answers"].get(state) for moment in MOMENTS}
    assert found == wanted, json.dumps(found)


@pytest.mark.parametrize("agent", AGENTS)
def test_answers_have_the_form_that_the_agent_documents(agent: str) -> None:
    """Codex refuses fields that it does not know, so each answer is held against what may be there."""
    allowed = {
        "start": {"hookSpecificOutput", "additional_context"},
        "tool": set(),
        "guard": {
            "hookSpecificOutput",
            "decision",
            "reason",
            "permission",
            "user_message",
            "agent_message",
            "systemMessage",
        },
        "stop": {"decision", "reason", "followup_message"},
    }
    inside = {"hookEventName", "additionalContext", "permissionDecision", "permissionDecisionReason"}
    for moment in MOMENTS:
        answers = golden(agent)[moment]["answers"]
        assert sorted(answers) == sorted(STATES)
        for each in answers.values():
            assert set(each) <= allowed[moment]
            assert set(each.get("hookSpecificOutput", {})) <= inside
            name = golden(agent)[moment]["input"]["hook_event_name"]
            assert each.get("hookSpecificOutput", {}).get("hookEventName", name) == name
            assert len(json.dumps(each)) < 10_000
