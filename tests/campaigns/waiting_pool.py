"""A thousand calls wait for the pool at two coordinators: ``python -m tests.campaigns.waiting_pool``.

Counts etcd's calls while nothing happens, measures how long after a submission, or after what a piece depends on is
completed, a session has it, kills 200 that wait, and stops one coordinator. Prints a table; exits 1 if a figure is not
as promised.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from coordinator import AsyncClient, Claim, CoordinatorError, NewWork, Submission
from tests.campaigns.waiting import (
    CLIENTS,
    FLEET,
    MOST_CALLS,
    WAITERS,
    Figures,
    calls_a_second,
    memory_of,
    note_lasted,
    stop_one,
    two_coordinators,
    until_waiting,
)
from tests.conftest import RunningCoordinator, RunningEtcd

#: Pieces that a session holds for all of the time, so that there is something to wait for.
HELD = 50
_KILLED = """
import asyncio, sys
from coordinator import AsyncClient

async def main(endpoint):
    clients = [AsyncClient(endpoint, fleet="campaign") for _ in range(10)]
    await asyncio.gather(*(
        each.try_claim_next(f"killed-{n}-{m}", kind="killed", wait=600)
        for n, each in enumerate(clients) for m in range(20)
    ))

asyncio.run(main(sys.argv[1]))
"""


@dataclass
class World:
    """The clients, when what was granted, and how calls ended."""

    clients: Sequence[AsyncClient]
    granted: dict[str, asyncio.Future[float]] = field(default_factory=dict)
    ended: list[BaseException | None] = field(default_factory=list)
    refused: int = 0
    twice: int = 0

    async def wait(self, number: int) -> None:
        """Wait for work, do it, and wait again, until the coordinator is gone."""
        client, turn = self.clients[number % len(self.clients)], 0
        while True:
            session = f"w-{number}-{turn}"
            turn += 1
            try:
                answer = await client.try_claim_next(session, kind="task", ttl=3600, wait=3600)
            except CoordinatorError as error:
                self.ended.append(error)
                return
            if isinstance(answer, Claim):
                await self._done(client, answer)

    async def _done(self, client: AsyncClient, claim: Claim) -> None:
        waited = self.granted.get(claim.work_key)
        if waited is not None and not waited.done():
            waited.set_result(time.perf_counter())
        else:
            self.twice += 1
        try:
            await client.complete(claim.session, claim.work_key)
        except CoordinatorError:
            self.refused += 1


async def set_up(client: AsyncClient, freed: int) -> None:
    """Submit work that a session holds, and work that depends on it."""
    depended = [f"dep:{number}" for number in range(freed)]
    held = [*(f"task:held-{number}" for number in range(HELD)), "killed:held"]
    await client.submit_many("submitter", [NewWork(key) for key in held])
    work = [NewWork(f"task:freed-{number}", depends=(key,)) for number, key in enumerate(depended)]
    for outcome in await client.submit_many("submitter", work):
        assert isinstance(outcome, Submission), outcome
    for key in [*depended, *held]:
        await client.claim("holder", key, ttl=7200)


async def hand_out(world: World, client: AsyncClient, freed: int, figures: Figures) -> None:
    """Submit a piece and free another one in turns, and measure how long it takes until a session has it."""
    for what in ("submitted", "freed"):
        lasted = []
        for number in range(freed):
            key = f"task:{what}-{number}"
            granted = world.granted[key] = asyncio.get_running_loop().create_future()
            began = time.perf_counter()
            if what == "submitted":
                await client.submit("submitter", key, brief="do it")
            else:
                await client.complete("holder", f"dep:{number}")
            async with asyncio.timeout(60):
                lasted.append(await granted - began)
            await asyncio.sleep(0.02)
        note_lasted(f"from when work is {what} to its grant", lasted, figures)


async def release(world: World, client: AsyncClient, figures: Figures) -> None:
    """Give back what is held, but for one piece, while all wait."""
    for number in range(1, HELD):
        try:
            await client.release("holder", f"task:held-{number}", reason="for others")
        except CoordinatorError:
            world.refused += 1
    figures.note("releases and completions that were refused", f"{world.refused}", world.refused == 0)
    figures.note("pieces that two sessions were given", f"{world.twice}", world.twice == 0)


async def kill(coordinators: Sequence[RunningCoordinator], client: AsyncClient, figures: Figures) -> None:
    killed = subprocess.Popen([sys.executable, "-c", _KILLED, coordinators[1].endpoint])  # noqa: ASYNC220  # not waited for
    await until_waiting(coordinators, WAITERS + 200)
    killed.kill()
    await client.submit("submitter", "killed:new")
    killed.wait()
    began = time.monotonic()
    await until_waiting(coordinators, WAITERS)
    figures.note("until 200 that were killed are noticed, s", f"{time.monotonic() - began:.1f}")
    deadline = time.monotonic() + 60
    while (left := (await client.get("killed:new")).claim) is not None and time.monotonic() < deadline:  # noqa: ASYNC110  # etcd has it
        await asyncio.sleep(0.2)
    figures.note("claims that those who were killed leave", "0" if left is None else "1", left is None)


async def measure(etcd: RunningEtcd, coordinators: Sequence[RunningCoordinator], seconds: float, freed: int) -> bool:
    figures = Figures()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(coordinators[number % 2].endpoint, fleet=FLEET, timeout=60))
            for number in range(CLIENTS)
        ]
        other = await stack.enter_async_context(AsyncClient(coordinators[1].endpoint, fleet=FLEET, timeout=60))
        world = World(clients)
        await set_up(other, freed)
        figures.note("etcd's calls a second without any that wait", f"{await calls_a_second(etcd, 20):.2f}")
        memory = [memory_of(each) for each in coordinators]
        tasks = [asyncio.create_task(world.wait(number)) for number in range(WAITERS)]
        await until_waiting(coordinators, WAITERS)
        figures.note("calls that wait for the pool", f"{WAITERS}")
        more = max(memory_of(each) - before for each, before in zip(coordinators, memory, strict=True))
        figures.note("memory of a coordinator for half of them, MiB", f"{more:.0f}")
        await asyncio.sleep(12)
        calls = await calls_a_second(etcd, seconds)
        what = f"etcd's calls a second with them, over {seconds:.0f} s in which nothing happens"
        figures.note(what, f"{calls:.2f}", calls <= MOST_CALLS)
        await hand_out(world, other, freed, figures)
        await release(world, other, figures)
        await kill(coordinators, other, figures)
        await stop_one(coordinators[0], tasks, world.ended, figures, within=120)
    return all(good for _, _, good in figures.rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Let a thousand calls wait for the pool.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long nothing happens")
    parser.add_argument("--freed", type=int, default=200, help="how many pieces are submitted, and how many freed")
    options = parser.parse_args()
    with two_coordinators() as (etcd, coordinators):
        return 0 if asyncio.run(measure(etcd, coordinators, options.seconds, options.freed)) else 1


if __name__ == "__main__":
    sys.exit(main())
