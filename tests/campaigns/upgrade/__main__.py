"""``make upgrade-test MINUTES=``: the last release and this tree side by side on one store, and the checker of faults.

    python -m tests.campaigns.upgrade [--minutes M] [--seed N] [--etcd PATH]

Three coordinators of the last release, from its wheel, serve twenty sessions. One after the other is replaced by one of
this tree's wheel; one goes back to the release and forward again; in the end all are new. Sessions do what the release
serves. Exits 1 if anything in the history cannot be, if the promises of docs/guarantees.md are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coordinator.clock import boot_seconds
from coordinator.store.embedded import find_etcd
from tests.campaigns.faults.__main__ import newest, report, say
from tests.campaigns.faults.campaign import FLEET, Plan, look_at_all, note_end, read_noted, settle
from tests.campaigns.faults.clients import Worker
from tests.campaigns.faults.cluster import WORKERS, Coordinator, Setting, await_started, free_port, members_of
from tests.campaigns.faults.history import History, write_history
from tests.campaigns.faults.notes import Notes
from tests.campaigns.faults.observer import Observer
from tests.campaigns.upgrade.releases import LAST, Installed, install_release, install_tree

#: Which coordinator is replaced by which version, at even intervals: in the middle the most mixed.
STEPS = ((0, "new"), (1, "new"), (0, "old"), (2, "new"), (0, "new"))


@dataclass
class Run:
    """The coordinators, and the packages that they may run."""

    coordinators: list[Coordinator]
    packages: dict[str, Installed]
    notes: Notes

    def replace(self, number: int, version: str) -> None:
        """Stop a coordinator in order, and start one of another version at the same address."""
        coordinator, began = self.coordinators[number], boot_seconds()
        assert coordinator.process is not None
        coordinator.process.send_signal(signal.SIGTERM)
        coordinator.process.wait(timeout=60)
        self.give(coordinator, version)
        coordinator.kills += 1  # it has lost what it had counted
        coordinator.start()
        said = {"coordinator": number, "version": self.packages[version].version}
        self.notes.line(fault=f"replaced by {said['version']}", at=began, until=boot_seconds(), details=said)

    def give(self, coordinator: Coordinator, version: str) -> None:
        """Have a coordinator run a version when it is started next."""
        package = self.packages[version]
        coordinator.program, coordinator.package = package.program, str(package.directory)


def main() -> int:
    """Run, check and report."""
    parser = argparse.ArgumentParser(description="The last release beside this tree, under load, and a checker.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long the load lasts")
    parser.add_argument("--seed", type=int, help="what the sessions do; a new one if none is named")
    parser.add_argument("--etcd", help="the etcd to run; by default the newest that make etcd has fetched")
    options = parser.parse_args()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory(prefix="upgrade-packages-") as packages:
        found = {"old": install_release(LAST, Path(packages)), "new": install_tree(Path(packages))}
        for package in found.values():
            say(f"{package.wheel.name}, run as {package.version}")
        directory = Path(tempfile.mkdtemp(prefix=f"upgrade-{seed}-"))
        plan = Plan(seed, options.minutes, options.etcd or newest(), (), False, directory)
        history = asyncio.run(run(plan, found, say))
    path = directory / "history.jsonl"
    write_history(history, path)
    say(f"history: {path} (load {os.getloadavg()[0]:.1f})")
    return report(history, path)


async def run(plan: Plan, packages: dict[str, Installed], tell: Callable[[str], None]) -> History:
    """Run it and return what was seen."""
    notes = Notes(plan.directory / "campaign.jsonl", "campaign")
    version = find_etcd(plan.etcd).version
    with members_of(plan.directory, plan.etcd) as (cluster, _):
        coordinators = list(_coordinators(plan, ",".join(cluster.endpoints)))
        going = Run(coordinators, packages, notes)
        setting = Setting(cluster, coordinators, None, [], [])
        async with contextlib.AsyncExitStack() as stack:
            for coordinator in coordinators:
                stack.callback(coordinator.kill)
                going.give(coordinator, "old")
            await asyncio.to_thread(await_started, coordinators)
            observer = Observer(notes)
            await stack.enter_async_context(observer.watching(cluster.endpoints))
            tell(f"seed {plan.seed}, {plan.minutes:g} minutes, etcd {version}")
            workers = await _load(plan, going)
            replaced = sum(each.kills for each in coordinators)
            await settle(setting)
            await look_at_all(plan, setting, notes)
            counters = sum((Counter(each.counters()) for each in coordinators), Counter[str]())
            await asyncio.sleep(2.0)  # for the last of the watches
        note_end(plan, notes, version, counters, replaced)
    return read_noted(plan, workers)


def _coordinators(plan: Plan, etcd: str) -> Iterator[Coordinator]:
    for number in range(3):
        with contextlib.ExitStack() as reserved:
            endpoint = f"127.0.0.1:{free_port(reserved)}"
        yield Coordinator(etcd, endpoint, plan.directory / f"r{number}.log")


async def _load(plan: Plan, going: Run) -> list[Worker]:
    """Have sessions work while coordinators are replaced."""
    started = boot_seconds()
    until = started + 60 * plan.minutes
    places = [coordinator.endpoint for coordinator in going.coordinators]
    workers = []
    for number in range(WORKERS):
        # Each process of clients begins with another coordinator.
        endpoints = ",".join(places[number % 3 :] + places[: number % 3])
        workers.append(Worker(number, endpoints, FLEET, plan.seed, started, until, plan.directory, as_released=True))
    try:
        for worker in workers:
            worker.start()
        pause = (until - started) / (len(STEPS) + 1)
        for place, (number, version) in enumerate(STEPS, 1):
            await asyncio.sleep(max(0.0, started + place * pause - boot_seconds()))
            await asyncio.to_thread(going.replace, number, version)
            say(f"coordinator {number} is replaced by {going.packages[version].version}")
        await asyncio.sleep(max(0.0, until - boot_seconds()) + 8.0)  # for the last calls
    finally:
        for worker in workers:
            worker.kill()
    return workers


if __name__ == "__main__":
    sys.exit(main())
