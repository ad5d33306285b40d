"""Claude Code: its hooks, and where its settings are.

Sources: https://code.claude.com/docs/en/hooks, /settings, /mcp and /skills, read in 2026. Facts that decide something:

- Of a hook's exit codes only 2 blocks; time limits are in seconds, and a hook that takes longer is passed over.
- At most 10,000 characters of context are taken from a hook; they are to be facts, as orders look like an injection.
- ``stop_hook_active`` says that the agent goes on already because a hook has asked for it.
- ``agent_id`` is in the input where a sub-agent acts; its ``session_id`` is that of its parent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coordinator.agents.places import Piece, Places

__all__ = ["EVENTS", "NAME", "SHOWS_SESSION", "context", "notice", "pieces", "refusal", "reminder"]

NAME = "claude"
#: What happens at its events.
EVENTS = {"SessionStart": "start", "PostToolUse": "tool", "PreToolUse": "guard", "Stop": "stop"}
#: The variable by which commands of its shells find the session.
SHOWS_SESSION = "CLAUDE_CODE_SESSION_ID"


def context(text: str) -> dict[str, Any]:
    """Return the answer that gives facts at the start of a session."""
    return {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": text}}


def refusal(reason: str) -> dict[str, Any]:
    """Return the answer that denies the use of a tool."""
    decision = {"permissionDecision": "deny", "permissionDecisionReason": reason}
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}}


def reminder(text: str) -> dict[str, Any]:
    """Return the answer by which the agent goes on for once."""
    return {"decision": "block", "reason": text}


def notice(text: str) -> dict[str, Any]:
    """Return the answer that shows the user something and changes nothing."""
    return {"systemMessage": text}


def pieces(places: Places, guard: list[str]) -> list[Piece]:
    """Return what is installed."""
    base = places.directory("CLAUDE_CONFIG_DIR", ".claude")
    # Of a user, the servers are in a file of the home directory.
    user_servers = base / ".claude.json" if places.is_moved("CLAUDE_CONFIG_DIR") else places.root / ".claude.json"
    return [
        places.hooks(base / "settings.json", NAME, EVENTS, guard, terminal="Bash"),
        places.server(user_servers if places.user else places.root / ".mcp.json"),
        places.skill(base / "skills" / "coordination" / "SKILL.md", NAME),
    ]
