"""Regular expressions that are compiled when they are first used.

The modules that a client or a command loads have forty of them, of which it uses five. To compile all of them took a
twentieth of the time of a command.

Invariant: a ``Pattern`` finds what ``re.compile`` with the same arguments finds, and costs no more from its second use
on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = ["Pattern"]

_Match = re.Match[str]


class Pattern:
    """A regular expression for text, with the methods of ``re.Pattern`` that are used here.

    They are attributes, which are there once the expression is compiled. A wrong expression raises ``re.error`` then.
    """

    match: Callable[[str], _Match | None]
    fullmatch: Callable[[str], _Match | None]
    search: Callable[[str], _Match | None]
    sub: Callable[[str | Callable[[_Match], str], str], str]
    findall: Callable[[str], list[str]]
    finditer: Callable[[str], Iterator[_Match]]

    def __init__(self, expression: str, flags: int = 0) -> None:
        self.expression, self.flags = expression, flags

    def __getattr__(self, name: str) -> object:
        # It is called for what is not there yet.
        if name not in Pattern.__annotations__:
            raise AttributeError(f"a pattern has no {name!r}")
        compiled = re.compile(self.expression, self.flags)
        for method in Pattern.__annotations__:
            setattr(self, method, getattr(compiled, method))
        return getattr(self, name)
