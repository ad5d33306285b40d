"""What is installed: entries in an agent's settings; sections and files of our own are in ``text_pieces``.

Each piece is one file. A piece computes texts from texts and touches no file itself.

Invariants:
- ``remove`` of what ``install`` has made is what was there before, byte by byte; None stands for no file.
- ``install`` leaves a file as it is in which everything stands as it should, and replaces what another version has
  written.
- What the user has written is left: an entry of the same name, a hook that runs our command in a way of their own, a
  file of ours that was edited. ``left`` says so.
- What is written is read again before it counts: all that was there is there, and what was to be added is, and nothing
  else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from coordinator.agents import json_edit
from coordinator.agents.json_edit import CannotHold, Entry
from coordinator.agents.json_text import Node, NotJson, parse
from coordinator.agents.marked_section import DamagedMarks

__all__ = ["SERVER", "CannotEdit", "JsonPiece", "Piece", "guarded"]

#: The server of the Model Context Protocol, as agents start it.
SERVER = {"command": "coordination", "args": ["mcp"]}
Answer = TypeVar("Answer")
_OURS_BY_HAND = re.compile(r"(?:^|[\s/'\"])coordination['\"]?\s+hook\b")


class CannotEdit(Exception):
    """A file cannot be edited; the message says why."""


class Piece(Protocol):
    """A file, and what is installed in it."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def install(self, text: str | None) -> str:
        """Return the text with the piece in it; raises ``CannotEdit``."""
        ...

    def remove(self, text: str) -> str | None:
        """Return the text without it; raises ``CannotEdit``."""
        ...

    def is_there(self, text: str) -> bool:
        """Return whether anything of ours is in it; raises ``CannotEdit``."""
        ...

    def left(self, text: str) -> str | None:
        """Return why something in it is left as it is; None where there is no such thing."""
        ...


class JsonPiece(NamedTuple):
    """Entries in a file of JSON; ``base`` is what a new file holds beside them."""

    path: Path
    entries: tuple[Entry, ...]
    #: The command of the hooks, "" where there are none.
    command: str
    base: dict[str, Any]

    def install(self, text: str | None) -> str:
        """Return the text with all entries in it."""
        if text is not None and self._is_current(text):
            return text
        before = None if text is None else self.remove(text)
        if before is None:
            return json_edit.created(self._alone())
        wanted = self._wanted(before)
        after = guarded(lambda: _insert_all(before, wanted))
        if _value(self._stripped(after)) != _value(before) or not self._is_current(after):
            raise CannotEdit("it has members that cannot be distinguished")
        return after

    def remove(self, text: str) -> str | None:
        """Return the text without the entries."""
        if not self.is_there(text):
            return text
        without = self._stripped(text)
        left = _value(without)
        value = _value(text)
        alone = {**{name: each for name, each in value.items() if name not in self.base}, **self.base}
        was_made = left in ({}, self.base) and text == json_edit.created(alone)
        if not was_made and left in ({}, self.base):
            found = guarded(lambda: [owned.entry for owned in json_edit.find_owned(text, self._owns)])
            was_made = not any(_makes(without, order, text) for order in (found, self.entries))
        return None if was_made else without

    def is_there(self, text: str) -> bool:
        """Return whether an entry is in it."""
        return bool(guarded(lambda: json_edit.find_owned(text, self._owns)))

    def left(self, text: str) -> str | None:
        """Return which entries are the user's own."""
        kept = [entry for entry in self.entries if entry not in self._wanted(text)]
        names = ", ".join(sorted({".".join((*entry.path, entry.name or "")).rstrip(".") for entry in kept}))
        return f"{names} was not written by this command" if kept else None

    def _is_current(self, text: str) -> bool:
        found = guarded(lambda: json_edit.find_owned(text, self._owns))
        return sorted(_key(owned.entry) for owned in found) == sorted(_key(entry) for entry in self._wanted(text))

    def _stripped(self, text: str) -> str:
        return guarded(lambda: json_edit.remove(text, self._owns))

    def _alone(self) -> dict[str, Any]:
        made: Any = {}
        for entry in self.entries:
            at = made
            for place, name in enumerate(entry.path):
                is_list = entry.name is None and place == len(entry.path) - 1
                at = at.setdefault(name, [] if is_list else {})
            if entry.name is None:
                at.append(entry.value)
            else:
                at[entry.name] = entry.value
        # Behind the rest, as in no file to which the rest was added.
        return {**made, **self.base}

    def _wanted(self, text: str) -> list[Entry]:
        """Return the entries without those in whose place the user has others."""
        root = guarded(lambda: parse(text)) if text.strip("\ufeff \t\r\n") else Node("object", 0)
        return [entry for entry in self.entries if not self._is_taken(root, entry)]

    def _is_taken(self, root: Node, entry: Entry) -> bool:
        node: Node | None = root
        for name in entry.path:
            node = None if node is None else node.member(name)
        if node is None:
            return False
        if entry.name is not None:
            found = node.member(entry.name)
            return found is not None and not self._owns(entry.path, entry.name, found)
        commands = (handler.get("command") for child in node.children for handler in _handlers(child.node.value))
        return any(
            isinstance(command, str) and _OURS_BY_HAND.search(command) and not self._is_command(command)
            for command in commands
        )

    def _owns(self, path: tuple[str, ...], name: str | None, node: Node) -> bool:
        if path == ("mcpServers",) and name == "coordination":
            return any(entry.path == path for entry in self.entries) and node.value == SERVER
        if not self.command or path[:1] != ("hooks",) or name is not None or len(path) not in (2, 4):
            return False
        handlers = _handlers(node.value)
        return bool(handlers) and all(self._is_command(handler.get("command")) for handler in handlers)

    def _is_command(self, command: object) -> bool:
        return isinstance(command, str) and (command == self.command or command.startswith(f"{self.command} "))


def _key(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True)


def _handlers(group: Any) -> list[dict[str, Any]]:
    """Return the handlers of a group of hooks; a flat one is its own."""
    if not isinstance(group, dict):
        return []
    handlers = group.get("hooks", [group])
    return [handler for handler in handlers if isinstance(handler, dict)] if isinstance(handlers, list) else []


def _insert_all(text: str, entries: Iterable[Entry]) -> str:
    for entry in entries:
        text = json_edit.insert(text, entry)
    return text


def _makes(before: str, entries: Iterable[Entry], text: str) -> bool:
    try:
        return _insert_all(before, entries) == text
    except (NotJson, CannotHold):
        return False


def _value(text: str) -> Any:
    return guarded(lambda: parse(text)).value if text.strip("\ufeff \t\r\n") else {}


def guarded(edit: Callable[[], Answer]) -> Answer:
    """Return what a function returns; what it cannot read or write becomes ``CannotEdit``."""
    try:
        return edit()
    except NotJson as error:
        raise CannotEdit(f"it is not JSON: {error}") from None
    except (CannotHold, DamagedMarks) as error:
        raise CannotEdit(str(error)) from None
