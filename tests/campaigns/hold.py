"""Threads and tasks hold work while etcd's leader is moved: ``python -m tests.campaigns.hold``.

For a minute 64 threads of one ``Client`` and 64 tasks of one ``AsyncClient`` hold five work keys each, through two
coordinators on three members of etcd, whose leader is moved every 5 s. Prints a table; exits 1 if a claim was lost, or
was not completed as its first attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from coordinator import AsyncClient, AsyncHeld, Client, CoordinatorError, Held, State
from coordinator.clock import boot_seconds
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.members_load import coordinators

WORKERS, KEYS_EACH = 64, 5
#: How often the leader is moved, and how often a holder looks at its claims, in seconds.
MOVED_EVERY, LOOKS_EVERY = 5.0, 0.25
FLEET = "campaign"
ROW = "{:<8} {:>5} {:>6} {:>9} {:>14} {:>7} {:>11} {:>5}"


class Wanted(NamedTuple):
    """What the workers do: who holds, for how long a claim lasts without renewals, and until when."""

    endpoints: Sequence[str]
    ttl: float
    one_session: bool
    #: Passed by both sorts when all is held.
    all_held: threading.Barrier
    over: threading.Event

    def session(self, sort: str, number: int) -> str:
        """Return the session of a worker."""
        return "worker" if self.one_session else f"{sort}-{number}"


@dataclass
class Renewals:
    """What one client's keeper has asked for."""

    calls: int = 0
    keys: int = 0
    failed: int = 0
    #: The least time that a claim had left when its renewal was sent, in seconds.
    closest: float = float("inf")
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, holdings: Sequence[Any]) -> None:
        """Note a call for these claims."""
        self.calls += 1
        self.keys += len(holdings)
        self.closest = min(self.closest, min(holding.deadline for holding in holdings) - boot_seconds())

    def answered(self, outcomes: Sequence[Any]) -> None:
        """Note what came of it."""
        self.failed += any(isinstance(outcome, CoordinatorError) for outcome in outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold work while etcd's leader is moved.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all is held")
    parser.add_argument("--ttl", type=float, default=15.0, help="the TTL of the claims, in seconds")
    parser.add_argument("--one-session", action="store_true", help="let all act as one session, in place of one each")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        run_cluster(Path(directory)) as cluster,
        coordinators(cluster.etcd) as endpoints,
    ):
        return _run(cluster, endpoints, options.seconds, options.ttl, one_session=options.one_session)


def _run(cluster: EtcdCluster, endpoints: Sequence[str], seconds: float, ttl: float, *, one_session: bool) -> int:
    threads, tasks = Renewals(), Renewals()
    all_held = threading.Barrier(3)
    over = threading.Event()
    wanted = Wanted(endpoints, ttl, one_session, all_held, over)
    runs = [
        threading.Thread(target=_hold_in_threads, args=[wanted, threads]),
        threading.Thread(target=lambda: asyncio.run(_hold_in_tasks(wanted, tasks))),
    ]
    for run in runs:
        run.start()
    all_held.wait(120)
    used, started = _processor_seconds(), time.monotonic()
    before = [renewals.calls for renewals in (threads, tasks)]
    keys_before = [renewals.keys for renewals in (threads, tasks)]
    moved = 0
    while (left := started + seconds - time.monotonic()) > 0:
        time.sleep(min(MOVED_EVERY, left))
        cluster.move_leader()
        moved += 1
    minutes = (time.monotonic() - started) / 60
    used = _processor_seconds() - used
    counts = [
        (renewals.calls - calls, renewals.keys - keys)
        for renewals, calls, keys in zip((threads, tasks), before, keys_before, strict=True)
    ]
    over.set()
    for run in runs:
        run.join(120)
    wrong = _wrong(endpoints)
    used /= minutes * 60
    _say(f"{minutes * 60:.0f} s, TTL {ttl:g} s, leader moved {moved} times, client's processor {used:.0%} of a core")
    _say(ROW.format("", "keys", "calls", "renewals", "calls/key/min", "failed", "least left", "lost"))
    held = WORKERS * KEYS_EACH
    for name, renewals, (calls, keys) in zip(("threads", "tasks"), (threads, tasks), counts, strict=True):
        rate, least = f"{calls / held / minutes:.2f}", f"{renewals.closest:.1f} s"
        _say(ROW.format(name, held, calls, keys, rate, renewals.failed, least, len(renewals.lost)))
    problems = [*threads.lost, *threads.problems, *tasks.lost, *tasks.problems, *wrong]
    for line in problems[:20]:
        _say(f"  wrong: {line}")
    return int(bool(problems))


def _hold_in_threads(wanted: Wanted, renewals: Renewals) -> None:
    with Client(wanted.endpoints, fleet=FLEET) as client:
        keeper = client._process.mine.keeper
        renew = keeper._renew

        def counted(holdings: Any, seconds: float) -> Any:
            renewals.note(holdings)
            outcomes = renew(holdings, seconds)
            renewals.answered(outcomes)
            return outcomes

        keeper._renew = counted
        ready = threading.Barrier(WORKERS + 1)

        def work(number: int) -> None:
            try:
                with contextlib.ExitStack() as stack:
                    session = wanted.session("thread", number)
                    keys = [f"task:thread-{number}-{each}" for each in range(KEYS_EACH)]
                    held = [stack.enter_context(client.hold(session, key, wanted.ttl)) for key in keys]
                    ready.wait(120)
                    while not wanted.over.wait(LOOKS_EVERY):
                        _look(held, renewals)
            except Exception as error:  # noqa: BLE001  # any is what this looks for
                renewals.problems.append(f"thread {number}: {type(error).__name__}: {error}")
                ready.abort()

        workers = [threading.Thread(target=work, args=[number]) for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        with contextlib.suppress(threading.BrokenBarrierError):
            ready.wait(120)
        wanted.all_held.wait(120)
        for worker in workers:
            worker.join()


async def _hold_in_tasks(wanted: Wanted, renewals: Renewals) -> None:
    async with AsyncClient(wanted.endpoints, fleet=FLEET) as client:
        keeper = client._process.mine.keeper
        renew = keeper._renew

        async def counted(holdings: Any, seconds: float) -> Any:
            renewals.note(holdings)
            outcomes = await renew(holdings, seconds)
            renewals.answered(outcomes)
            return outcomes

        keeper._renew = counted
        ready = [asyncio.Event() for _ in range(WORKERS)]

        async def work(number: int) -> None:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    session = wanted.session("task", number)
                    keys = [f"task:task-{number}-{each}" for each in range(KEYS_EACH)]
                    held = [await stack.enter_async_context(client.hold(session, key, wanted.ttl)) for key in keys]
                    ready[number].set()
                    while not wanted.over.is_set():
                        await asyncio.sleep(LOOKS_EVERY)
                        _look(held, renewals)
            except Exception as error:  # noqa: BLE001  # any is what this looks for
                renewals.problems.append(f"task {number}: {type(error).__name__}: {error}")
                ready[number].set()

        running = asyncio.gather(*(work(number) for number in range(WORKERS)))
        await asyncio.gather(*(event.wait() for event in ready))
        await asyncio.to_thread(wanted.all_held.wait, 120)
        await running


def _look(held: Sequence[Held | AsyncHeld], renewals: Renewals) -> None:
    renewals.lost += [
        each.claim.work_key for each in held if each.lost.is_set() and each.claim.work_key not in renewals.lost
    ]


def _wrong(endpoints: Sequence[str]) -> list[str]:
    """Return which work was not completed as its first attempt."""
    with Client(endpoints, fleet=FLEET) as client:
        records = list(client.list())
    wrong = [
        f"{record.work_key}: attempt {record.attempt}, {record.state}"
        for record in records
        if (record.attempt, record.state) != (1, State.COMPLETED)
    ]
    expected = 2 * WORKERS * KEYS_EACH
    return wrong if len(records) == expected else [f"{len(records)} records, not {expected}", *wrong]


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
