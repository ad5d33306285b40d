"""A thousand calls wait for work at two coordinators: ``python -m tests.campaigns.waiting``.

Half of them wait for one of 20 work keys, half for any of a list of 300. Counts etcd's calls while nothing happens,
measures how long after a release another session has the work, kills 200 that wait, and stops one coordinator. Prints a
table; exits 1 if a figure is not as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from coordinator import AsyncClient, Claim, CoordinatorError, Denial, Unavailable
from tests.conftest import RunningCoordinator, RunningEtcd, _run_coordinator, _run_etcd
from tests.integration.server_running import samples

FLEET = "campaign"
WAITERS, CLIENTS, SINGLE, LISTED = 1_000, 20, 20, 300
#: What is promised: calls of etcd a second while nothing happens, and the median from a release to the next grant.
MOST_CALLS, MOST_SECONDS = 2.0, 0.050
_UNARY = "unary"
_KILLED = """
import asyncio, sys
from coordinator import AsyncClient

async def main(endpoint):
    clients = [AsyncClient(endpoint, fleet="campaign") for _ in range(10)]
    await asyncio.gather(*(
        each.try_claim(f"killed-{n}-{m}", "task:killed", wait=600) for n, each in enumerate(clients) for m in range(20)
    ))

asyncio.run(main(sys.argv[1]))
"""


@dataclass
class Figures:
    """What was seen."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def note(self, what: str, figure: str, good: bool = True) -> None:
        """Note a figure, and whether it is as promised."""
        self.rows.append((what, figure, good))
        print(f"{what:<72} {figure:>14}{'' if good else '   NOT AS PROMISED'}", flush=True)


@dataclass
class World:
    """The clients, who holds what, and when what was released."""

    clients: Sequence[AsyncClient]
    holders: dict[str, str] = field(default_factory=dict)
    granted: dict[str, asyncio.Future[float]] = field(default_factory=dict)
    ended: list[BaseException | None] = field(default_factory=list)

    async def wait(self, number: int) -> None:
        """Wait again and again, until the coordinator is gone."""
        client, turn = self.clients[number % len(self.clients)], 0
        while True:
            session = f"w-{number}-{turn}"
            turn += 1
            try:
                answer = await self._ask(client, number, session)
            except CoordinatorError as error:
                self.ended.append(error)
                return
            if isinstance(answer, Claim):
                self.holders[answer.work_key] = session
                waited = self.granted.pop(answer.work_key, None)
                if waited is not None:
                    waited.set_result(time.perf_counter())

    async def _ask(self, client: AsyncClient, number: int, session: str) -> Claim | Denial:
        if number % 2:
            return await client.try_claim(session, f"task:single-{number // 2 % SINGLE}", ttl=3600, wait=3600)
        return await client.try_claim_next(session, listed(), ttl=3600, wait=3600)


def listed() -> list[str]:
    return [f"task:listed-{number}" for number in range(LISTED)]


def calls_of(etcd: RunningEtcd) -> float:
    """Return how many calls etcd has been asked, streams and their messages left out."""
    with urllib.request.urlopen(f"http://{etcd.endpoint}/metrics", timeout=10) as response:  # our own etcd
        page = response.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "grpc_server_started_total" and sample.labels["grpc_type"] == _UNARY
    )


def waiting_at(coordinators: Sequence[RunningCoordinator]) -> float:
    return sum(samples(each.metrics_url)["waiters{}"] for each in coordinators)


def memory_of(coordinator: RunningCoordinator) -> float:
    status = Path(f"/proc/{coordinator.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


async def calls_a_second(etcd: RunningEtcd, seconds: float) -> float:
    before, began = calls_of(etcd), time.monotonic()
    await asyncio.sleep(seconds)
    return (calls_of(etcd) - before) / (time.monotonic() - began)


async def until_waiting(coordinators: Sequence[RunningCoordinator], number: int) -> None:
    while await asyncio.to_thread(waiting_at, coordinators) != number:  # noqa: ASYNC110  # another process has it
        await asyncio.sleep(0.2)


def note_lasted(what: str, lasted: Sequence[float], figures: Figures) -> None:
    """Note median and 99th percentile of so many seconds, of which the median is promised."""
    median = statistics.median(lasted)
    figures.note(f"{what}, median, ms", f"{1000 * median:.1f}", median <= MOST_SECONDS)
    figures.note("the same, 99th percentile, ms", f"{1000 * sorted(lasted)[int(0.99 * len(lasted))]:.1f}")


async def stop_one(
    coordinator: RunningCoordinator,
    tasks: Sequence[asyncio.Task[None]],
    ended: Sequence[BaseException | None],
    figures: Figures,
    *,
    within: float,
) -> None:
    """Stop a coordinator at which half of all wait, and note who has learned what to do ``within`` so many seconds.

    Then all waits end.
    """
    coordinator.process.terminate()
    began = time.monotonic()
    while len(ended) < WAITERS // 2 and time.monotonic() - began < within:  # noqa: ASYNC110  # with a limit
        await asyncio.sleep(0.1)
    informed = [error for error in ended if isinstance(error, Unavailable) and "stops" in error.message]
    figures.note(
        "of the half whose coordinator stopped, those who learned what to do",
        f"{len(informed)} of {len(ended)}",
        len(informed) == WAITERS // 2,
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def two_coordinators() -> Iterator[tuple[RunningEtcd, list[RunningCoordinator]]]:
    """Run an etcd and two coordinators."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        etcd = stack.enter_context(_run_etcd(Path(directory) / "etcd"))
        yield etcd, [stack.enter_context(_run_coordinator("serve", "--etcd", etcd.endpoint)) for _ in range(2)]


async def measure(etcd: RunningEtcd, coordinators: Sequence[RunningCoordinator], seconds: float, releases: int) -> bool:
    figures = Figures()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(coordinators[number % 2].endpoint, fleet=FLEET, timeout=20))
            for number in range(CLIENTS)
        ]
        other = await stack.enter_async_context(AsyncClient(coordinators[1].endpoint, fleet=FLEET))
        world = World(clients)
        for key in [*listed(), *(f"task:single-{number}" for number in range(SINGLE)), "task:killed"]:
            await other.claim("holder", key, ttl=7200)
            world.holders[key] = "holder"
        idle = await calls_a_second(etcd, 20)
        figures.note("etcd's calls a second without any that wait", f"{idle:.2f}")
        memory = [memory_of(each) for each in coordinators]
        tasks = [asyncio.create_task(world.wait(number)) for number in range(WAITERS)]
        await until_waiting(coordinators, WAITERS)
        figures.note("calls that wait", f"{WAITERS}")
        more = max(memory_of(each) - before for each, before in zip(coordinators, memory, strict=True))
        figures.note("memory of a coordinator for half of them, MiB", f"{more:.0f}")
        await asyncio.sleep(12)
        calls = await calls_a_second(etcd, seconds)
        figures.note(
            f"etcd's calls a second with them, over {seconds:.0f} s in which nothing happens",
            f"{calls:.2f}",
            calls <= MOST_CALLS,
        )
        refused = await release_again_and_again(world, other, releases, figures)
        figures.note("releases that were refused", f"{refused}", refused == 0)
        await kill(coordinators, other, figures)
        await stop_one(coordinators[0], tasks, world.ended, figures, within=60)
    return all(good for _, _, good in figures.rows)


async def release_again_and_again(world: World, other: AsyncClient, releases: int, figures: Figures) -> int:
    refused, lasted = 0, []
    keys = [key for key in world.holders if key != "task:killed"]
    for number in range(releases):
        # Every other one of the list, which fewer keys would be otherwise.
        key = keys[number % LISTED] if number % 2 else keys[LISTED + number % SINGLE]
        granted = world.granted[key] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        try:
            await other.release(world.holders[key], key, token=0)
        except CoordinatorError:
            refused += 1
            continue
        async with asyncio.timeout(30):
            lasted.append(await granted - began)
        await asyncio.sleep(0.02)
    note_lasted("from a release to the next grant", lasted, figures)
    return refused


async def kill(coordinators: Sequence[RunningCoordinator], other: AsyncClient, figures: Figures) -> None:
    killed = subprocess.Popen([sys.executable, "-c", _KILLED, coordinators[1].endpoint])  # noqa: ASYNC220  # not waited for
    await until_waiting(coordinators, WAITERS + 200)
    killed.kill()
    killed.wait()
    began = time.monotonic()
    await until_waiting(coordinators, WAITERS)
    figures.note("until 200 that were killed are noticed, s", f"{time.monotonic() - began:.1f}")
    await other.release("holder", "task:killed")
    left = (await other.get("task:killed")).claim
    figures.note("claims that those who were killed leave", "0" if left is None else "1", left is None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Let a thousand calls wait for work.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long nothing happens")
    parser.add_argument("--releases", type=int, default=400, help="how often work is released")
    options = parser.parse_args()
    with two_coordinators() as (etcd, coordinators):
        return 0 if asyncio.run(measure(etcd, coordinators, options.seconds, options.releases)) else 1


if __name__ == "__main__":
    sys.exit(main())
