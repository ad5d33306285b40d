"""Make the table of docs/keys.md from the spellings that are tested: ``python scripts/keys_docs.py [--check]``.

Between ``<!-- spellings -->`` and ``<!-- end -->`` stand the pieces of work of ``tests/spellings.toml``. With
``--check`` nothing is written, and the exit code is 1 if the page is not what the data makes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from generated_files import write_or_check

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/keys.md"
DATA = ROOT / "tests/spellings.toml"
_BLOCK = re.compile(r"(<!-- spellings -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """Return the page with its table made anew."""
    works = tomllib.loads(DATA.read_text(encoding="utf-8"))["work"]
    rows = [f"| {_code(work['key'])} | {', '.join(map(_code, work['spellings']))} |" for work in works]
    table = "\n".join(["| key | is also written |", "|---|---|", *rows])
    count = sum(len(work["spellings"]) for work in works)
    return _BLOCK.sub(lambda block: f"{block[1]}{count} spellings of {len(works)} keys:\n\n{table}\n\n{block[2]}", text)


def _code(text: str) -> str:
    """Return a code span; what looks like another character is written as its code point."""
    shown = "".join(c if c.isascii() or c.isalpha() else f"[U+{ord(c):04X}]" for c in text).replace("|", "\\|")
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


if __name__ == "__main__":
    sys.exit(
        write_or_check({PAGE: page(PAGE.read_text(encoding="utf-8"))}, source="tests/spellings.toml", target="docs")
    )
