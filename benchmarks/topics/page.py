"""What docs/likeness.md shows of an evaluation: its tables, between ``<!-- NAME -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.topics.labelled import DIFFICULTIES, HALVES
from benchmarks.topics.quality import OUTCOMES

__all__ = ["DATA", "IMAGES", "PAGE", "tables", "with_tables"]

_DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = _DOCS / "likeness.md"
IMAGES = _DOCS / "images"
DATA = IMAGES / "topics.json"

_BLOCK = re.compile(r"(<!-- (?P<name>recall|outcomes|costs) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str, found: dict[str, Any]) -> str:
    """Return the page's text with the tables of an evaluation."""
    made = tables(found)
    return _BLOCK.sub(lambda block: block[1] + made[block["name"]] + block[3], text)


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Return the tables, by name."""
    return {name: "".join(f"| {' | '.join(row)} |\n" for row in rows(found)) for name, rows in _TABLES.items()}


def _recall(found: dict[str, Any]) -> Iterator[list[str]]:
    crowds = found["crowds"]
    yield ["difficulty", *(f"half that was {half}" for half in HALVES), *(f"all, {int(n):,} topics" for n in crowds)]
    yield ["---", *["---:"] * (len(HALVES) + len(crowds))]
    for difficulty in DIFFICULTIES:
        counted = [found["recall"][half][difficulty] for half in HALVES] + [crowds[n][difficulty] for n in crowds]
        yield [difficulty, *(f"{part} of {whole}" for part, whole in counted)]


def _outcomes(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["pairs", *OUTCOMES]
    yield ["---", *["---:"] * len(OUTCOMES)]
    for difficulty, counts in found["same"].items():
        yield [f"same work, {difficulty}", *(str(counts[outcome]) for outcome in OUTCOMES)]
    for source, counts in found["siblings"].items():
        yield [f"other work, another {source}", *(str(counts[outcome]) for outcome in OUTCOMES)]
    others = found["unrelated"]
    yield ["unrelated titles", "", "", str(others["shown"]), str(others["titles"] - others["shown"])]


def _costs(found: dict[str, Any]) -> Iterator[list[str]]:
    yield ["topics", "read a title", "put a topic", "find, median", "find, 99 %", "memory"]
    yield ["---:"] * 6
    for cost in found["costs"]:
        times = (f"{cost[name]:.0f} µs" for name in ("read", "put", "found", "found_p99"))
        yield [f"{cost['topics']:,}", *times, f"{cost['mebibytes']:.0f} MiB"]


_TABLES = {"recall": _recall, "outcomes": _outcomes, "costs": _costs}
