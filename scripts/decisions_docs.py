"""Make the list of decisions, docs/adr/README.md, from their titles: ``python scripts/decisions_docs.py [--check]``.

With ``--check`` nothing is written, and the exit code is 1 if the list is not what the titles make.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generated_files import write_or_check

_FOLDER = Path(__file__).resolve().parent.parent / "docs/adr"
_HEAD = """# Decisions

Why things are as they are: what was decided, what else was considered, and what follows from it. Some numbers are not
used. This list is made by `make docs`.

| number | decision |
|---|---|
"""


def page() -> str:
    """Return the list."""
    rows = []
    for file in sorted(_FOLDER.glob("[0-9]*.md")):
        number, _, title = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").partition(". ")
        rows.append(f"| {number} | [{title}]({file.name}) |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.exit(write_or_check({_FOLDER / "README.md": page()}, source="docs/adr/", target="docs"))
