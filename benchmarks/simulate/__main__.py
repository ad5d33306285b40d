"""``python -m benchmarks.simulate``: run the simulation against a real coordinator and etcd, and write its figure.

Writes docs/images/simulation.json, simulation-light.svg and simulation-dark.svg beside it, and the table of
docs/simulation.md. ``--plot`` draws again what simulation.json has. Fails where the coordinator's records differ from
what the sessions did, and where a claimed piece of work was done twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.simulate.fleet import as_object, simulate
from benchmarks.simulate.page import DATA, IMAGES, PAGE, with_table
from benchmarks.simulate.plot import THEMES, draw
from coordinator.demo.processes import DemoFailed, start_coordinator

_SIZES = (1, 2, 5, 10, 20, 50, 100, 150, 200)


def main() -> int:
    """Run the simulation; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--plot", action="store_true", help="only draw again what was found before")
    parser.add_argument("--rounds", type=int, default=3, help="how often each fleet is run (3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help="numbers of sessions")
    parser.add_argument("--to", type=Path, help="write into this directory instead, without the page")
    arguments = parser.parse_args()
    to = arguments.to or IMAGES
    if arguments.plot:
        found = json.loads(DATA.read_text(encoding="utf-8"))
    else:
        try:
            found = asyncio.run(_run(arguments.sizes, arguments.rounds))
        except DemoFailed as error:
            sys.stderr.write(f"the simulation failed: {error}\n")
            return 1
        (to / DATA.name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, theme in THEMES.items():
        draw(found, to / f"simulation-{name}.svg", theme)
    if arguments.to is None:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    twice = [row["sessions"] for way in ("claims", "next") for row in found["ways"][way] if row["done_twice"]]
    if twice:
        sys.stderr.write(f"the simulation failed: claimed work was done twice by fleets of {twice} sessions\n")
    return int(bool(twice))


async def _run(sizes: list[int], rounds: int) -> dict[str, Any]:
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="coordinator-simulate-") as home:
        async with start_coordinator(Path(home)) as coordinator:
            return as_object(await simulate(coordinator.endpoint, sizes, rounds, progress))


if __name__ == "__main__":
    sys.exit(main())
