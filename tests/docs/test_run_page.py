"""docs/run.md: its recipes do what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from coordinator.run import outcome, program
from tests.run.running import World, world

__all__ = ["world"]

PAGE = (Path(__file__).parents[2] / "docs/run.md").read_text()


def recipe(name: str) -> str:
    """Return the commands of a recipe."""
    found = re.search(rf"<!-- recipe: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"there is no recipe {name!r}"
    return found[1]


def script(directory: Path, name: str, content: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{content}\n")
    (directory / name).chmod(0o755)


def test_one_of_three_hosts_deploys(world: World, tmp_path: Path) -> None:
    script(tmp_path, "deploy.sh", "echo deployed by $COORDINATION_SESSION; sleep 1")
    command = ["bash", "-c", recipe("nightly")]
    hosts = [
        subprocess.Popen(command, cwd=tmp_path, env=world.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [host.communicate(timeout=120)[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0, 0]
    assert sorted(map(bool, said)) == [False, False, True]


def test_a_list_is_worked_through_in_its_order(world: World, tmp_path: Path) -> None:
    script(tmp_path, "ranked-issues.sh", "echo acme/web#12; echo acme/web#7")
    script(tmp_path, "fix-issue.sh", 'echo "fixing $COORDINATION_KEY"')
    command = ["bash", "-c", recipe("selector")]
    found = [
        subprocess.run(command, cwd=tmp_path, env=world.environment, capture_output=True, text=True, timeout=120)
        for _ in range(3)
    ]
    assert [done.stdout for done in found] == ["fixing github:acme/web#12\n", "fixing github:acme/web#7\n", ""]
    assert [done.returncode for done in found] == [0, 0, outcome.NOTHING_FREE]


def test_a_worker_goes_on_for_as_long_as_the_pool_has_work_for_it(world: World, tmp_path: Path) -> None:
    # What fails is not waited for, until it may be tried again.
    world.client.set_policy("task", max_attempts=1)
    for name in ("a", "b", "c"):
        world.client.submit("s-0", f"task:{name}", brief=f"do {name}")
    script(tmp_path, "work.sh", 'cat "$COORDINATION_BRIEF_FILE"; echo; test "$COORDINATION_KEY" != task:b')
    command = ["bash", "-c", recipe("pool")]
    done = subprocess.run(
        command, cwd=tmp_path, env=world.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "do a\ndo b\ndo c\n"
    assert "DENIED: nothing is free" in done.stderr
    states = [world.client.get(f"task:{name}").record.state.value for name in ("a", "b", "c")]
    assert states == ["completed", "abandoned", "completed"]


def test_its_exit_codes_are_those_of_the_code() -> None:
    codes = re.findall(r"^\| ([0-9, ]+)", PAGE.partition("## Exit codes")[2], re.MULTILINE)
    numbers = {int(number) for row in codes for number in row.replace(" ", "").split(",") if number}
    ours = (outcome.NOTHING_FREE, outcome.LOST, outcome.FAULT, program.CANNOT_EXECUTE, program.NOT_FOUND)
    assert {*ours} <= numbers
