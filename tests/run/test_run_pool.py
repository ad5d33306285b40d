"""``run --next``: work of the pool, its brief, and what counts as a failure of the work."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from coordinator.model import PoolState, PoolWork
from tests.run.running import SHORT, World
from tests.run.watchdog_running import await_end

_SHOW = """
import json, os, stat
path = os.environ["COORDINATION_BRIEF_FILE"]
print(json.dumps([os.environ["COORDINATION_KEY"], path, stat.S_IMODE(os.stat(path).st_mode), open(path).read()]))
"""


def work_of(world: World, key: str) -> PoolWork:
    found = world.client.get(key).work
    assert found is not None
    return found


def test_the_best_of_the_pool_is_run_with_its_brief_in_a_private_file(world: World, tmp_path: Path) -> None:
    world.client.submit("s-0", "task:later", brief="not yet")
    world.client.submit("s-0", "task:first", priority=5, brief="fünf\n lines")
    world.client.submit("s-0", "blog:other", priority=9)
    done = world.run("--next", "--kind", "task", *world.python(_SHOW), env={"TMPDIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    key, path, mode, brief = json.loads(done.stdout)
    assert (key, mode, brief) == ("task:first", 0o600, "fünf\n lines")
    assert (Path(path).parent, list(tmp_path.iterdir())) == (tmp_path, [])
    assert work_of(world, "task:first").state is PoolState.COMPLETED


def test_work_without_a_brief_has_no_file_not_even_an_outer_one(world: World) -> None:
    world.client.submit("s-0", "task:a")
    done = world.run(
        "--next", "--", "sh", "-c", "echo ${COORDINATION_BRIEF_FILE-none}", env={"COORDINATION_BRIEF_FILE": "outer"}
    )
    assert done.stdout == "none\n"


def test_where_the_pool_is_empty_nothing_can_be_had(world: World) -> None:
    done = world.run("--next", "--", "touch", "/not/to/be/run")
    assert (done.returncode, done.stderr) == (75, "DENIED: nothing is free: the pool is empty\n")


@pytest.mark.parametrize(
    ("program", "reason"), [("exit 3", "exit 3"), ("kill -KILL $$", "signal SIGKILL")], ids=["exit", "signal"]
)
def test_a_command_that_fails_is_a_failure_of_the_work(program: str, reason: str, world: World) -> None:
    world.client.submit("s-0", "task:a")
    world.run("--next", "--", "sh", "-c", program)
    found = work_of(world, "task:a")
    assert (found.failure_count, [failure.reason for failure in found.failures]) == (1, [reason])
    # By name it is had at once; what fails three times is handed out no more.
    for _ in range(2):
        world.run("task:a", "--", "sh", "-c", program)
    assert (work_of(world, "task:a").state, work_of(world, "task:a").failure_count) == (PoolState.FAILED, 3)


def test_a_command_that_was_asked_to_end_is_no_failure_of_the_work(world: World) -> None:
    """A worker that is stopped and started again must not use up the attempts of what it works on."""
    world.client.submit("s-0", "task:a")
    running = world.start("--next", "--", "sh", "-c", "echo begun; exec sleep 600")
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 128 + signal.SIGTERM
    running.communicate()
    assert (work_of(world, "task:a").failure_count, world.client.get("task:a").record.reason) == (0, "signal SIGTERM")


def test_the_brief_is_gone_although_run_was_killed(world: World, tmp_path: Path) -> None:
    world.client.submit("s-0", "task:a", brief="a secret")
    environment = world.environment | {"TMPDIR": str(tmp_path)}
    program = "cat $COORDINATION_BRIEF_FILE; echo; echo $PPID; exec sleep 600"
    running = world.start(*SHORT, "--next", "--", "sh", "-c", program, env=environment)
    assert running.stdout is not None
    assert (running.stdout.readline(), len(list(tmp_path.iterdir()))) == ("a secret\n", 1)
    watchdog = int(running.stdout.readline())
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    await_end([watchdog])
    assert list(tmp_path.iterdir()) == []


def test_where_the_brief_cannot_be_written_nothing_is_run_and_the_work_is_free(world: World) -> None:
    world.client.submit("s-0", "task:a", brief="long")
    done = world.run("--next", "--", "touch", "/not/to/be/run", before=("bash", "-c", 'ulimit -f 0; exec "$@"', "-"))
    assert done.returncode == 125
    said = "error: the brief of the work cannot be written to a file: no temporary directory can be written to; nothing"
    assert done.stderr.startswith(said)
    assert (world.client.get("task:a").claim, work_of(world, "task:a").failure_count) == (None, 0)
