"""Gemini CLI: its hooks, and where its settings are.

Sources: docs/hooks/reference.md, docs/cli/skills.md and docs/tools/mcp-server.md of its repository, read in 2026. Facts
that decide something:

- Standard output is one JSON object and nothing else; time limits are in milliseconds; exit code 2 blocks.
- ``AfterAgent`` comes at the end of each turn. Its ``deny`` sends the reason to the agent as a new prompt, and
  ``stop_hook_active`` is true then.
- Its shells have no variable with the session's id.
"""

from __future__ import annotations

from coordinator.agents.claude import context, notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coordinator.agents.places import Piece, Places

__all__ = ["EVENTS", "NAME", "SHOWS_SESSION", "context", "notice", "pieces", "refusal", "reminder"]

NAME = "gemini"
EVENTS = {"SessionStart": "start", "AfterTool": "tool", "BeforeTool": "guard", "AfterAgent": "stop"}
SHOWS_SESSION = ""


def refusal(reason: str) -> dict[str, Any]:
    """Return the answer that denies the use of a tool."""
    return {"decision": "deny", "reason": reason}


def reminder(text: str) -> dict[str, Any]:
    """Return the answer by which the agent goes on for once."""
    return {"decision": "deny", "reason": text}


def pieces(places: Places, guard: list[str]) -> list[Piece]:
    """Return what is installed."""
    base = places.root / ".gemini"
    return [
        places.hooks(
            base / "settings.json", NAME, EVENTS, guard, terminal="run_shell_command", milliseconds=True, server=True
        ),
        places.skill(base / "skills" / "coordination" / "SKILL.md", NAME),
    ]
