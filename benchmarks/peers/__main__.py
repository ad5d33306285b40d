"""``python -m benchmarks.peers [--units N]``: this product beside fleetwright, on the same work.

Both are given the same pieces of work, and workers in processes of their own claim and finish them until none is left.
Then whole commands are measured: a claim and a completion, as an agent without a library makes them. Each figure is
taken of both within seconds of each other, so that a slow machine is slow for both.

What is compared is not the same promise. fleetwright is one SQLite file on one host; a coordinator keeps every claim in
etcd, for many hosts. It is said how fast each is, and docs/performance.md says why.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.processes import BARE, COMMAND, Line, begin_at_once, compile_all, measure, running_coordinator, table
from coordinator import Client, NewWork

_WORKER = str(Path(__file__).with_name("worker.py"))
_WORKERS = (1, 8, 64)
#: How many pieces of work are submitted in a call.
_PORTION = 100


class _Peer(NamedTuple):
    """Who is measured: which Python runs its workers, and where its work is."""

    name: str
    python: str
    place: str


class _Worked(NamedTuple):
    """What the workers came to: pieces of work done, in how many seconds, and how long each claim took."""

    done: list[str]
    seconds: float
    waits: list[float]


def main() -> int:
    """Measure, and print the tables."""
    options = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    options.add_argument("--python", required=True, help="the Python of the environment that has fleetwright")
    options.add_argument("--units", type=int, default=5_000, help="pieces of work; by default 5,000")
    options.add_argument("--rounds", type=int, default=21, help="how often each command is run; by default 21 times")
    chosen = options.parse_args()
    compile_all()
    with running_coordinator() as usual:
        print(f"{'workers':<12}{'':<16}{'pieces/s':>10}{'claim p50 ms':>14}{'p99 ms':>10}{'done once':>12}")
        for workers in _WORKERS:
            for peer in _peers(usual["COORDINATION_ENDPOINT"], chosen.python, chosen.units):
                print(_line(workers, peer.name, _work(peer, workers), chosen.units), flush=True)
        print()
        with _lines(usual, chosen.python, chosen.rounds) as lines:
            print(table("whole time of a command", measure(lines, usual, chosen.rounds)))
    return 0


def _peers(endpoint: str, other_python: str, units: int) -> Iterator[_Peer]:
    """Give each peer the same work, and yield where it is."""
    fleet = uuid.uuid4().hex
    with Client(endpoint, fleet=fleet, timeout=60.0) as client:
        for first in range(0, units, _PORTION):
            numbers = range(first, min(first + _PORTION, units))
            client.submit_many("orchestrator", [NewWork(f"task:piece-{number}") for number in numbers])
    yield _Peer("coordinator", sys.executable, f"{endpoint} {fleet}")
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder, "work.db"))
        _add(other_python, database, units)
        yield _Peer("fleetwright", other_python, database)


def _add(python: str, database: str, units: int) -> None:
    """Have fleetwright make a database with so many pieces of work."""
    made = f"import fleetwright as f; c = f.connect({database!r}); f.define(c, 'task', 'do it'); "
    made += f"f.add(c, 'task', ['piece-%d' % n for n in range({units})])"
    subprocess.run([python, "-c", made], check=True)


def _work(peer: _Peer, workers: int) -> _Worked:
    """Have the workers begin at once."""
    found = begin_at_once(
        [[peer.python, _WORKER, peer.name, peer.place, f"worker-{number}"] for number in range(workers)]
    )
    seconds = max(each["ended"] for each in found) - min(each["began"] for each in found)
    return _Worked(
        [piece for each in found for piece in each["done"]], seconds, [wait for each in found for wait in each["waits"]]
    )


def _line(workers: int, name: str, worked: _Worked, units: int) -> str:
    once = "yes" if len(worked.done) == len(set(worked.done)) == units else "NO"
    p50, p99 = median(worked.waits) * 1000, quantiles(worked.waits, n=100)[98] * 1000
    rate = len(worked.done) / worked.seconds
    return f"{workers:<12}{name:<16}{rate:>10.0f}{p50:>14.2f}{p99:>10.1f}{once:>12}"


@contextmanager
def _lines(usual: dict[str, str], python: str, rounds: int) -> Iterator[Sequence[Line]]:
    """Yield the commands that are measured: there is enough work for all rounds."""
    pieces = rounds + 2
    with tempfile.TemporaryDirectory() as folder, Client(usual["COORDINATION_ENDPOINT"]) as client:
        database = str(Path(folder, "work.db"))
        _add(python, database, pieces)
        client.submit_many("orchestrator", [NewWork(f"task:piece-{number}") for number in range(pieces)])
        fleetwright = str(Path(python).with_name("fleetwright"))
        subprocess.run([fleetwright, "add", "task", "mine", "--db", database, "--create"], check=True)
        client.claim("mine", "task:mine", ttl=3600.0)
        yield (
            BARE,
            Line("coordinator: next piece of work", [COMMAND, "work-next", "--session", "session-bench"]),
            Line("fleetwright: next piece of work", [fleetwright, "claim", "--db", database, "--json"]),
            Line("coordinator: renew", [COMMAND, "work-renew", "mine", "task:mine"]),
            Line("fleetwright: what is left", [fleetwright, "status", "--db", database]),
        )


if __name__ == "__main__":
    sys.exit(main())
