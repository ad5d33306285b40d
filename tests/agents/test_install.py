"""``coordination install``: what is written, what never is, and that removing leaves everything as it was."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.agents.install import Plan, apply, look, plan_install, plan_removal
from coordinator.agents.places import Places
from coordinator.agents.registry import AGENTS, load_agent
from coordinator.errors import InvalidInput
from tests.agents.golden_files import GOLDEN, written
from tests.other_users import OTHER, Giving

Tree = dict[str, tuple[int, bytes | str | None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    return path


def install(agent: str, root: Path, *, user: bool = False, guard: tuple[str, ...] = ()) -> list[Plan]:
    plans = plan_install(look(load_agent(agent).pieces(Places(root, user=user), list(guard))), root)
    apply(plans, root)
    return plans


def remove(agent: str, root: Path, *, user: bool = False) -> list[Plan]:
    plans = plan_removal(look(load_agent(agent).pieces(Places(root, user=user), [])))
    apply(plans, root)
    return plans


def tree(root: Path) -> Tree:
    """Return all that is below a directory: modes, contents, links."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: bytes | str | None = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, content)
    return found


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_written_is_in_the_golden_files(agent: str) -> None:
    """After a change that is meant: python -m tests.agents.golden_files."""
    assert written(agent) == (GOLDEN / f"{agent}-installed.txt").read_text()


@pytest.mark.parametrize("agent", AGENTS)
def test_an_empty_directory_is_empty_again(agent: str, root: Path) -> None:
    assert any(plan.changes for plan in install(agent, root))
    before = tree(root)
    assert not any(plan.changes for plan in install(agent, root)), "the second time changes nothing"
    assert tree(root) == before
    remove(agent, root)
    assert tree(root) == {}
    assert not any(plan.changes for plan in remove(agent, root))


SETTINGS = {
    "pretty": json.dumps({"model": "opus", "hooks": {"Stop": [{"hooks": [{"command": "x"}]}]}}, indent=2).encode()
    + b"\n",
    "one line, no end": b'{"permissions":{"allow":["Bash(ls)"]},"hooks":{}}',
    "tabs, CRLF, BOM": '\ufeff{\r\n\t"a": [1],\r\n\t"mcpServers": {\r\n\t\t"x": {"command": "y"}\r\n\t}\r\n}'.encode(),
    "comments and commas": b'// mine\n{ // first\n  "a": 1, /* , } */\n  "hooks": { "Stop": [ ], }, // last\n}\n\n',
    "twice the same": b'{"hooks": {"Stop": []}, "hooks": {"Stop": [{"hooks": []}]}, "mcpServers": {}}',
    "empty object": b"{}\n",
    "empty file": b"",
}
FILES = (
    ".claude/settings.json",
    ".mcp.json",
    ".codex/hooks.json",
    ".gemini/settings.json",
    ".cursor/hooks.json",
    ".cursor/mcp.json",
)
TEXTS = {
    ".codex/config.toml": b'model = "x"\r\n\r\n[mcp_servers.other]\r\ncommand = "y"',
    "AGENTS.md": b"# Mine\n\nno end of line",
    ".agents/skills/other/SKILL.md": b"---\nname: other\n---\n",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_are_as_they_were(settings: str, root: Path) -> None:
    for name in FILES:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(SETTINGS[settings])
        (root / name).chmod(0o640)
    for name, content in TEXTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / ".claude" / "empty").mkdir()
    before = tree(root)
    for agent in AGENTS:
        install(agent, root)
    assert all(stat.S_IMODE((root / name).stat().st_mode) == 0o640 for name in FILES)
    for agent in reversed(AGENTS):
        remove(agent, root)
    assert tree(root) == before


def test_a_link_is_followed_and_stays(root: Path) -> None:
    kept = root / "dotfiles" / "settings.json"
    kept.parent.mkdir()
    kept.write_text('{"a": 1}')
    (root / ".claude").mkdir()
    (root / ".claude" / "settings.json").symlink_to(Path("..") / "dotfiles" / "settings.json")
    before = tree(root)
    install("claude", root)
    assert "coordination hook claude" in kept.read_text()
    assert (root / ".claude" / "settings.json").is_symlink()
    remove("claude", root)
    assert tree(root) == before


def test_a_link_does_not_lead_nowhere_afterwards(root: Path) -> None:
    """The user has made a link of a file that was made for hooks alone."""
    install("claude", root)
    settings, kept = root / ".claude" / "settings.json", root / "kept.json"
    settings.rename(kept)
    settings.symlink_to(Path("..") / "kept.json")
    remove("claude", root)
    assert kept.read_text() == "{}\n"
    assert settings.is_symlink()


def _directory(path: Path) -> None:
    path.mkdir()


def _not_json(path: Path) -> None:
    path.write_text("{'a': 1}")


def _not_utf8(path: Path) -> None:
    path.write_bytes(b'{"a": "\xff"}')


def _an_array(path: Path) -> None:
    path.write_text("[]")


def _hooks_of_another_form(path: Path) -> None:
    path.write_text('{"hooks": {"SessionStart": "none"}}')


def _read_only(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o444)


def _two_names(path: Path) -> None:
    path.write_text("{}")
    path.with_name("another").hardlink_to(path)


def _leads_nowhere(path: Path) -> None:
    path.symlink_to("nowhere.json")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _deep(path: Path) -> None:
    path.write_text("[" * 5_000)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_directory, "is a directory"),
        (_not_json, "it is not JSON: line 1, column 2"),
        (_not_utf8, "it is not UTF-8 at byte 7"),
        (_an_array, "the file is no object"),
        (_hooks_of_another_form, "hooks.SessionStart is no array"),
        (_read_only, "is not writable"),
        (_two_names, "has another name"),
        (_leads_nowhere, "is a link to"),
        (_circle, "cannot be read"),
        (_pipe, "is no plain file"),
        (_deep, "nested deeper than 100 levels"),
    ],
)
def test_what_cannot_be_edited_is_said_and_nothing_is_changed(
    make: Callable[[Path], None], says: str, root: Path
) -> None:
    (root / ".claude").mkdir()
    make(root / ".claude" / "settings.json")
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(InvalidInput) as refused:
        install("claude", root)
    assert says in refused.value.message
    assert str(root / ".claude" / "settings.json") in refused.value.message
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_full_disk_in_the_middle_leaves_everything_as_it_was(
    fails_at: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".mcp.json").write_text('{"a": 1}')
    before = tree(root)
    sync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidInput, match="No space left on device"):
        install("claude", root)
    assert tree(root) == before


def test_a_file_that_changes_meanwhile_is_not_overwritten(root: Path) -> None:
    (root / ".mcp.json").write_text("{}")
    plans = plan_install(look(load_agent("claude").pieces(Places(root, user=False), [])), root)
    (root / ".mcp.json").write_text('{"newer": true}')
    before = tree(root)
    with pytest.raises(InvalidInput, match="has changed meanwhile"):
        apply(plans, root)
    assert tree(root) == before


def test_a_file_of_another_user_is_not_taken_over(root: Path, give_away: Giving) -> None:
    (root / ".mcp.json").write_text("{}")
    give_away(root / ".mcp.json")
    if os.geteuid() == 0:
        install("claude", root)
        assert (root / ".mcp.json").stat().st_uid == OTHER
        return
    with pytest.raises(InvalidInput, match="belongs to user"):
        install("claude", root)


def _edit(path: Path, change: Callable[[dict[str, Any]], None], indent: int | None = 2) -> None:
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings, indent=indent))


def test_what_the_user_adds_in_between_stays(root: Path) -> None:
    install("claude", root)
    settings = root / ".claude" / "settings.json"
    _edit(settings, lambda found: found["hooks"]["Stop"].insert(0, {"hooks": [{"type": "command", "command": "mine"}]}))
    _edit(settings, lambda found: found.update(model="opus"), indent=4)
    (root / ".claude" / "commands").mkdir()
    remove("claude", root)
    hooks = {"Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]}
    assert json.loads(settings.read_text()) == {"hooks": hooks, "model": "opus"}
    assert sorted(path.name for path in (root / ".claude").iterdir()) == ["commands", "settings.json"]


def test_a_handler_that_was_moved_into_a_group_of_the_users_is_removed_from_it(root: Path) -> None:
    ours = {"type": "command", "command": "coordination hook claude", "timeout": 10}
    mine = {"type": "command", "command": "mine"}
    (root / ".claude").mkdir()
    settings = root / ".claude" / "settings.json"
    settings.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [mine, ours]}]}}))
    remove("claude", root)
    assert json.loads(settings.read_text()) == {"hooks": {"Stop": [{"hooks": [mine]}]}}


def test_what_the_user_has_of_the_same_name_is_left(root: Path) -> None:
    mine = '{"mcpServers": {"coordination": {"command": "/opt/coordination", "args": ["mcp"]}}}'
    (root / ".mcp.json").write_text(mine)
    skill = root / ".claude" / "skills" / "coordination" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("my own skill\n")
    hook = {"hooks": [{"type": "command", "command": "/opt/venv/bin/coordination hook claude"}]}
    settings = root / ".claude" / "settings.json"
    settings.write_text(json.dumps({"hooks": {"Stop": [hook]}}))
    plans = install("claude", root)
    assert [plan.left is not None for plan in plans] == [True, True, True]
    assert (root / ".mcp.json").read_text() == mine
    assert skill.read_text() == "my own skill\n"
    assert json.loads(settings.read_text())["hooks"]["Stop"] == [hook]
    remove("claude", root)
    assert json.loads(settings.read_text()) == {"hooks": {"Stop": [hook]}}
    assert skill.read_text() == "my own skill\n"


def test_a_skill_that_was_edited_is_left(root: Path) -> None:
    install("codex", root)
    skill = root / ".agents" / "skills" / "coordination" / "SKILL.md"
    edited = skill.read_text().replace("no shame", "no problem")
    skill.write_text(edited)
    assert any(plan.left == "it was edited since it was written" for plan in install("codex", root))
    assert any(plan.left == "it was edited since it was written" for plan in remove("codex", root))
    assert skill.read_text() == edited


def test_what_another_version_has_written_is_replaced(root: Path) -> None:
    install("claude", root, guard=("git push*",))
    settings = root / ".claude" / "settings.json"
    assert "--guard 'git push*'" in settings.read_text()
    settings.write_text(settings.read_text().replace('"timeout": 10', '"timeout": 99').replace("PostToolUse", "Older"))
    skill = root / ".claude" / "skills" / "coordination" / "SKILL.md"
    made = skill.read_text().splitlines()[-1].split(" made ")[-1]
    install("claude", root)
    now = json.loads(settings.read_text())
    assert list(now["hooks"]) == ["SessionStart", "PostToolUse", "Stop"]
    assert all(groups[0]["hooks"][0]["timeout"] == 10 for groups in now["hooks"].values())
    assert made in skill.read_text()
    remove("claude", root)
    assert tree(root) == {}


def test_project_and_user_are_two_places(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = home.parent / "claude-settings"
    elsewhere.mkdir()
    for agent in AGENTS[:-1]:
        install(agent, root)
        install(agent, home, user=True)
        assert not any(plan.changes for plan in install(agent, root))
    names = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {
        ".claude.json",
        ".claude/settings.json",
        ".codex/config.toml",
        ".cursor/skills/coordination/SKILL.md",
    } <= names
    for agent in AGENTS[:-1]:
        remove(agent, home, user=True)
    assert tree(home) == {}
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(elsewhere))
    install("claude", home, user=True)
    assert sorted(path.name for path in elsewhere.iterdir()) == [".claude.json", "settings.json", "skills"]
    assert tree(home) == {}


def test_a_table_of_the_users_in_codex_settings(root: Path) -> None:
    (root / ".codex").mkdir()
    config = root / ".codex" / "config.toml"
    for mine in (
        '[mcp_servers.coordination]\ncommand = "mine"\n',
        'mcp_servers = { coordination = { command = "x" } }\n',
    ):
        config.write_text(mine)
        assert any(plan.left for plan in install("codex", root))
        assert config.read_text() == mine
    for odd, says in (
        ("mcp_servers = { x = { command = 'y' } }\n", "nothing can be added"),
        ("mcp_servers = 3\n", "is no table"),
        ("= no TOML", "it is not TOML"),
        ("# coordination: end\n", "has no"),
    ):
        config.write_text(odd)
        with pytest.raises(InvalidInput, match=says):
            install("codex", root)
        assert config.read_text() == odd


def test_a_skill_has_at_most_30_lines() -> None:
    for agent in AGENTS[:-1]:
        skill = (GOLDEN / f"{agent}-installed.txt").read_text().split("=== ")[-1].split("\n", 1)[1]
        assert len(skill.splitlines()) <= 30
        description = next(line for line in skill.splitlines() if line.startswith("description: "))
        assert len(description) <= 1_024
