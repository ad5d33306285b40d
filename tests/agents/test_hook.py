"""What a hook does at its events: renewals by a stamp, a reminder that comes once, a guard that reminds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.agents import claude, cursor, stamps
from coordinator.agents import hook as hooks
from coordinator.agents.event import Event, read_event
from coordinator.agents.guard import find_guarded
from coordinator.agents.hook import Hook, Where
from coordinator.agents.stamps import Stamp
from coordinator.client import Client
from tests.conftest import RunningCoordinator
from tests.examples import examples

if TYPE_CHECKING:
    from coordinator.agents.registry import Agent


def ask(
    endpoint: str,
    fleet: str,
    event: str,
    session: str = "session-1",
    agent: Agent = claude,
    under: str = "",
    **more: Any,
) -> dict[str, Any]:
    found = read_event(json.dumps({"session_id": session, "hook_event_name": event, **more}).encode(), agent.EVENTS)
    assert isinstance(found, Event)
    where = Where(fleet, session, "", "", under)
    hook = Hook(agent, found, where, lambda _seconds: Client(endpoint, fleet=fleet, timeout=30, instance=""))
    return hook.answer(["git push*"])


def quiet_for(session: str = "session-1") -> float:
    return stamps.load(session).quiet_until - stamps.now()


def test_a_claim_is_renewed_once_half_of_its_time_is_over(
    coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.claim("session-1", "task:long", ttl=86_400)
        client.claim("session-1", "task:short", ttl=300)
        client.claim("session-2", "task:of-another", ttl=300)
        before = client.get("task:short").revision
        ask(coordinator.endpoint, fleet, "PostToolUse")
        assert client.get("task:short").revision == before, "nothing is due"
        assert 130 < quiet_for() <= 156, "half of the shorter TTL"
        monkeypatch.setattr(hooks, "RENEWED_BELOW", 2.0)
        ask(coordinator.endpoint, fleet, "PostToolUse", agent_id="a-sub-agent")
        renewed = [client.get(key).claim for key in ("task:long", "task:short", "task:of-another")]
        assert all(claim is not None for claim in renewed)
        assert client.get("task:short").revision == before + 2, "the two of this session"


def test_nobody_is_asked_for_a_while_where_nothing_is_held_and_after_a_failure(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    ask(coordinator.endpoint, fleet, "PostToolUse")
    assert 30 < quiet_for() <= 60
    ask("127.0.0.1:1", fleet, "PostToolUse", "session-2")
    assert 10 < quiet_for("session-2") <= 30


def test_a_session_is_reminded_of_each_attempt_once(coordinator: RunningCoordinator, fleet: str) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.claim("session-1", "task:one")
        assert ask(coordinator.endpoint, fleet, "Stop", stop_hook_active=True) == {}
        assert ask(coordinator.endpoint, fleet, "Stop", agent_id="a-sub-agent") == {}
        assert "task:one until" in ask(coordinator.endpoint, fleet, "Stop")["reason"]
        assert ask(coordinator.endpoint, fleet, "Stop") == {}
        client.claim("session-1", "task:two")
        reason = ask(coordinator.endpoint, fleet, "Stop")["reason"]
        assert "task:two" in reason
        assert "task:one" not in reason
        client.release("session-1", "task:one")
        client.claim("session-1", "task:one")
        assert "task:one" in ask(coordinator.endpoint, fleet, "Stop")["reason"], "another attempt"


def test_what_run_holds_for_the_agent_is_left_to_it(
    coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "RENEWED_BELOW", 2.0)
    with Client(coordinator.endpoint, fleet=fleet) as client:
        claim = client.claim("session-1", "task:one")
        under = f"task:one#{claim.fencing_token}"
        before = client.get("task:one").revision
        assert ask(coordinator.endpoint, fleet, "PostToolUse", under=under) == {}
        assert ask(coordinator.endpoint, fleet, "Stop", under=under) == {}
        assert client.get("task:one").revision == before
    assert "task:one" in ask(coordinator.endpoint, fleet, "Stop", under="task:one#1")["reason"]


def test_an_agent_that_was_stopped_by_its_user_is_not_asked_to_go_on(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.claim("session-1", "task:one")
    for status, count in (("aborted", 0), ("error", 0), ("completed", 1)):
        assert ask(coordinator.endpoint, fleet, "stop", agent=cursor, status=status, loop_count=count) == {}
    last = ask(coordinator.endpoint, fleet, "stop", agent=cursor, status="completed", loop_count=0)
    assert "task:one" in last["followup_message"]


def test_there_is_no_reminder_where_it_cannot_be_remembered(
    coordinator: RunningCoordinator, fleet: str, home: Path
) -> None:
    (home / ".local").write_text("a file where a directory is needed")
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.claim("session-1", "task:one")
    assert ask(coordinator.endpoint, fleet, "Stop") == {}


def test_a_session_whose_name_is_none_has_a_briefing_and_nothing_else(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    for odd in ("two words", "x" * 200, "`rm -rf`", "a\nb"):
        text = ask(coordinator.endpoint, fleet, "SessionStart", odd)["hookSpecificOutput"]["additionalContext"]
        assert odd not in text
        assert "## " in text
        for event in ("PostToolUse", "Stop", "PreToolUse"):
            assert ask(coordinator.endpoint, fleet, event, odd, tool_input={"command": "git push"}) == {}


@pytest.mark.parametrize(
    ("line", "is_guarded"),
    [
        ("git push", True),
        ("cd web && git push origin main", True),
        ("GIT_SSH=x sudo git  push", True),
        ("if true; then git push; fi", True),
        ("(git push)", True),
        ("git status", False),
        ("echo git push", False),
        ("git pull", False),
        ("", False),
        ("&" * 10_000, False),
        ("a=" * 50_000, False),
    ],
)
def test_which_commands_a_pattern_means(line: str, is_guarded: bool) -> None:
    assert (find_guarded(line, ["gh pr create*", "git push*"]) is not None) == is_guarded


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("session_id", "conversation_id", "cwd", "tool_name", "tool_input", "command", "loop_count", "status")


@settings(max_examples=examples(100))
@given(
    found=st.dictionaries(st.sampled_from((*FIELDS, "workspace_roots", "agent_id", "stop_hook_active")), JSON),
    event=st.sampled_from(["SessionStart", "Stop", "PostToolUse", "PreToolUse"]) | JSON,
)
def test_whatever_an_agent_says_is_read_without_an_error(found: dict[str, Any], event: Any) -> None:
    read = read_event(json.dumps({**found, "hook_event_name": event}).encode(), claude.EVENTS)
    assert isinstance(read, Event)
    assert {type(each) for each in (read.session, read.command, read.directory, read.moment)} == {str}
    assert {type(each) for each in (read.by_subagent, read.is_asked_already, read.concerns_us)} == {bool}


@settings(max_examples=examples(100))
@given(content=st.binary(max_size=50))
def test_whatever_bytes_an_agent_writes_are_read_without_an_error(content: bytes) -> None:
    assert isinstance(read_event(content, claude.EVENTS), Event | str)


def test_stamps_are_kept_where_nobody_else_can_write(home: Path) -> None:
    assert stamps.save("session/1", Stamp(stamps.now() + 60, ["task:x#1"]))
    directory = home / ".local" / "state" / "coordination" / "hooks"
    assert oct(directory.stat().st_mode & 0o777) == oct(0o700)
    (stamp,) = directory.iterdir()
    assert oct(stamp.stat().st_mode & 0o777) == oct(0o600)
    assert 50 < quiet_for("session/1") <= 60
    assert stamps.load("session/1").reminded == ["task:x#1"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"at": 1, "until": "x", "of": [], "reminded": []}', "[" * 9_999]
)
def test_a_damaged_stamp_is_none(content: str, home: Path) -> None:
    assert stamps.save("session-1", Stamp(stamps.now() + 60, ["task:x#1"]))
    (stamp,) = (home / ".local" / "state" / "coordination" / "hooks").iterdir()
    stamp.write_text(content)
    assert stamps.load("session-1").quiet_until == 0


def test_a_stamp_of_another_boot_or_another_fleet_does_not_hold(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stamps.save("session-1", Stamp(stamps.now() + 60, ["task:x#1"]))
    monkeypatch.setenv("COORDINATION_FLEET", "another")
    assert stamps.load("session-1").quiet_until == 0
    monkeypatch.delenv("COORDINATION_FLEET")
    now = stamps.now()
    monkeypatch.setattr(stamps, "now", lambda: now - 1_000)
    assert stamps.load("session-1").quiet_until == 0


def test_no_stamp_leads_out_of_its_directory(home: Path) -> None:
    directory = home / ".local" / "state" / "coordination" / "hooks"
    for odd in ("../x", "..", "/etc/passwd", "a\0b", "", "x" * 300, "é"):
        stamps.save(odd, Stamp(1.0))
    assert all(path.parent == directory for path in home.rglob("session-*"))
    victim = home / "victim"
    victim.write_text("mine")
    (directory / "session-linked").symlink_to(victim)
    assert stamps.load("linked").quiet_until == 0
    assert stamps.save("linked", Stamp(1.0))
    assert victim.read_text() == "mine"


def test_a_directory_of_stamps_in_which_others_can_write_is_not_used(home: Path, tmp_path: Path) -> None:
    directory = home / ".local" / "state" / "coordination" / "hooks"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    assert not stamps.save("session-1", Stamp(1.0))
    directory.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    directory.symlink_to(elsewhere)
    assert not stamps.save("session-1", Stamp(1.0))
    assert list(elsewhere.iterdir()) == []


def test_old_stamps_are_removed(home: Path) -> None:
    assert stamps.save("session-1", Stamp(1.0))
    assert stamps.save("session-2", Stamp(1.0))
    directory = home / ".local" / "state" / "coordination" / "hooks"
    os.utime(directory / "session-session-1", (1.0, 1.0))
    stamps.forget_old()
    assert [path.name for path in directory.iterdir()] == ["session-session-2"]
