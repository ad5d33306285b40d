"""Answers on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from coordinator.cli.context import Context, named_fleet
from coordinator.cli.objects import error_object
from coordinator.errors import CoordinatorError

__all__ = ["answer", "emit_error", "hint", "say_what_it_became"]


def answer(context: Context, text: str, found: dict[str, Any]) -> None:
    """Answer with ``text``, or with the object where JSON was asked for."""
    if context.json:
        _write_json(context.fleet, found)
    else:
        sys.stdout.write(f"{printable(text)}\n")


def hint(context: Context, text: str) -> None:
    """Say what to do next; not where JSON was asked for."""
    if not context.json:
        sys.stderr.write(f"hint: {printable(text)}\n")


def say_what_it_became(typed: str, became: str) -> None:
    """Say what a work key became, if that is not what was typed."""
    if typed != became:
        sys.stderr.write(f"{printable(typed)} → {became}\n")


def emit_error(error: CoordinatorError, *, as_json: bool) -> int:
    """Say what was wrong; returns the exit code."""
    if as_json:
        _write_json(named_fleet(), error_object(error))
        return error.exit_code
    sys.stderr.write(f"error: {printable(error.message)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {printable(error.hint)}\n")
    return error.exit_code


def printable(text: str) -> str:
    """Return ``text`` so that it cannot steer the terminal: other people chose notes, sessions and keys."""
    return "".join(
        character if character.isprintable() or character == "\n" else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")


def _write_json(fleet: str, found: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema": "v1", "fleet": fleet, **found}, ensure_ascii=True) + "\n")
