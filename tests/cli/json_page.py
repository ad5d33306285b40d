"""Reads docs/json.md, and checks objects against what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["check", "tables"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "json.md"

#: The members of an object by name: their type as the page words it, or the members of an object within.
Members = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def tables(heading: str) -> list[Members]:
    """Return the tables of members below a heading, in their order; dotted names are objects within."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"# {heading}\n")
    assert found, f"{PAGE.name} has no heading {heading!r}"
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return [_members(table) for table in re.findall(r"^\| member \|.*\n(?:\|.*\n)+", section, re.MULTILINE)]


def check(found: Any, members: Members, where: str = "") -> None:
    """See that an object has exactly these members, and that each is of its type."""
    assert isinstance(found, dict), where
    assert found.keys() == members.keys(), where
    for name, kind in members.items():
        _check_value(found[name], kind, f"{where}.{name}")


def _members(table: str) -> Members:
    found: Members = {}
    for row in table.splitlines()[2:]:
        names, kind, meaning = (cell.strip() for cell in row.strip("|").split("|"))
        kind = kind.partition(":")[0]
        # The table of records says in its last column what the others say in the type.
        if "| null |" in table.splitlines()[0] and meaning != "never":
            kind += " or null"
        within = ""
        for name in re.findall(r"`([^`]+)`", names):
            *path, last = name.split(".")
            # "`a.b`, `.c`" is short for a.b and a.c.
            path = [within] if path == [""] else path
            within = path[0] if path else ""
            owner = found
            for step in path:
                owner = owner.setdefault(step, {})
            owner[last] = kind
    return found


def _check_value(value: Any, kind: Any, where: str) -> None:
    if isinstance(kind, dict):
        check(value, kind, where)
    elif isinstance(kind, list):
        for index, element in enumerate(value):
            _check_value(element, kind[0], f"{where}[{index}]")
    elif kind.endswith(" or null"):
        if value is not None:
            _check_value(value, kind.removesuffix(" or null"), where)
    else:
        assert _is(value, kind), f"{where} is {value!r}, not {kind}"


def _is(value: Any, kind: str) -> bool:
    if kind == "array of strings":
        return isinstance(value, list) and all(isinstance(element, str) for element in value)
    if kind == "array":
        return isinstance(value, list)
    if kind == "time":
        return isinstance(value, str) and _TIME.fullmatch(value) is not None
    if kind == "array of objects":
        return isinstance(value, list) and all(isinstance(element, dict) for element in value)
    if kind == "object":
        return isinstance(value, dict)
    types: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))
