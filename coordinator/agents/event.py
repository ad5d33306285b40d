"""What an agent says to a hook, on standard input, and how that is read.

Invariant: whatever stands there, the answer is an ``Event`` or a sentence that says what is wrong; nothing raises. All
of it comes from a program that is not ours, and parts of it from a language model: only what has the form of a name of
a session is used as one.
"""

from __future__ import annotations

import os

from coordinator.agents.json_scan import parse_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Event", "read_event", "read_input"]

#: How much is looked at, in bytes: the output of a tool is a part of it. The rest is read and dropped, because an agent
#: may fail if what it writes is not read.
MOST_BYTES = 32 * 1024 * 1024
#: What commands of ours that change claims begin with; a path may have the name of the command in it.
_OUR_COMMANDS = ("coordination work-", "coordination run ")
#: Where the names of sessions are, the first that is there.
_SESSION_FIELDS = ("session_id", "conversation_id")


class Event:
    """An event: its moment, whose it is, and what was done or is to be done."""

    def __init__(self, moment: str, found: dict[str, Any]) -> None:
        self.moment = moment
        self.session = next((name for field in _SESSION_FIELDS if (name := _text(found.get(field)))), "")
        #: Whether a sub-agent acts, which has the session of its parent.
        self.by_subagent = bool(_text(found.get("agent_id")))
        #: Whether the agent goes on already because a hook asked for it, or ends for another reason than being done.
        self.is_asked_already = _is_asked_already(found)
        self.command = _command(found)
        self.directory = _directory(found)
        #: Whether the tool may have changed what the session holds.
        self.concerns_us = any(part in self.command for part in _OUR_COMMANDS) or "coordination" in _text(
            found.get("tool_name")
        )


def read_input() -> bytes:
    """Return what stands on standard input, at most ``MOST_BYTES`` and one more."""
    parts, size = [], 0
    while True:
        try:
            part = os.read(0, 1 << 20)
        except OSError:
            break
        if not part:
            break
        if size <= MOST_BYTES:
            parts.append(part)
        size += len(part)
    return b"".join(parts)[: MOST_BYTES + 1]


def read_event(content: bytes, moments: dict[str, str]) -> Event | str:
    """Return the event, or what is wrong with the input."""
    if len(content) > MOST_BYTES:
        return f"the input is longer than {MOST_BYTES} bytes"
    if not content.strip():
        return "the input is empty; an agent writes a JSON object there"
    try:
        found = parse_json(content.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return "the input is not JSON"
    if not isinstance(found, dict):
        return "the input is no JSON object"
    return Event(moments.get(_text(found.get("hook_event_name")), ""), found)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_asked_already(found: dict[str, Any]) -> bool:
    count = found.get("loop_count")
    ended = _text(found.get("status")) in ("aborted", "error")
    return bool(found.get("stop_hook_active")) or (isinstance(count, int) and count > 0) or ended


def _command(found: dict[str, Any]) -> str:
    """Return the line that a shell runs or is to run, "" where it is another tool."""
    tool_input = found.get("tool_input")
    command = tool_input.get("command") if isinstance(tool_input, dict) else found.get("command")
    if isinstance(command, list):
        command = " ".join(word for word in command if isinstance(word, str))
    return _text(command)[:100_000]


def _directory(found: dict[str, Any]) -> str:
    roots = found.get("workspace_roots")
    first = roots[0] if isinstance(roots, list) and roots else ""
    return _text(found.get("cwd")) or _text(first)
