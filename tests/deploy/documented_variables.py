"""The environment variables of ``coordination serve`` and of commands, as docs/cli.md lists them."""

from __future__ import annotations

import re

from tests.deploy.compose_running import ROOT

__all__ = ["command_variables", "serve_variables"]

_PAGE = (ROOT / "docs" / "cli.md").read_text()


def serve_variables() -> set[str]:
    """Return the variables of the options of ``serve``."""
    section = _PAGE.split("\n## serve\n")[1].split("\n## ")[0]
    return _named(section)


def command_variables() -> set[str]:
    """Return those of all commands."""
    return _named(_PAGE)


def _named(text: str) -> set[str]:
    return {*re.findall(r"\[env(?: var)?: (COORDINATION_\w+)", text)}
