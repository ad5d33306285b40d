"""What takes too long, or a calm machine, for a test: 10,000 expiries at once, reapers that are killed, a long backlog.

    python -m tests.campaigns.reaper [mass|kills|backlog …]

Prints one line for each and ends with 1 if something was lost, recorded twice or refused. The figures hold for what
else the machine did meanwhile: the load is printed with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from coordinator import clock
from coordinator.engine.renew import RenewCommand, renew
from coordinator.model import Claim
from coordinator.reaper import ReaperSettings
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from tests.cluster.reaper_world import World, check_recorded_once, make_backlog, opened

_CLAIMS = 10_000
_LIVE = [f"live:{number}" for number in range(100)]
_KILLS = 20
_BACKLOG = 100_000
#: How long claiming them all may take, at most.
_CLAIMING_SECONDS = 60.0


@contextlib.contextmanager
def serving(etcd: str):  # type: ignore[no-untyped-def]  # a process, as the tests have it
    """Run a coordinator with a reaper; killed at the end."""
    command = [sys.executable, "-m", "coordinator.cli", "serve", "--etcd", etcd, "--reaper"]
    command += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("coordinator ready")
        try:
            yield process
        finally:
            process.kill()


async def claim_for_one_moment(world: World, claims: int) -> float:
    """Claim so many that all expire within about a second; returns how many seconds are left until then."""
    moment = time.monotonic() + _CLAIMING_SECONDS
    for start in range(0, claims, 500):
        left = moment - time.monotonic()
        assert left > 5, "this machine is too busy"
        work_keys = [f"task:{number}" for number in range(start, min(start + 500, claims))]
        for answer in await world.claim_all(work_keys, left, note="half done, branch fix-a"):
            assert isinstance(answer, Claim)
    return moment - time.monotonic()


async def renew_for_ever(live: World, slowest: list[float]) -> None:
    """Renew the live claims again and again; raises if one is refused or fails."""
    while True:
        now = clock.now()
        renewals = [partial(renew, RenewCommand("holder", now, 600.0), live.paths(key)) for key in _LIVE]
        started = time.monotonic()
        for answer in await live.runner.run_many(renewals, deadline=started + 5):
            assert isinstance(answer, Claim), answer
        slowest.append(time.monotonic() - started)
        await asyncio.sleep(0.1)


async def watch_times(world: World) -> tuple[float, float]:
    """Return when the first claim was gone and when the last one was recorded."""
    await look_until(world, "claim", lambda count: count < _CLAIMS)
    first = time.monotonic()
    await look_until(world, "loose", lambda count: count == _CLAIMS)
    return first, time.monotonic()


async def look_until(world: World, table: str, enough: Callable[[int], bool]) -> None:
    """Look how many keys a table has, every now and then: an event for each would load the machine."""
    while not enough(await world.count(table)):  # noqa: ASYNC110  # see above
        await asyncio.sleep(0.05)


async def mass(etcd: str) -> str:
    """Have 10,000 claims expire at once with one reaper, while 100 live ones are renewed."""
    slowest: list[float] = []
    async with opened(etcd, "mass") as world, opened(etcd, "live") as live:
        with serving(etcd):
            await live.claim_all(_LIVE, 600, "holder")
            await claim_for_one_moment(world, _CLAIMS)
            renewing = asyncio.create_task(renew_for_ever(live, slowest))
            first, last = await watch_times(world)
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
        await check_recorded_once(world, _CLAIMS)
        assert await live.count("claim") == len(_LIVE)
    return (
        f"{_CLAIMS} expired at once: recorded once each, the last {last - first:.1f} s after the first was gone; "
        f"{len(slowest)} times {len(_LIVE)} renewals meanwhile, none failed, the slowest {max(slowest):.2f} s"
    )


async def kills(etcd: str) -> str:
    """The same with two replicas, one of which is killed and replaced 20 times while the claims are recorded."""
    chance = random.Random(7)
    killed = 0
    async with opened(etcd, "mass") as world:
        with contextlib.ExitStack() as replicas:
            running = [replicas.enter_context(serving(etcd)) for _ in range(2)]
            await claim_for_one_moment(world, _CLAIMS)
            await look_until(world, "claim", lambda count: count == 0)
            while killed < _KILLS:
                chosen = chance.randrange(2)
                await asyncio.sleep(chance.uniform(0.0, 0.3))
                running[chosen].send_signal(signal.SIGKILL)
                killed += 1
                running[chosen] = await asyncio.to_thread(replicas.enter_context, serving(etcd))
            async with asyncio.timeout(60):
                await look_until(world, "loose", lambda count: count == _CLAIMS)
        await check_recorded_once(world, _CLAIMS)
    return f"{_CLAIMS} expired at once and {killed} reapers were killed meanwhile: recorded once each"


async def backlog(etcd: str) -> str:
    """Have a reaper that is 100,000 deletions behind catch up."""
    async with opened(etcd) as world:
        settings = ReaperSettings(mark_every=0.0)
        async with world.reaping(settings=settings):
            await world.await_mark()
        _, last = await make_backlog(world, _BACKLOG)
        await world.claim("task:a", 60)
        await world.expire_all()
        with serving(etcd) as process:
            before, started = resident(process.pid), time.monotonic()
            largest = before
            while await world.count("loose") < 1:
                largest = max(largest, resident(process.pid))
                await asyncio.sleep(0.02)
            await world.await_mark(last + 1)
            largest, took = max(largest, resident(process.pid)), time.monotonic() - started
        await check_recorded_once(world, 1)
    return f"{_BACKLOG} deletions behind: caught up in {took:.1f} s, from {before} MiB resident to {largest} at most"


def resident(process: int) -> int:
    """Return how much memory a process holds, in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


_PARTS: dict[str, Callable[[str], Coroutine[None, None, str]]] = {"mass": mass, "kills": kills, "backlog": backlog}


async def main() -> int:
    """Run what was asked for, or everything; each on an etcd of its own."""
    failed = 0
    for name in sys.argv[1:] or _PARTS:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as directory:
            async with EmbeddedEtcd(Path(directory), find_etcd()) as etcd:
                try:
                    reported = await _PARTS[name](etcd.endpoint)
                except (AssertionError, TimeoutError) as error:
                    reported, failed = f"failed: {error!r}", 1
        print(f"{name} (load {load:.1f} before, {os.getloadavg()[0]:.1f} after): {reported}", flush=True)  # its output
    return failed


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
