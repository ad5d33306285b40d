"""An outage of the coordinator that is shorter than the TTL costs nothing."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

from coordinator import Client
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd
from tests.freezing import freeze
from tests.run.running import World


@contextlib.contextmanager
def ending_in_an_outage(
    world: World, coordinator: RunningCoordinator, *arguments: str, env: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a command that says ``up`` and reads a word, and have it end once the coordinator has been stopped."""
    with world.start(*arguments, stdin=subprocess.PIPE, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        freeze(coordinator.process.pid)
        print("done", file=process.stdin, flush=True)
        yield process


def test_a_command_that_ends_while_no_coordinator_answers_is_completed_afterwards(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint) as coordinator:
        world = World(coordinator.endpoint, fleet)
        environment = world.environment | {"COORDINATION_TIMEOUT": "1"}
        arguments = ("--ttl", "10m", "task:a", "--", "sh", "-c", "echo up; read word; echo $word")
        with ending_in_an_outage(world, coordinator, *arguments, env=environment) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "done\n"
            assert process.stderr.readline().startswith(
                "notice: the command has succeeded, and its completion is tried"
            )
            coordinator.process.send_signal(signal.SIGCONT)
            assert process.wait(120) == 0
        with world.client, Client(coordinator.endpoint, fleet=fleet, timeout=30) as client:
            assert client.get("task:a").record.state.value == "completed"


def test_what_to_type_to_complete_it_later_can_be_typed(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
) -> None:
    """A key may come from a list that others have written."""
    with run_coordinator("serve", "--etcd", etcd.endpoint) as coordinator:
        world = World(coordinator.endpoint, fleet)
        environment = world.environment | {"COORDINATION_TIMEOUT": "1", "COORDINATION_FLEET": "elsewhere"}
        arguments = ("--fleet", fleet, "note:it's; touch oops", "--", "sh", "-c", "echo up; read word")
        with ending_in_an_outage(world, coordinator, *arguments, env=environment) as process:
            assert process.stderr is not None
            assert "its completion is tried" in process.stderr.readline()
            process.terminate()
            assert process.wait(120) == 125
            hint = process.stderr.read().splitlines()[-1]
            coordinator.process.send_signal(signal.SIGCONT)
        _, _, typed = hint.partition("claims it: ")
        done = subprocess.run(["sh", "-c", typed], env=world.environment | environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, 'completed "note:it\'s; touch oops"\n')
        world.client.close()
