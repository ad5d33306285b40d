"""Cursor: its hooks, and where its settings are.

Sources: https://cursor.com/docs/hooks, /rules, /skills and /mcp, read in 2026. Facts that decide something:

- Names of events begin in lower case, and a hook is one flat object; time limits are in seconds, exit code 2 blocks.
- The session is ``conversation_id``; its shells have no variable with it. ``sessionStart`` is not waited for, and some
  versions do not show its context: the rule is there in any case.
- ``stop`` may answer with a message that is sent as the user's next one; ``loop_count`` says how many came before.
- Hooks of a user run in ``~/.cursor``; ``workspace_roots`` says where the project is.
- It runs hooks of Claude Code too, if it is set so: install one of the two in a project.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coordinator.agents.places import Piece, Places

__all__ = ["EVENTS", "NAME", "SHOWS_SESSION", "context", "notice", "pieces", "refusal", "reminder"]

NAME = "cursor"
EVENTS = {"sessionStart": "start", "postToolUse": "tool", "beforeShellExecution": "guard", "stop": "stop"}
SHOWS_SESSION = ""


def context(text: str) -> dict[str, Any]:
    """Return the answer that gives facts at the start of a session."""
    return {"additional_context": text}


def refusal(reason: str) -> dict[str, Any]:
    """Return the answer that denies a command."""
    return {"permission": "deny", "user_message": reason, "agent_message": reason}


def reminder(text: str) -> dict[str, Any]:
    """Return the answer by which the agent goes on for once."""
    return {"followup_message": text}


def notice(text: str) -> dict[str, Any]:  # noqa: ARG001  # the other agents take it
    """Return the answer that changes nothing; there is no field for what a user should know."""
    return {}


def pieces(places: Places, guard: list[str]) -> list[Piece]:
    """Return what is installed."""
    base = places.root / ".cursor"
    # A user's rules are kept in the application, and no file.
    rule = base / "skills" / "coordination" / "SKILL.md" if places.user else base / "rules" / "coordination.mdc"
    return [
        places.hooks(base / "hooks.json", NAME, EVENTS, guard, flat=True),
        places.server(base / "mcp.json"),
        places.skill(rule, NAME, rule=not places.user),
    ]
