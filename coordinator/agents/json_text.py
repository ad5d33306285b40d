"""JSON with the place of each value in its text, so that the text can be edited where it stands.

Agents' settings are read as the agents themselves read them: comments (``//`` and ``/* */``) and a comma behind the
last member are allowed, of several members with one name the last one counts. All else that is no JSON is refused, with
the line and the column.

Invariant: whatever the text, the answer is a tree or ``NotJson``; its depth and its size are bounded.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, NamedTuple

__all__ = ["Child", "Node", "NotJson", "parse"]

#: How deep values may be nested; settings of agents have less than ten levels.
_DEEPEST = 100
_SPACE = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SCALAR = re.compile(r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.+-])")
#: What white space and comments begin with; "" is the end.
_BEGIN_SPACE = " \t\r\n/"
_BOM = "\ufeff"


class NotJson(Exception):
    """The text is no JSON; the message says where and why."""


class Child(NamedTuple):
    """A member of an object, with its name, or an item of an array; ``start`` is where it begins in the text."""

    name: str | None
    start: int
    node: Node

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.node.end


class Node:
    """A value: where it stands, and what is in it."""

    def __init__(self, kind: str, start: int) -> None:
        self.kind, self.start, self.end = kind, start, start
        self.children: list[Child] = []
        self.scalar: Any = None

    def member(self, name: str) -> Node | None:
        """Return the member that counts of those with a name, None where there is none."""
        found = [child.node for child in self.children if child.name == name]
        return found[-1] if found else None

    @property
    def value(self) -> Any:
        """The value itself."""
        if self.kind == "object":
            return {child.name: child.node.value for child in self.children}
        if self.kind == "array":
            return [child.node.value for child in self.children]
        return self.scalar


@functools.lru_cache(maxsize=16)  # an edit reads the same few texts again and again
def parse(text: str) -> Node:
    """Return the value that a text holds, behind a byte order mark too; raises ``NotJson``. Not to be changed."""
    parser = _Parser(text)
    root = parser.value(parser.skip(len(_BOM) if text.startswith(_BOM) else 0), 0)
    if (end := parser.skip(root.end)) != len(text):
        raise parser.error(end, "something follows its end")
    return root


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def error(self, at: int, why: str) -> NotJson:
        before = self._text[:at]
        return NotJson(f"line {before.count(chr(10)) + 1}, column {at - (before.rfind(chr(10)) + 1) + 1}: {why}")

    def skip(self, at: int) -> int:
        if self._text[at : at + 1] not in _BEGIN_SPACE:
            return at
        found = _SPACE.match(self._text, at)
        assert found is not None, "it matches nothing too"  # noqa: S101  # for the type checker
        return found.end()

    def value(self, at: int, depth: int) -> Node:
        opening = self._text[at : at + 1]
        if opening in ("{", "["):
            if depth == _DEEPEST:
                raise self.error(at, f"it is nested deeper than {_DEEPEST} levels")
            return self._container(at, depth)
        node = Node("scalar", at)
        found = (_STRING if opening == '"' else _SCALAR).match(self._text, at)
        if found is None:
            raise self.error(at, "a value is expected" if opening else "it ends too early")
        try:
            # What has no escapes stands for itself.
            node.scalar = found[0][1:-1] if opening == '"' and "\\" not in found[0] else json.loads(found[0])
        except ValueError as error:  # a number of more digits than Python reads
            raise self.error(at, str(error)) from None
        node.end = found.end()
        return node

    def _container(self, at: int, depth: int) -> Node:
        node = Node("object" if self._text[at] == "{" else "array", at)
        closing = "}" if node.kind == "object" else "]"
        at = self.skip(at + 1)
        while self._text[at : at + 1] != closing:
            child = self._child(node.kind, at, depth)
            node.children.append(child)
            at = self.skip(child.end)
            if self._text[at : at + 1] == ",":
                at = self.skip(at + 1)
            elif self._text[at : at + 1] != closing:
                raise self.error(at, f"a comma or {closing} is expected")
        node.end = at + 1
        return node

    def _child(self, kind: str, at: int, depth: int) -> Child:
        if kind == "array":
            return Child(None, at, self.value(at, depth + 1))
        found = _STRING.match(self._text, at)
        if found is None:
            raise self.error(at, "a name in double quotes is expected")
        colon = self.skip(found.end())
        if self._text[colon : colon + 1] != ":":
            raise self.error(colon, "a colon is expected")
        name = json.loads(found[0]) if "\\" in found[0] else found[0][1:-1]
        return Child(name, at, self.value(self.skip(colon + 1), depth + 1))
