"""Make docs/man/coordination.1 from the command line itself: ``python scripts/man_page.py [--check]``.

It says what ``--help`` and docs/cli.md say. The wheel has it as ``share/man/man1/coordination.1``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cli_docs
import typer
from generated_files import write_or_check

from coordinator._version import __version__
from coordinator.cli.app import build_app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "man" / "coordination.1"

_FILES = """\
.SH FILES
.TP
.I $XDG_CONFIG_HOME/coordination/config.toml
The configuration file, by default below
.IR ~/.config .
.TP
.I $XDG_DATA_HOME/coordination
The data of
.BR "coordination up" ,
by default below
.IR ~/.local/share .
"""


def page() -> str:
    """Return the page in the macros of man(7)."""
    root: Any = typer.main.get_command(build_app())
    context = root.make_context("coordination", [], resilient_parsing=True)
    about, _, codes = cli_docs.paragraphs(root.help).partition(cli_docs.EXIT_CODES)
    first, *more = about.strip().split("\n\n")
    lines = [
        '.\\" Made by `make docs` from the command line itself; do not edit.',
        f'.TH COORDINATION 1 "" "coordination {__version__}" "User Commands"',
        ".SH NAME",
        f"coordination \\- {_text(first.rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B coordination",
        "[OPTION]... COMMAND [ARGUMENT]...",
        ".SH DESCRIPTION",
        *_paragraphs("\n\n".join(more)),
        ".SH OPTIONS OF EVERY COMMAND",
        "They may stand before the command or behind it.",
        *_records(root.get_params(context), context),
        ".SH COMMANDS",
    ]
    for name, command in cli_docs.commands(root):
        lines += _section(name, command, context)
    lines += [".SH ENVIRONMENT"]
    for variable, meaning in cli_docs.variables(root).items():
        lines += [".TP", f".B {variable}", _text(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", meaning).replace("`", ""))]
    lines += [".SH EXIT STATUS"]
    for code, meaning in re.findall(r"(\d+) ([^;]+)", codes.strip().rstrip(".")):
        lines += [".TP", f".B {code}", _text(meaning)]
    return "\n".join(lines) + "\n" + _FILES


def _section(name: str, command: Any, parent: Any) -> Iterator[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield f'.SS "coordination {name}"'
    yield f".B {_text(cli_docs.usage(command, context).strip())}"
    yield ".PP"
    yield from _paragraphs(cli_docs.paragraphs(command.help))
    yield from _records([each for each in command.get_params(context) if each.name not in cli_docs.COMMON], context)


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n") if text.strip() else ()):
        if paragraph.startswith("    "):
            yield from (".PP", ".RS 4", ".nf", *(_text(line[4:]) for line in paragraph.splitlines()), ".fi", ".RE")
        else:
            yield from ([".PP"] if number else [])
            yield _text(paragraph)


def _records(parameters: list[Any], context: Any) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", f'.B "{_text(record[0])}"', _text(" ".join(record[1].split())))


def _text(text: str) -> str:
    """Return text as roff shows it unchanged."""
    escaped = text
    for letter, name in (("\\", "\\e"), ("-", "\\-"), ('"', "\\(dq"), ("'", "\\(aq"), ("`", "\\(ga")):
        escaped = escaped.replace(letter, name)
    # Beyond ASCII by number, whatever groff takes the file for.
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    sys.exit(write_or_check({PAGE: page()}, source="the command line", target="docs"))
