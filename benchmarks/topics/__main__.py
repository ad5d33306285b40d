"""``python -m benchmarks.topics``: evaluate how well and how fast the same work is found under another name.

Writes docs/images/topics.json, topics-light.svg and topics-dark.svg beside it, and the tables of docs/likeness.md.
``--plot`` draws again what topics.json has. Fails where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.topics.page import DATA, IMAGES, PAGE, tables, with_tables
from benchmarks.topics.plot import THEMES, draw
from benchmarks.topics.quality import OUTCOMES, STRICT, evaluate
from benchmarks.topics.speed import SIZES, measure

#: At least so much of the pairs of a difficulty is found; at most so much of unrelated titles shows anything.
_LEAST_FOUND = {"easy": 1.0, "medium": 0.93}
_MOST_SHOWN = 0.05


def main() -> int:
    """Run the evaluation; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.topics", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--plot", action="store_true", help="only draw again what was found before")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of topics")
    parser.add_argument("--to", type=Path, help="write into this directory instead, without the page")
    arguments = parser.parse_args()
    to = arguments.to or IMAGES
    if arguments.plot:
        found = json.loads(DATA.read_text(encoding="utf-8"))
    else:
        found = evaluate(arguments.sizes)
        found["costs"] = [measure(size)._asdict() for size in arguments.sizes]
        (to / DATA.name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, theme in THEMES.items():
        draw(found, to / f"topics-{name}.svg", theme)
    for table in tables(found).values():
        print(table)
    for source, counts in found["sources"].items():
        print(f"{source:<40} {sum(counts.values()) - counts[OUTCOMES[-1]]:>3} of {sum(counts.values())}")
    if arguments.to is None:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    missed = list(_missed(found))
    sys.stderr.write("".join(f"missed: {target}\n" for target in missed))
    return int(bool(missed))


def _missed(found: dict[str, Any]) -> Iterator[str]:
    for half, recall in found["recall"].items():
        for difficulty, least in _LEAST_FOUND.items():
            part, whole = recall[difficulty]
            if part < least * whole:
                yield f"{part} of {whole} {difficulty} pairs of the half that was {half} are found"
    for source in STRICT:
        if asked := sum(found["siblings"][source][outcome] for outcome in OUTCOMES[:2]):
            yield f"{asked} pairs of different work that differ in a {source} are asked about"
    others = found["unrelated"]
    if others["shown"] > _MOST_SHOWN * others["titles"]:
        yield f"{others['shown']} of {others['titles']} unrelated titles show something"


if __name__ == "__main__":
    sys.exit(main())
