"""Answers on standard output, everything else on standard error.

Invariant: whether anybody reads what is written does not change the exit code, because scripts go by it: a denial stays
a denial when its pipe is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from coordinator.cli.context import Context, named_fleet
from coordinator.cli.objects import error_object
from coordinator.errors import CoordinatorError, InternalError
from coordinator.masking import without_credentials
from coordinator.quotation import key, line, visible

__all__ = ["answer", "emit_error", "hint", "notice", "say_what_it_became"]


def answer(context: Context, text: str, found: dict[str, Any], *, decorate: Callable[[str], str] | None = None) -> None:
    """Answer with ``text``, or with the object where JSON was asked for.

    ``decorate`` adds colours where a terminal shows them and nobody has said no to them (https://no-color.org).
    """
    if context.json:
        _write_json(context.fleet, found)
        return
    text = visible(text)
    if decorate is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        text = decorate(text)
    _answer(f"{text}\n")


def hint(context: Context, text: str) -> None:
    """Say what to do next; not where JSON was asked for."""
    if not context.json:
        _tell(f"hint: {visible(text)}\n")


def notice(text: str) -> None:
    """Say what is worth knowing."""
    _tell(f"notice: {visible(text)}\n")


def say_what_it_became(typed: str, became: str) -> None:
    """Say what a work key became, if that is not what was typed."""
    if typed != became:
        _tell(f"{visible(without_credentials(typed))} → {key(became)}\n")


def emit_error(error: CoordinatorError, *, as_json: bool) -> int:
    """Say what was wrong; returns the exit code."""
    if as_json:
        try:
            _write_json(named_fleet(), error_object(error))
        except InternalError as problem:
            if problem.message != error.message:
                _tell(f"error: {line(error.message)}\n")
            _tell(f"error: {problem.message}\n")
        return error.exit_code
    _tell(f"error: {line(error.message)}\n")
    if error.hint:
        _tell(f"hint: {line(error.hint)}\n")
    return error.exit_code


def _write_json(fleet: str, found: dict[str, Any]) -> None:
    _answer(json.dumps({"schema": "v1", "fleet": visible(fleet), **found}, ensure_ascii=True) + "\n")


def _answer(text: str) -> None:
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise InternalError(
            f"the answer could not be written: {error.strerror}", hint="what was asked for has been done all the same"
        ) from None


def _tell(text: str) -> None:
    # Where that fails, there is nowhere left to say so.
    with contextlib.suppress(OSError):
        _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Nobody reads any more. What is still in the buffer must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
