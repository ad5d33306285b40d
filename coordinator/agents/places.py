"""Where the files of an agent are, in a project or of a user, and what each of them is to hold."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator.agents.json_edit import Entry
from coordinator.agents.marked_section import Marks
from coordinator.agents.pieces import SERVER, JsonPiece, Piece
from coordinator.agents.skill import GUIDE, rule_text, skill_text
from coordinator.agents.text_pieces import OwnFile, Section, TomlSection

__all__ = ["HOOK_SECONDS", "Piece", "Places"]

#: How long an agent waits for a hook, in seconds. The hooks end by themselves well before (``agents/hook.py``).
HOOK_SECONDS = 10
# Codex waits 10 s for a server by default, and the library of MCP alone takes some seconds on a busy machine.
_TOML = 'command = "coordination"\nargs = ["mcp"]\nstartup_timeout_sec = 30\n'
_MARKDOWN_MARKS = Marks("<!-- coordination: begin, written by coordination install -->", "<!-- coordination: end -->")
_TOML_MARKS = Marks("# coordination: begin, written by coordination install", "# coordination: end")


class Places:
    """The places of one project, or of one user."""

    def __init__(self, root: Path, *, user: bool) -> None:
        self.root, self.user = root, user

    def is_moved(self, variable: str) -> bool:
        """Return whether a variable names another place for the files of a user."""
        return self.user and Path(os.environ.get(variable, "")).is_absolute()

    def directory(self, variable: str, usual: str) -> Path:
        """Return an agent's directory; that of a user may be named by a variable of the agent's."""
        return Path(os.environ[variable]) if self.is_moved(variable) else self.root / usual

    def hooks(
        self,
        path: Path,
        agent: str,
        events: Mapping[str, str],
        guard: Sequence[str],
        *,
        terminal: str = "",
        flat: bool = False,
        milliseconds: bool = False,
        server: bool = False,
    ) -> JsonPiece:
        """Return hooks, each at its event.

        Args:
            path: The file.
            agent: The agent's name.
            events: What happens at each event.
            guard: The patterns of commands to be guarded; without any there is no hook for that.
            terminal: The tool that runs commands, as a hook in front of tools names it.
            flat: Whether a hook stands in its event's list itself, in a file with a version, and not in a group.
            milliseconds: Whether time limits are in milliseconds.
            server: Whether the server stands in the same file.

        """
        command = f"coordination hook {agent}"
        entries = []
        for event, moment in events.items():
            if moment == "guard" and not guard:
                continue
            words = [word for pattern in guard for word in ("--guard", pattern)] if moment == "guard" else []
            line = " ".join([command, *map(shlex.quote, words)])
            handler: dict[str, Any] = {"command": line, "timeout": HOOK_SECONDS * (1000 if milliseconds else 1)}
            if flat:
                entries.append(Entry(("hooks", event), None, handler))
                continue
            matcher = {"matcher": terminal} if moment == "guard" else {}
            entries.append(Entry(("hooks", event), None, {**matcher, "hooks": [{"type": "command", **handler}]}))
        if server:
            entries.append(self._server())
        return JsonPiece(path, tuple(entries), command, {"version": 1} if flat else {})

    def server(self, path: Path) -> JsonPiece:
        """Return the entry of the server in a file of JSON."""
        return JsonPiece(path, (self._server(),), "", {})

    def toml_server(self, path: Path) -> TomlSection:
        """Return the table of the server in a file of TOML."""
        body = f"[mcp_servers.coordination]\n{_TOML}"
        return TomlSection(path, _TOML_MARKS, body, ("mcp_servers", "coordination"))

    def skill(self, path: Path, agent: str, *, rule: bool = False) -> OwnFile:
        """Return the skill, or the same as a rule of Cursor's."""
        return OwnFile(path, agent, rule_text() if rule else skill_text())

    def section(self, path: Path) -> Section:
        """Return the text of the skill as a section of a file that agents read."""
        return Section(path, _MARKDOWN_MARKS, GUIDE)

    def _server(self) -> Entry:
        return Entry(("mcpServers",), "coordination", SERVER)
