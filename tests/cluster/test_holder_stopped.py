"""A holder that is stopped past its deadline and goes on: it can see that it has lost, and its writes are refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from coordinator.model import Claim, State
from tests.cluster.reaper_world import World, opened
from tests.conftest import RunningCoordinator
from tests.freezing import freeze

#: Claims work, and for each line that it reads says whether its claim is lost; at the end what its writes came to.
_HOLDER = """
import sys
from coordinator import Client
from coordinator.errors import CoordinatorError

endpoint, fleet = sys.argv[1:]
with Client(endpoint, fleet=fleet) as client:
    claim = client.claim("holder", "task:a", ttl=5)
    print(claim.fencing_token, claim.is_lost(), flush=True)
    sys.stdin.readline()
    answers = [str(claim.is_lost())]
    for write in (client.renew, client.complete, client.release):
        try:
            write("holder", "task:a", token=claim.fencing_token)
            answers.append("done")
        except CoordinatorError as error:
            answers.append(type(error).__name__)
    print(*answers, flush=True)
"""


@pytest.fixture
async def world(etcd: RunningCoordinator, fleet: str) -> AsyncIterator[World]:
    async with opened(etcd.endpoint, fleet) as world:
        yield world


def run_holder(endpoint: str, fleet: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDER, endpoint, fleet]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_a_holder_that_stood_still_has_lost_and_knows_it(
    world: World, coordinator: RunningCoordinator, fleet: str
) -> None:
    with run_holder(coordinator.endpoint, fleet) as holder:
        try:
            assert holder.stdin is not None
            assert holder.stdout is not None
            token, lost = holder.stdout.readline().split()
            assert lost == "False"
            freeze(holder.pid)
            await world.await_count("claim", 0)
            successor = await world.claim("task:a", 60, "successor")
            assert isinstance(successor, Claim)
            assert successor.fencing_token > int(token)
            holder.send_signal(signal.SIGCONT)
            print(file=holder.stdin, flush=True)
            assert holder.stdout.readline().split() == ["True", "ClaimLost", "ClaimLost", "ClaimLost"]
        finally:
            holder.kill()
    details = await world.details("task:a")
    assert details.claim is not None
    assert (details.claim.session, details.claim.fencing_token) == ("successor", successor.fencing_token)
    assert (await world.complete("task:a", "successor")).state is State.COMPLETED
