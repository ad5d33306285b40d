"""Finds tests by name without running anything."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_there(named: str) -> bool:
    """Return whether a test exists, by its node id without parameters."""
    path, _, test = named.partition("::")
    return (ROOT / path).is_file() and test in _named_in(ROOT / path)


def _named_in(path: Path) -> set[str]:
    """Return the names of a module's tests, as pytest knows them."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{member.name}" for member in node.body if isinstance(member, _FUNCTIONS)}
        elif isinstance(node, _FUNCTIONS):
            found.add(node.name)
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}
