"""The fleets that are in use, and the notice of a new one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from coordinator import AsyncClient, InvalidInput
from tests.conftest import COMMAND, RunningCoordinator, _environment
from tests.loaded_command import shared_command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(coordinator: RunningCoordinator) -> Run:
    """Run a command, and leave in what it says of a new fleet."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        found = _environment(COORDINATION_ENDPOINT=coordinator.endpoint, **settings)
        return shared_command().run([COMMAND, *arguments], found, 60, new_fleets=True)

    return run


def new(fleet: str) -> str:
    return f"notice: fleet '{fleet}' is new; `coordination fleets` lists those that are in use"


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

    wrapped = run("run", "task:a", "--fleet", f"{fleet}-run", "--", "sh", "-c", "exit 7")
    assert (wrapped.returncode, wrapped.stderr.splitlines()[0]) == (7, new(f"{fleet}-run"))

    as_json = run("work-claim", "session-1", "task:a", "--json", "--fleet", f"{fleet}-json")
    assert json.loads(as_json.stdout)["outcome"] == "granted"
    assert as_json.stderr.splitlines() == [new(f"{fleet}-json")]


def test_8_the_default_fleet_and_a_denial_are_not_new(run: Run, fleet: str) -> None:
    assert "is new" not in run("work-claim", "session-1", f"task:{fleet}").stderr
    assert "is new" not in run("work-list", "--fleet", fleet).stderr
    assert fleet not in [line.split()[0] for line in run("fleets").stdout.splitlines()]


async def test_8_only_the_own_fleet(coordinator: RunningCoordinator, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        assert (await client.list_fleets(only=True)).fleets == ()
        await client.claim("session-1", "task:a")
        found = await client.list_fleets(only=True)
        assert [(use.name, use.live_claims, use.records) for use in found.fleets] == [(fleet, 1, 1)]
        wrong: Any = "yes"
        with pytest.raises(InvalidInput):
            await client.list_fleets(only=wrong)
