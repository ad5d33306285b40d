"""More calls than can be answered, over an etcd that does not answer: memory stays bounded, every call is answered."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path

import pytest

from coordinator import AsyncClient, Claim
from coordinator.errors import LimitExceeded, OutcomeUnknown, TryAgain, Unavailable
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.freezing import freeze

RunEtcd = Callable[[Path], AbstractContextManager[RunningEtcd]]
RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
MAX_CALLS = 200
CONNECTIONS = 4
MIB = 1024 * 1024


@pytest.fixture
def own_etcd(run_etcd: RunEtcd, tmp_path: Path) -> Iterator[RunningEtcd]:
    with run_etcd(tmp_path) as running:
        try:
            yield running
        finally:
            os.kill(running.pid, signal.SIGCONT)


def resident_bytes(pid: int, name: str = "VmRSS") -> int:
    """Return what a process has in memory, or with VmHWM what it has had at most."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def claim(client: AsyncClient, number: int, note: str = "") -> str:
    try:
        await client.claim(f"session-{number % 100}", f"task:{number}", note=note)
    except TryAgain as error:
        assert isinstance(error, LimitExceeded | OutcomeUnknown | Unavailable), repr(error)
        return type(error).__name__
    return "granted"


async def until_granted(client: AsyncClient) -> None:
    """Claim until that is granted."""
    while True:
        if await claim(client, 1_000_000) == "granted":
            return
        await asyncio.sleep(0.1)


@pytest.mark.long_but_for("few")
@pytest.mark.parametrize(
    ("count", "note"), [(1_000, ""), (3_000, ""), (3_000, "x" * 16_000)], ids=["few", "many", "large"]
)
async def test_calls_over_a_stalled_etcd_are_all_answered_and_memory_is_bounded(
    own_etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str, count: int, note: str
) -> None:
    with run_coordinator("serve", "--etcd", own_etcd.endpoint, "--max-calls", str(MAX_CALLS)) as coordinator:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(AsyncClient(coordinator.endpoint, fleet=fleet, timeout=10))
                for _ in range(CONNECTIONS)
            ]
            for client in clients:
                await client.claim("warm", f"task:warm-{id(client)}")
            before = resident_bytes(coordinator.process.pid)
            freeze(own_etcd.pid)
            calls = [claim(clients[number % CONNECTIONS], number, note) for number in range(count)]
            outcomes = Counter(await asyncio.gather(*calls))
            grown = resident_bytes(coordinator.process.pid, "VmHWM") - before
            os.kill(own_etcd.pid, signal.SIGCONT)
            assert outcomes.total() == count
            assert outcomes["LimitExceeded"] > 0, outcomes
            assert grown < 200 * MIB
            await until_granted(clients[0])


async def test_a_connection_that_floods_leaves_places_to_others(
    own_etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
) -> None:
    with run_coordinator("serve", "--etcd", own_etcd.endpoint, "--max-calls", "20") as coordinator:
        async with (
            AsyncClient(coordinator.endpoint, fleet=fleet, timeout=8) as greedy,
            AsyncClient(coordinator.endpoint, fleet=fleet, timeout=30) as polite,
        ):
            await polite.claim("warm", "task:warm")
            freeze(own_etcd.pid)
            flood = [asyncio.create_task(claim(greedy, number)) for number in range(100)]
            # Refused calls are answered at once, and the others wait in their places.
            waiting = set(flood)
            while len(waiting) > 10:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            asked = asyncio.create_task(polite.claim("polite", "task:polite"))
            done, _ = await asyncio.wait((asked, *waiting), timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            assert not done
            os.kill(own_etcd.pid, signal.SIGCONT)
            assert isinstance(await asked, Claim)
            assert Counter(await asyncio.gather(*flood))["LimitExceeded"] == 90
