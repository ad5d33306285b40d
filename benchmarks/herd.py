"""``python -m benchmarks.herd [--rounds N]``: sessions that all want the first piece of the same list.

Three things are measured, against an etcd and two coordinators of its own:

- 100 sessions in 8 processes, one list of 100: claiming from the top one by one, and with one call of ClaimNext each.
  Both are done in each round, so that a slow machine is slow for both. Said are sessions placed a second, from the
  first call to the last answer.
- 1,000 sessions with one list of 1,000, half of them at each of the two coordinators: calls for each session.
- 100 callers at once while all 1,000 pieces are held: how long the answers take.

The exit code is 0 whatever the verdicts are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.processes import begin_at_once
from benchmarks.report import Verdict
from coordinator import AsyncClient, Claim
from coordinator.store.embedded import EmbeddedEtcd, find_etcd

_COMMAND = str(Path(sys.executable).with_name("coordination"))
_PROCESSES = 8
_SESSIONS, _MANY_SESSIONS = 100, 1_000
_TTL = 600.0
_TIMEOUT = 60.0


class Placed(NamedTuple):
    """What the sessions of a herd came to."""

    seconds: float
    calls: int
    keys: list[str]
    answers: list[float]


def main() -> int:
    """Measure, and print what was found."""
    options = argparse.ArgumentParser(prog="benchmarks.herd", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--sessions", nargs=6, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.sessions:
        endpoint, fleet, how, first, number, keys = chosen.sessions
        asyncio.run(_be_sessions(endpoint, fleet, how, range(int(first), int(first) + int(number)), int(keys)))
        return 0
    asyncio.run(_measure(chosen.rounds))
    return 0


async def _measure(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as data, ExitStack() as stack:
        async with EmbeddedEtcd(Path(data), find_etcd(), listen=("127.0.0.1", 0)) as etcd:
            endpoints = [stack.enter_context(run_coordinator(etcd.endpoint)) for _ in range(2)]
            one_by_one, next_ones = [], []
            for _ in range(rounds):
                one_by_one.append(await asyncio.to_thread(_herd, endpoints[:1], "loop", _SESSIONS, _SESSIONS))
                next_ones.append(await asyncio.to_thread(_herd, endpoints[:1], "next", _SESSIONS, _SESSIONS))
            many_fleet = uuid.uuid4().hex
            many = await asyncio.to_thread(_herd, endpoints, "next", _MANY_SESSIONS, _MANY_SESSIONS, many_fleet)
            denied = await asyncio.to_thread(_herd, endpoints, "next", _SESSIONS, _MANY_SESSIONS, many_fleet)
            stack.close()
    _print(one_by_one, next_ones, many, denied)


def _print(one_by_one: Sequence[Placed], next_ones: Sequence[Placed], many: Placed, denied: Placed) -> None:
    rates = [[len(herd.keys) / herd.seconds for herd in herds] for herds in (one_by_one, next_ones)]
    print(f"{'one list of 100, 100 sessions in 8 processes':<58}{'sessions/s':>12}{'calls':>8}")
    for name, rate, herds in zip(("claims from the top", "ClaimNext"), rates, (one_by_one, next_ones), strict=True):
        print(f"{name:<58}{median(rate):>12.0f}{median(herd.calls for herd in herds):>8.0f}")
    p50, p99 = median(denied.answers), quantiles(denied.answers, n=100)[98]
    placed = len(many.keys) / many.seconds
    print(f"{'1,000 sessions, one list of 1,000, two coordinators':<58}{placed:>12.0f}{many.calls:>8}")
    print(f"{'100 callers at once, all 1,000 held: p50, p99 in s':<58}{p50:>12.2f}{p99:>8.2f}")
    print()
    ratio = median(following / first for first, following in zip(*rates, strict=True))
    for verdict in (
        Verdict("ClaimNext over claims from the top, sessions/s", ratio, True, 40.0),
        Verdict("calls for each of 1,000 sessions", many.calls / _MANY_SESSIONS, False, 1.05),
        Verdict("sessions of 1,000 that were placed, each with a key of its own", len(set(many.keys)), True, 1_000.0),
        Verdict("p99 of 100 denials at once, s", p99, False, 2.0),
    ):
        sign, word = ("at least", "at most")[not verdict.at_least], ("MISSED", "reached")[verdict.reached]
        print(f"{verdict.what:<64}{verdict.value:>9.2f}   {sign} {verdict.target:<6g}{word}")


def _herd(endpoints: Sequence[str], how: str, sessions: int, keys: int, fleet: str = "") -> Placed:
    """Have sessions in several processes begin at once."""
    fleet = fleet or uuid.uuid4().hex
    each = -(-sessions // _PROCESSES)
    parts = [(first, min(each, sessions - first)) for first in range(0, sessions, each)]
    found = begin_at_once(
        [
            [
                *(sys.executable, "-m", "benchmarks.herd", "--sessions", endpoints[number % len(endpoints)]),
                *(fleet, how, str(first), str(count), str(keys)),
            ]
            for number, (first, count) in enumerate(parts)
        ]
    )
    seconds = max(each["ended"] for each in found) - min(each["began"] for each in found)
    return Placed(
        seconds,
        sum(each["calls"] for each in found),
        [key for each in found for key in each["keys"]],
        [answer for each in found for answer in each["answers"]],
    )


async def _be_sessions(endpoint: str, fleet: str, how: str, numbers: range, keys: int) -> None:
    """Be some of the sessions: say that they are ready, wait for the word, and report in JSON."""
    backlog = [f"task:piece-{number}" for number in range(keys)]
    placed: list[str] = []
    answers: list[float] = []
    calls = 0

    async def session(client: AsyncClient, number: int) -> None:
        nonlocal calls
        name = f"session-{number}-{uuid.uuid4().hex[:8]}"
        if how == "next":
            calls += 1
            sent = time.monotonic()
            answer = await client.try_claim_next(name, backlog, ttl=_TTL)
            answers.append(time.monotonic() - sent)
            placed.extend([answer.work_key] if isinstance(answer, Claim) else [])
            return
        for key in backlog:
            calls += 1
            if isinstance(await client.try_claim(name, key, ttl=_TTL), Claim):
                placed.append(key)
                return

    async with AsyncClient(endpoint, fleet=fleet, timeout=_TIMEOUT) as client:
        await client.status()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.monotonic()
        await asyncio.gather(*(session(client, number) for number in numbers))
        ended = time.monotonic()
    # The clock is the same for all processes of a host.
    print(json.dumps({"began": began, "ended": ended, "calls": calls, "keys": placed, "answers": answers}), flush=True)


@contextmanager
def run_coordinator(etcd: str) -> Iterator[str]:
    """Run a coordinator; yields where it listens."""
    with run_coordinator_process(etcd) as (endpoint, _):
        yield endpoint


@contextmanager
def run_coordinator_process(etcd: str) -> Iterator[tuple[str, int]]:
    """Run a coordinator; yields where it listens, and its process id."""
    command = [_COMMAND, "serve", "--etcd", etcd, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = process.stdout.readline() if process.stdout else ""
            if not ready.startswith("coordinator ready: grpc "):
                raise SystemExit("a coordinator did not start")
            yield ready.removeprefix("coordinator ready: grpc ").partition(",")[0], process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
