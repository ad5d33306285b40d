"""Puts values into the text of a JSON file, and takes them out again, without a change to any other byte.

Invariants:
- Inserting adds one piece of text at one place; nothing that was there is changed, moved or formatted.
- Removing what was inserted gives the text that was there before, byte by byte: of all texts that it may have been, the
  one is taken from which inserting makes the present one. There is only one such text, because what is put into an
  empty object or array begins with a space, into an empty file with two, and in those that are new with none.
- Where the text was edited in between, removing takes out the value, one comma, and the objects and arrays that are
  empty without it; comments stay.
- What is inserted goes behind what is there, in the style of the file: its indentation and its ends of lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from coordinator.agents.json_text import Child, Node, parse

__all__ = ["CannotHold", "Entry", "created", "find_owned", "insert", "remove"]

_BOM = "\ufeff"
_INDENTATION = "  "


class CannotHold(Exception):
    """Something else stands where an object or an array is needed; the message says what and where."""


class Entry(NamedTuple):
    """A value, and where it belongs: under a name in the object at ``path``, or as an item of the array there."""

    path: tuple[str, ...]
    name: str | None
    value: Any


class Owned(NamedTuple):
    """A value of ours that was found: as an entry, and its chain of children from the root on, itself the last."""

    entry: Entry
    chain: tuple[tuple[Node, Child], ...]


#: Returns whether a value at a path, under a name or as an item, is ours. In a path ``*`` is any item of an array.
Owns = Callable[[tuple[str, ...], str | None, Node], bool]
#: How many names lead to what is ours, at most: ``hooks``, an event, ``*``, ``hooks``.
_LONGEST_PATH = 4
#: What any of it is in.
_ROOTS = ("hooks", "mcpServers")


def created(value: Any) -> str:
    """Return the text of a file that is made for a value."""
    return json.dumps(value, indent=_INDENTATION, ensure_ascii=False) + "\n"


def insert(text: str, entry: Entry) -> str:
    """Return a text with an entry in it; raises ``NotJson`` and ``CannotHold``."""
    if not text.strip(f"{_BOM} \t\r\n"):
        bom = _BOM if text.startswith(_BOM) else ""
        return f"{bom}{{  {_named(*_nested(entry, 0))} }}{text.removeprefix(bom)}"
    root = node = parse(text)
    _require(node, "object", "the file")
    for depth, name in enumerate(entry.path):
        found = node.member(name)
        if found is None:
            return _put(text, root, node, *_nested(entry, depth))
        last = depth == len(entry.path) - 1
        _require(found, "array" if last and entry.name is None else "object", ".".join(entry.path[: depth + 1]))
        node = found
    if entry.name is not None and node.member(entry.name) is not None:
        raise CannotHold(f"{'.'.join((*entry.path, entry.name))} is there already")
    return _put(text, root, node, entry.name, entry.value)


def find_owned(text: str, owns: Owns) -> list[Owned]:
    """Return the values that are ours, as they follow in the text; raises ``NotJson``."""
    return [] if not text.strip(f"{_BOM} \t\r\n") else list(_owned(parse(text), (), (), owns))


def remove(text: str, owns: Owns) -> str:
    """Return a text without the values that are ours; raises ``NotJson``."""
    while found := find_owned(text, owns):
        last = found[-1]
        before = next((each for each in _texts_before(text, last) if _makes(each, last.entry, text)), None)
        text = _without(text, last) if before is None else before
    return text


def _require(node: Node, kind: str, what: str) -> None:
    if node.kind != kind:
        raise CannotHold(f"{what} is {'no array' if kind == 'array' else 'no object'}")


def _nested(entry: Entry, depth: int) -> tuple[str | None, Any]:
    """Return the name and the value of what is missing from a depth of the path on."""
    value = [entry.value] if entry.name is None else {entry.name: entry.value}
    for name in reversed(entry.path[depth + 1 :]):
        value = {name: value}
    return (entry.path[depth], value) if entry.path[depth:] else (entry.name, entry.value)


def _named(name: str | None, value: Any, indentation: str | None = None) -> str:
    text = json.dumps(value, indent=indentation, ensure_ascii=False)
    return text if name is None else f"{json.dumps(name, ensure_ascii=False)}: {text}"


def _put(text: str, root: Node, into: Node, name: str | None, value: Any) -> str:
    """Return a text with a child behind those that an object or an array has."""
    if not into.children:
        at = into.start + 1
        return f"{text[:at]} {_named(name, value)}{text[at:]}"
    at = into.children[-1].end
    indentation = _line_before(text, into.children[-1].start)
    if indentation is None:
        return f"{text[:at]}, {_named(name, value)}{text[at:]}"
    unit = _line_before(text, root.children[0].start) or _INDENTATION
    lines = _named(name, value, unit).replace("\n", f"{_line_end(text)}{indentation}")
    return f"{text[:at]},{_line_end(text)}{indentation}{lines}{text[at:]}"


def _line_before(text: str, at: int) -> str | None:
    """Return the white space in front of what begins a line; None for what does not begin one."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return before if not before.strip(" \t") and "\n" in text[:at] else None


def _line_end(text: str) -> str:
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _owned(node: Node, path: tuple[str, ...], chain: tuple[tuple[Node, Child], ...], owns: Owns) -> Iterator[Owned]:
    for child in node.children:
        if not path and child.name not in _ROOTS:
            continue
        followed = (*chain, (node, child))
        if owns(path, child.name, child.node):
            yield Owned(Entry(path, child.name, child.node.value), followed)
        elif len(path) < _LONGEST_PATH:
            yield from _owned(child.node, (*path, child.name or "*"), followed, owns)


def _texts_before(text: str, owned: Owned) -> Iterator[str]:
    """Yield the texts that may have been there before an entry was put in, the shortest first."""
    bom = _BOM if text.startswith(_BOM) else ""
    root = owned.chain[0][0]
    if text.startswith(f"{bom}{{  ") and text[: root.end].endswith(" }"):
        yield bom + text[root.end :]
    for depth, (container, child) in enumerate(owned.chain):
        if all(len(node.children) == 1 for node, _ in owned.chain[depth + 1 :]):
            place = container.children.index(child)
            start = container.children[place - 1].end if place else container.start + 1
            yield text[:start] + text[child.end :]


def _makes(before: str, entry: Entry, text: str) -> bool:
    try:
        return insert(before, entry) == text
    except Exception:  # noqa: BLE001  # then it was not that
        return False


def _without(text: str, owned: Owned) -> str:
    """Return a text without a value, one comma, and what is empty without it."""
    container, child = owned.chain[-1]
    for node, above in reversed(owned.chain[:-1]):
        if len(container.children) > 1:
            break
        container, child = node, above
    place = container.children.index(child)
    if place:
        before = container.children[place - 1].end
        comma = text.index(",", before) if "/" not in text[before : child.start] else _comma(text, before)
        between = text[comma + 1 : child.start]
        return text[:comma] + (between if "/" in between else "") + text[child.end :]
    if len(container.children) > 1:
        # The comma and the space behind it, but no comment.
        after = _comma(text, child.end) + 1
        while after < len(text) and text[after] in " \t\r\n":
            after += 1
        return text[: child.start] + text[child.end : _comma(text, child.end)] + text[after:]
    inside = text[container.start + 1 : child.start] + text[child.end : container.end - 1]
    if not inside.replace(",", "").strip():
        inside = ""
    elif "," in text[child.end : container.end - 1]:
        at = _comma(text, child.end)
        if at < container.end:
            inside = text[container.start + 1 : child.start] + text[child.end : at] + text[at + 1 : container.end - 1]
    return text[: container.start + 1] + inside + text[container.end - 1 :]


def _comma(text: str, at: int) -> int:
    """Return where the comma behind a value stands, comments passed over."""
    while text[at] != ",":
        if text.startswith("//", at):
            ends = [end for end in (text.find("\n", at), text.find("\r", at)) if end >= 0]
            at = min(ends, default=len(text))
        elif text.startswith("/*", at):
            at = text.index("*/", at) + 2
        else:
            at += 1
        if at >= len(text):
            return at
    return at
