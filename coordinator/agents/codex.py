"""Codex: its hooks, and where its settings are.

Sources: https://developers.openai.com/codex/hooks, and ``codex-rs/hooks`` of its repository, read in 2026. Facts that
decide something:

- Its hooks have the shape of Claude Code's; fields that it does not know are refused, in settings and in answers.
- A hook runs once it is trusted, in ``/hooks``; one that has changed has to be trusted again. A project's files are
  read once the project is trusted.
- Context of more than about 2,500 tokens is written to a file instead of being shown.
"""

from __future__ import annotations

from coordinator.agents.claude import context, notice, refusal, reminder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.agents.places import Piece, Places

__all__ = ["EVENTS", "NAME", "SHOWS_SESSION", "context", "notice", "pieces", "refusal", "reminder"]

NAME = "codex"
EVENTS = {"SessionStart": "start", "PostToolUse": "tool", "PreToolUse": "guard", "Stop": "stop"}
SHOWS_SESSION = "CODEX_THREAD_ID"


def pieces(places: Places, guard: list[str]) -> list[Piece]:
    """Return what is installed."""
    base = places.directory("CODEX_HOME", ".codex")
    return [
        places.hooks(base / "hooks.json", NAME, EVENTS, guard, terminal="Bash"),
        places.toml_server(base / "config.toml"),
        places.skill(places.root / ".agents" / "skills" / "coordination" / "SKILL.md", NAME),
    ]
