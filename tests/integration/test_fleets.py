"""The fleets that are in use, and the notice of a new one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coordinator import AsyncClient, Denial, DenialReason
from coordinator.recorder import NullRecorder
from coordinator.service.admission.new_fleets import NewFleets
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import COMMAND, RunCoordinator, RunEtcd, RunningCoordinator, _environment
from tests.loaded_command import shared_command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def coordinator(
    run_etcd: RunEtcd, run_coordinator: RunCoordinator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCoordinator]:
    """A coordinator without the thousands of fleets of other tests."""
    with (
        run_etcd(tmp_path_factory.mktemp("etcd")) as own_etcd,
        run_coordinator("serve", "--etcd", own_etcd.endpoint) as running,
    ):
        yield running


@pytest.fixture
def run(coordinator: RunningCoordinator) -> Run:
    """Run a command, and leave in what it says of a new fleet."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        found = _environment(COORDINATION_ENDPOINT=coordinator.endpoint, **settings)
        return shared_command().run([COMMAND, *arguments], found, 60, new_fleets=True)

    return run


def new(fleet: str) -> str:
    return f"notice: fleet '{fleet}' is new; `coordination fleets` lists those that are in use"


def on_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Run a command on a terminal of its own, and return all that stands there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # as Linux ends it
            pass
    os.close(ours)
    return shown.decode()


def test_8_the_first_claim_in_a_fleet_says_that_it_is_new(run: Run, fleet: str) -> None:
    done = run("work-claim", "session-1", "task:a", "--fleet", fleet)
    assert (done.returncode, done.stdout) == (0, "claimed task:a (expires in 60 min)\n")
    assert done.stderr.splitlines() == [new(fleet)]

    assert run("work-claim", "session-1", "task:b", "--fleet", fleet).stderr == ""
    assert "is new" not in run("work-claim", "session-2", "task:a", "--fleet", fleet).stderr

    listed = run("fleets").stdout.splitlines()
    assert f"{fleet}  2 live claims, 2 records" in listed
    run("work-complete", "session-1", "task:b", "--fleet", fleet)
    uses = {use["name"]: use for use in json.loads(run("fleets", "--json").stdout)["fleets"]}
    assert uses[fleet] == {"name": fleet, "live_claims": 1, "records": 2}


def test_8_next_run_and_json_say_it_beside_the_answer(run: Run, fleet: str) -> None:
    chosen = run("work-next", "task:a", "task:b", "--session", "session-1", COORDINATION_FLEET=f"{fleet}-next")
    assert (chosen.returncode, chosen.stderr.splitlines()) == (0, [new(f"{fleet}-next")])

    # What COMMAND says stands alone where there is no terminal.
    wrapped = run("run", "task:a", "--fleet", f"{fleet}-run", "--", "sh", "-c", "exit 7")
    assert (wrapped.returncode, wrapped.stderr) == (7, "")

    as_json = run("work-claim", "session-1", "task:a", "--json", "--fleet", f"{fleet}-json")
    assert json.loads(as_json.stdout)["outcome"] == "granted"
    assert as_json.stderr.splitlines() == [new(f"{fleet}-json")]


def test_8_what_else_is_first_put_into_a_fleet_says_it_too(run: Run, fleet: str) -> None:
    submit = ("work-submit", "task:a", "--session", "session-1", "--fleet", f"{fleet}-pool")
    assert run(*submit).stderr.splitlines() == [new(f"{fleet}-pool")]
    assert run(*submit).stderr == ""
    assert run("policy", "set", "task", "--max-live", "2", "--fleet", f"{fleet}-pool").stderr == ""
    ruled = run("policy", "set", "task", "--max-live", "2", "--fleet", f"{fleet}-rules", "--json")
    assert (json.loads(ruled.stdout)["pattern"], ruled.stderr.splitlines()) == ("task", [new(f"{fleet}-rules")])
    assert run("work-submit", f"task:{fleet}", "--session", "session-1").stderr == ""


def test_8_the_default_fleet_and_a_denial_are_not_new(run: Run, fleet: str) -> None:
    assert "is new" not in run("work-claim", "session-1", f"task:{fleet}").stderr
    assert "is new" not in run("work-list", "--fleet", fleet).stderr
    assert fleet not in [line.split()[0] for line in run("fleets").stdout.splitlines()]


async def test_8_the_client_says_it_with_the_claim(coordinator: RunningCoordinator, fleet: str) -> None:
    for name in ("claim", "next", "denied"):
        async with AsyncClient(coordinator.endpoint, fleet=f"{fleet}-{name}") as client:
            if name == "next":
                first = await client.claim_next("session-1", ["task:a", "task:b"])
            else:
                first = await client.claim("session-1", "task:a")
            assert first.new_fleet
            assert not (await client.claim("session-2", "task:c")).new_fleet
            found = {use.name: (use.live_claims, use.records) for use in (await client.list_fleets()).fleets}
            assert found[f"{fleet}-{name}"] == (2, 2)
            assert f"{fleet}-{name}x" not in found


async def test_8_a_fleet_is_looked_up_once(etcd_channel: EtcdChannel, fleet: str) -> None:
    runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())
    news = NewFleets(runner)
    looked_up = []

    async def run(start: Any, **more: Any) -> Any:
        looked_up.append(start)
        return await Runner.run(runner, start, **more)

    runner.run = run  # type: ignore[method-assign]  # counts, and does the same
    deadline = time.monotonic() + 20
    denial = Denial("task:a", DenialReason.HELD)
    for name in (fleet, f"{fleet}-2", f"{fleet}-3"):
        looked_up.clear()
        # A claim that has failed leaves it to the next one.
        assert await news.is_empty(name, deadline=deadline)
        assert await news.is_empty(name, deadline=deadline)
        assert not news.answered(name, denial, was_empty=True)
        for _ in range(5):
            assert not await news.is_empty(name, deadline=deadline)
        assert len(looked_up) == 2
    looked_up.clear()
    assert not await news.is_empty("default", deadline=deadline)
    assert looked_up == []


def test_8_run_says_it_to_a_terminal(coordinator: RunningCoordinator, fleet: str) -> None:
    environment = _environment(COORDINATION_ENDPOINT=coordinator.endpoint, COORDINATION_FLEET=fleet)
    shown = on_a_terminal([COMMAND, "run", "task:a", "--", "true"], environment)
    assert new(fleet) in shown
    assert new(fleet) not in on_a_terminal([COMMAND, "run", "task:b", "--", "true"], environment)


async def test_8_many_fleets_are_listed_in_order(coordinator: RunningCoordinator, fleet: str) -> None:
    names = [f"{fleet}-{number:03}" for number in range(120)]
    for name in names:
        async with AsyncClient(coordinator.endpoint, fleet=name) as client:
            await client.claim("session-1", "task:a")
    async with AsyncClient(coordinator.endpoint, timeout=30) as client:
        found = await client.list_fleets()
    assert found.complete
    assert [use.name for use in found.fleets if use.name in names] == names
    assert {(use.live_claims, use.records) for use in found.fleets if use.name in names} == {(1, 1)}
