"""The operands of alert expressions: what must have data even while nothing is wrong.

Not a parser of PromQL: it knows what our expressions are made of, comparisons joined by ``or`` and ``and``, and
``absent``. Dashboards have none of these, and are evaluated as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["operands"]

_JOINS = re.compile(r" (?:or|and|unless) ")
_COMPARISONS = re.compile(r" (?:==|!=|>=|<=|>|<) (?:bool )?")
_ABSENT = re.compile(r"absent\((.*)\)", re.DOTALL)
_NUMBER = re.compile(r"[\d.e+-]+")


def operands(expression: str) -> list[str]:
    """Return the sides of all comparisons that the expression consists of, numbers left out.

    ``(sum(a) < 1) or absent(b)`` has the operands ``sum(a)`` and ``b``.
    """
    return list(_operands(" ".join(expression.split())))


def _operands(expression: str) -> Iterator[str]:
    expression = _stripped(expression)
    for separators in (_JOINS, _COMPARISONS):
        parts = _split(expression, separators)
        if len(parts) > 1:
            for part in parts:
                yield from _operands(part)
            return
    absent = _ABSENT.fullmatch(expression)
    if absent:
        yield from _operands(absent[1])
    elif not _NUMBER.fullmatch(expression):
        yield expression


def _split(expression: str, separators: re.Pattern[str]) -> list[str]:
    """Split where no bracket is open; there are no brackets in our strings."""
    parts, start = [], 0
    for found in separators.finditer(expression):
        before = expression[: found.start()]
        if sum(before.count(bracket) for bracket in "({[") == sum(before.count(bracket) for bracket in ")}]"):
            parts.append(expression[start : found.start()])
            start = found.end()
    return [*parts, expression[start:]]


def _stripped(expression: str) -> str:
    """Take off brackets around the whole."""
    expression = expression.strip()
    while expression.startswith("(") and expression.endswith(")"):
        depth = 0
        for place, sign in enumerate(expression):
            depth += (sign == "(") - (sign == ")")
            if depth == 0 and place < len(expression) - 1:
                return expression
        expression = expression[1:-1].strip()
    return expression
