"""``make campaign-faults MINUTES= SEED=``: random faults, and a checker that knows nothing of the code.

    python -m tests.campaigns.faults [--minutes M] [--seed N …] [--etcd PATH] [--only FAULT …]
    python -m tests.campaigns.faults --check HISTORY.jsonl

The history goes to a file of JSON lines. Exits 1 if anything in it cannot be, if the promises of docs/guarantees.md are
kept, and prints the seed and the smallest history that still shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns.faults.campaign import Plan, run
from tests.campaigns.faults.chaos import fault_names
from tests.campaigns.faults.checker import check
from tests.campaigns.faults.figures import lines_about
from tests.campaigns.faults.findings import Finding
from tests.campaigns.faults.history import History, lines_of, read_history, write_history
from tests.campaigns.faults.shrink import shrink

#: How many findings are shrunk, and how many lines of each are printed.
SHRUNK, PRINTED = 3, 60
#: Without kills of coordinators, which lose what they had not counted, counters have to be exact: in each third run.
WITHOUT_KILLS = 3


def main() -> int:
    """Run, check and report."""
    parser = argparse.ArgumentParser(description="Random faults for some minutes, and a checker of what was answered.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults come, for each seed")
    parser.add_argument("--seed", type=int, nargs="*", help="which random faults; a new one if none is named")
    parser.add_argument("--etcd", help="the etcd to run; by default the newest that make etcd has fetched")
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT", help=", ".join(fault_names()))
    parser.add_argument("--out", type=Path, help="the directory for histories and logs")
    parser.add_argument("--check", type=Path, metavar="HISTORY", help="check this history, and run nothing")
    options = parser.parse_args()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if options.check:
        return report(read_history(options.check), options.check)
    failed = 0
    for seed in options.seed or [random.SystemRandom().randrange(1_000_000)]:
        directory = options.out or Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
        if options.out and len(options.seed or []) > 1:
            directory = options.out / str(seed)
        directory.mkdir(parents=True, exist_ok=True)
        kills = seed % WITHOUT_KILLS != 0
        plan = Plan(seed, options.minutes, options.etcd or newest(), options.only, kills, directory)
        history = asyncio.run(run(plan, say))
        path = directory / "history.jsonl"
        write_history(history, path)
        say(f"history: {path} (load {os.getloadavg()[0]:.1f})")
        failed |= report(history, path)
    return failed


def report(history: History, path: Path) -> int:
    """Print the figures and what was found; returns the exit code."""
    began = time.monotonic()
    checked = check(history)
    for line in lines_about(history, checked):
        say(line)
    say(f"checked in {time.monotonic() - began:.1f} s")
    for finding in checked.findings[:50]:
        say(f"VIOLATION, seed {history.header.get('seed')}: {finding.rule}: {finding.work_key}: {finding.text}")
    show(history, checked.findings[:SHRUNK], path)
    for key in checked.undecided:
        say(f"given up: {key}")
    return int(bool(checked.findings))


def show(history: History, findings: Sequence[Finding], path: Path) -> None:
    """Write the shrunk history of each finding beside the whole one, and print its beginning."""
    for number, finding in enumerate(findings):
        small = shrink(history, finding)
        place = path.with_name(f"{path.stem}-shrunk-{number}.jsonl")
        write_history(small, place)
        say(f"shrunk to {len(small.calls)} calls about {finding.work_key or 'everything'}, in {place}:")
        for line in [each for each in lines_of(small) if "begin" in each or "end" in each][:PRINTED]:
            say(f"  {line}")


def newest() -> str | None:
    """Return the newest etcd that ``make etcd`` has fetched, None for the one that a coordinator would run."""
    fetched = Path(__file__).parents[3] / ".etcd"
    found = [path for path in fetched.glob("*/usr/bin/etcd") if path.parents[2].name[0].isdigit()]
    best = max(found, key=lambda path: [int(part) for part in path.parents[2].name.split(".")], default=None)
    return None if best is None else str(best)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
