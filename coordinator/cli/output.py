"""Answers on standard output, everything else on standard error; ``streams`` does the writing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from coordinator.cli.context import Context, named_fleet
from coordinator.cli.json_objects.error import error_object
from coordinator.cli.streams import lost, write_answer, write_error
from coordinator.errors import CoordinatorError
from coordinator.quotation import key, line, visible
from coordinator.security.redaction import without_credentials

__all__ = ["answer", "emit_error", "hint", "say_what_it_became", "write_error_object"]


def answer(context: Context, text: str, found: dict[str, Any], *, decorate: Callable[[str], str] | None = None) -> None:
    """Answer with ``text``, or with the object where JSON was asked for.

    ``decorate`` adds colours where a terminal shows them and NO_COLOR is not set (https://no-color.org).
    """
    if context.json:
        _write_json(context.fleet, found)
        return
    text = visible(text)
    if decorate is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        text = decorate(text)
    write_answer(f"{text}\n")


def hint(context: Context, text: str) -> None:
    """Say what to do next; not where JSON was asked for."""
    if not context.json:
        write_error(f"hint: {visible(text)}\n")


def say_what_it_became(typed: str, became: str) -> None:
    """Say what a work key became, if that is not what was typed."""
    if typed != became:
        write_error(f"{visible(without_credentials(typed))} → {key(became)}\n")


def emit_error(error: CoordinatorError, *, as_json: bool, code: int | None = None, aside: bool = False) -> int:
    """Say what was wrong; returns the exit code, the error's own unless another one is given.

    ``aside``: write to standard error only, because standard output is not this command's.
    """
    code = error.exit_code if code is None else code
    if as_json and aside:
        write_error_object(named_fleet(), error_object(error))
        return code
    if as_json:
        _write_json(named_fleet(), error_object(error))
        if lost() is None:
            return code
    write_error(f"error: {line(error.message)}\n")
    if error.hint:
        write_error(f"hint: {line(error.hint)}\n")
    return code


def write_error_object(fleet: str, found: dict[str, Any]) -> None:
    """Write an object to standard error."""
    write_error(_to_json(fleet, found))


def _write_json(fleet: str, found: dict[str, Any]) -> None:
    write_answer(_to_json(fleet, found))


def _to_json(fleet: str, found: dict[str, Any]) -> str:
    # Few commands answer with JSON.
    import json

    return json.dumps({"schema": "v1", "fleet": visible(fleet), **found}, ensure_ascii=True) + "\n"
