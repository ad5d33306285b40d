"""One run: members, coordinators, clients and faults for some minutes; afterwards everything is well, and looked at."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator import AsyncClient
from coordinator.clock import boot_seconds
from coordinator.errors import TryAgain
from coordinator.store.embedded import find_etcd
from tests.campaigns.faults.answers import answer_of
from tests.campaigns.faults.chaos import Chaos
from tests.campaigns.faults.clients import Worker
from tests.campaigns.faults.cluster import WORKERS, Setting, await_started, members_of, set_up
from tests.campaigns.faults.history import History, read_history
from tests.campaigns.faults.notes import Notes
from tests.campaigns.faults.observer import Observer
from tests.campaigns.stepped_clock import build_library

__all__ = ["FLEET", "Plan", "look_at_all", "note_end", "read_noted", "run", "settle"]

FLEET = "faults"
#: How long to wait after the last fault for all claims to expire, at most, and then for the last to be recorded, in
#: seconds: the longest lease that etcd may have started again, and what is promised besides.
MOST_SETTLING_SECONDS, RECORDED_SECONDS = 100.0, 10.0


@dataclass(frozen=True)
class Plan:
    """What is to be run. ``faults`` are the names of those that may come, all if there are none."""

    seed: int
    minutes: float
    etcd: str | None
    faults: Sequence[str]
    kills_coordinators: bool
    directory: Path


async def run(plan: Plan, say: Callable[[str], None]) -> History:
    """Run it and return what was seen."""
    notes = Notes(plan.directory / "campaign.jsonl", "campaign")
    version = find_etcd(plan.etcd).version
    with contextlib.ExitStack() as members:
        cluster, network = members.enter_context(members_of(plan.directory, plan.etcd))
        async with contextlib.AsyncExitStack() as stack:
            setting = await set_up(
                stack, plan.directory, cluster, network, plan.seed, lambda request: notes.line(copied=request)
            )
            for coordinator in setting.coordinators:
                stack.callback(coordinator.kill)
            await asyncio.to_thread(await_started, setting.coordinators)
            observer = Observer(notes)
            await stack.enter_async_context(observer.watching(cluster.endpoints))
            say(f"seed {plan.seed}, {plan.minutes:g} minutes, etcd {version}, {'with' if network else 'no'} partitions")
            workers, chaos = await _storm(plan, setting, observer, notes)
            killed = sum(each.kills for each in setting.coordinators)
            await _calm(setting)
            await settle(setting)
            await look_at_all(plan, setting, notes)
            counters = sum((Counter(each.counters()) for each in setting.coordinators), Counter[str]())
            await asyncio.sleep(2.0)  # for the last of the watches
        note_end(plan, notes, version, counters, killed, stepped=chaos.stepped, partitions=network is not None)
    return read_noted(plan, workers)


def note_end(
    plan: Plan,
    notes: Notes,
    etcd: str,
    counters: Mapping[str, float],
    killed: int,
    *,
    stepped: int = 0,
    partitions: bool = False,
) -> None:
    """Note what the coordinators have counted, and what was run: with which etcd, how many coordinators
    were ``killed``, and how often a clock was ``stepped``.
    """
    notes.line(counters=dict(counters))
    notes.line(
        header={
            "seed": plan.seed,
            "minutes": plan.minutes,
            "etcd": etcd,
            "fleet": FLEET,
            "killed_coordinators": killed,
            "stepped_clocks": stepped,
            "partitions": partitions,
        }
    )


def read_noted(plan: Plan, workers: Iterable[Worker]) -> History:
    """Return the history of what the campaign and its workers have noted."""
    files = [plan.directory / "campaign.jsonl", *(file for worker in workers for file in worker.files)]
    return read_history(*(path for path in files if path.exists()))


async def _storm(plan: Plan, setting: Setting, observer: Observer, notes: Notes) -> tuple[list[Worker], Chaos]:
    """Have clients work while faults come."""
    started = boot_seconds()
    until = started + 60 * plan.minutes
    workers = [
        Worker(number, setting.endpoints(number), FLEET, plan.seed, started, until, plan.directory)
        for number in range(WORKERS)
    ]
    chaos = Chaos(setting, workers, observer, notes, plan.seed, kills=plan.kills_coordinators)
    library = plan.directory / "stepped.so"
    with contextlib.suppress(AssertionError):  # there is no compiler
        build_library(library)
        chaos.step_clocks(library)
    try:
        for worker in workers:
            worker.start()
        await chaos.run(until, plan.faults)
        await asyncio.sleep(8.0)  # for the last calls
    finally:
        for worker in workers:
            worker.go_on()
            worker.kill()
    return workers, chaos


async def _calm(setting: Setting) -> None:
    """Make sure that all run and nothing is in the way, whatever became of the faults."""
    if setting.network:
        setting.network.heal()
    for member in setting.cluster.members:
        member.go_on()
    await asyncio.to_thread(setting.cluster.await_all)
    await asyncio.to_thread(await_started, setting.coordinators)


async def settle(setting: Setting) -> None:
    """Wait until nothing is claimed any more."""
    end = boot_seconds() + MOST_SETTLING_SECONDS
    async with AsyncClient(setting.coordinators[0].endpoint, fleet=FLEET, timeout=20) as client:
        while boot_seconds() < end:
            with contextlib.suppress(TryAgain):
                if not (await client.list_page(states=["claimed"], page_size=1)).records:
                    break
            await asyncio.sleep(1.0)
    await asyncio.sleep(RECORDED_SECONDS)


async def look_at_all(plan: Plan, setting: Setting, notes: Notes) -> None:
    """Read all that the clients have touched, through a coordinator."""
    keys = sorted(
        {
            event.key.rpartition("/")[2].replace("%2F", "/")
            for event in read_history(plan.directory / "campaign.jsonl").store
            if f"/{FLEET}/record/" in event.key
        }
    )
    async with AsyncClient(setting.coordinators[0].endpoint, fleet=FLEET, timeout=20) as client:
        for key in keys:
            call = notes.begin("final", "final", "get", {"key": key, "request_id": ""})
            for _ in range(5):
                try:
                    notes.end(call, answer_of(await client.get(key)))
                    break
                except TryAgain:
                    await asyncio.sleep(0.5)
