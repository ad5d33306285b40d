"""The arguments of a command, where they are well-formed; the table of the options is made from the full command.

Invariant: what is taken here, the full command takes too, and reads in the same way. All else is left to it: an option
that is not in the table, one that stands twice, a value that is empty or looks like an option, ``--``.
"""

from __future__ import annotations

from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.table import COMMON, OPTIONS, TTL_RANGE, UNITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Asked", "find_verb", "read_arguments", "read_seconds", "read_ttl", "wants_verbose"]

_DIGITS = frozenset("0123456789")


class Asked:
    """What was typed: the verb, its arguments, its own options, and those of every command."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.words: list[str] = []
        self.own: dict[str, str | bool] = {}
        self.common: dict[str, str | bool] = {}

    def text(self, name: str) -> str | None:
        """Return the value of an option of the verb, None where it was not given."""
        found = self.own.get(name)
        return found if isinstance(found, str) else None


def find_verb(arguments: list[str]) -> str | None:
    """Return the verb that the quick way may take, None where there is none."""
    expected = False
    for word in arguments:
        if expected:
            expected = False
        elif word in OPTIONS:
            return word
        elif word not in COMMON:
            return None
        else:
            expected = COMMON[word][1]
    return None


def wants_verbose(arguments: list[str]) -> bool:
    """Return whether how the command is answered is to be said, also where the arguments cannot be understood."""
    return "--verbose" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def read_arguments(verb: str, arguments: list[str]) -> Asked:
    """Return what ``verb`` was asked; raises ``NotQuick``."""
    asked = Asked(verb)
    options = OPTIONS[verb]
    behind = False
    left = iter(arguments)
    for word in left:
        if word == verb and not behind:
            behind = True
            continue
        if not word.startswith("-"):
            if not word.strip():
                raise NotQuick("an argument is empty")
            asked.words.append(_sendable(word))
            continue
        name, is_given, value = word.partition("=")
        found = COMMON.get(name)
        given = asked.common
        if found is None and behind:
            found, given = options.get(name), asked.own
        if found is None:
            raise NotQuick(f"{name} is not among the options that it knows")
        name, takes_value = found
        if name in given or (is_given and not takes_value):
            raise NotQuick(f"{word} is given in an unusual way")
        given[name] = _value(word, value if is_given else None, left) if takes_value else True
    return asked


def _value(word: str, written: str | None, left: Iterator[str]) -> str:
    """Return the value of an option: what is written behind ``=``, or else the next word."""
    value = next(left, "") if written is None else written
    if written is None and value.startswith("-"):
        raise NotQuick(f"the value of {word} looks like an option")
    if not value.strip():
        raise NotQuick(f"{word} is empty")
    return _sendable(value)


def read_ttl(typed: str | None) -> float | None:
    """Return the seconds of a time to live as it is typed, None for None; raises ``NotQuick``."""
    if typed is None:
        return None
    number = typed.rstrip("smihnd")
    unit = typed[len(number) :] or "m"
    seconds = _number(number) * UNITS.get(unit, 0.0)
    if not TTL_RANGE[0] <= seconds <= TTL_RANGE[1]:
        raise NotQuick("the time to live is not plain, or out of range")
    return seconds


def read_seconds(typed: str, allowed: tuple[float, float]) -> float:
    """Return a number of seconds; raises ``NotQuick`` for what is not written plainly, or out of range."""
    seconds = _number(typed)
    if not allowed[0] <= seconds <= allowed[1]:
        raise NotQuick("the time limit is not plain, or out of range")
    return seconds


def _number(typed: str) -> float:
    """Return the value of digits, with a point in between at most; -1 for all else."""
    whole, point, part = typed.partition(".")
    if not whole or len(typed) > 20 or not _DIGITS.issuperset(whole + part) or (point and not part):
        return -1.0
    return float(typed)


def _sendable(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:
        raise NotQuick("an argument is not UTF-8") from None
    return word
