"""Commands that need a claim: which of those that an agent is about to run a pattern means.

A pattern is one of a shell, as ``git push*``; it is compared with each command of a line, from its first word to its
end. That reminds a session of what it has forgotten. It is no fence: a line can be written in a way that no pattern
finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["find_guarded"]

#: What stands between the commands of a line.
_BETWEEN = re.compile(r"&&|\|\||[;|&\n(){}]")
_MOST_COMMANDS = 200
#: What may stand before the first word of a command, as far as it is common: variables, sudo, env.
_BEFORE = re.compile(r"(?:(?:[A-Za-z_]\w*=\S*|sudo|env|command|exec|then|do|else|!)\s+)*")


def find_guarded(line: str, patterns: Iterable[str]) -> str | None:
    """Return the first pattern that one of the line's commands fits, None where none does."""
    commands = [_bare(command) for command in _BETWEEN.split(line)[:_MOST_COMMANDS]]
    return next((pattern for pattern in patterns if any(fnmatchcase(command, pattern) for command in commands)), None)


def _bare(command: str) -> str:
    command = " ".join(command.split())
    found = _BEFORE.match(command)
    return command[found.end() :] if found else command
