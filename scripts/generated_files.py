"""Files that are made from others: written, or with ``--check`` only compared with what they would be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_or_check"]

_ROOT = Path(__file__).resolve().parent.parent


def write_or_check(made: Mapping[Path, str], *, source: str, target: str) -> int:
    """Write the files, and return 0; with ``--check`` write nothing, and return 1 if one in the tree is not as made.

    The messages say what they are made from, ``source``, and which ``make`` target makes them.
    """
    if sys.argv[1:] != ["--check"]:
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(_ROOT)} is not what {source} makes; run `make {target}`", file=sys.stderr)
    return 1 if stale else 0
