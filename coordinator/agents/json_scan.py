"""Reads JSON without loading ``json``, which takes half as long as Python takes to start, for what hooks read.

Invariant: what is read, and what is refused with ``ValueError``, is what ``json.loads`` reads and refuses: it is the
same scanner, in C, with the same settings. Where Python has none, ``json`` itself reads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["parse_json"]

_WHITE = " \t\n\r"


class _Settings:
    """What the scanner asks of a ``json.JSONDecoder``, with the values of a usual one."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> float:
        """Return the number that is meant by NaN, Infinity or -Infinity."""
        return float(name)


def parse_json(text: str) -> Any:
    """Return what a text says; raises ``ValueError`` for what is no JSON, ``RecursionError`` where it is too deep."""
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    text = text.strip(_WHITE)
    try:
        found, end = make_scanner(_Settings())(text, 0)  # type: ignore[arg-type]  # it takes any object with these
    except StopIteration:
        raise ValueError("there is no value") from None
    if end != len(text):
        raise ValueError("there is more than one value")
    return found
