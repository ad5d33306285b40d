"""What docs/simulation.md shows of a simulation: its table, between ``<!-- table -->`` and ``<!-- end -->``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["DATA", "IMAGES", "PAGE", "with_table"]

_DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = _DOCS / "simulation.md"
IMAGES = _DOCS / "images"
DATA = IMAGES / "simulation.json"

_BLOCK = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD = """\
| sessions | without claims: done twice | list covered | with claims: done twice | list covered \
| calls per piece: `work-claim` | `work-next` |
|---:|---:|---:|---:|---:|---:|---:|
"""


def with_table(text: str, found: dict[str, Any]) -> str:
    """Return the page's text with the table of a simulation."""
    ways = found["ways"]
    rows = [
        f"| {without['sessions']} | {without['done_twice']:.0f} | {without['covered_percent']:.0f} % "
        f"| {max(claims['done_twice'], asking['done_twice']):.0f} | {asking['covered_percent']:.0f} % "
        f"| {claims['calls_per_piece']:.1f} | {asking['calls_per_piece']:.1f} |\n"
        for without, claims, asking in zip(ways["nothing"], ways["claims"], ways["next"], strict=True)
    ]
    return _BLOCK.sub(lambda block: f"{block[1]}{_HEAD}{''.join(rows)}{block[2]}", text)
