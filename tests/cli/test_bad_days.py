"""No coordinator, no store, no reader: the command ends in time, says why, and never hangs or throws."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND, Coordination, RunCoordinator, RunEtcd, RunningCoordinator

CLAIM = ("work-claim", "session-1", "task:x")
READ = ("work-show", "task:x")
#: To start, to wait for its timeout of one second and to end, on a machine that is busy with other work. A command that
#: does not keep to its option keeps to the environment's, and takes twice as long.
ENOUGH_SECONDS, TOO_LONG_SECONDS = 25.0, 50.0
HOW_ETCD_FAILS = {signal.SIGSTOP: "did not answer in time", signal.SIGKILL: "cannot be reached"}


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where no program listens, and none can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[tuple[str, socket.socket]]:
    """An address that takes connections and never says anything, and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        yield f"127.0.0.1:{listening.getsockname()[1]}", listening


def timed(coordination: Coordination, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a timeout of one second, and see that it keeps to it."""
    started = time.monotonic()
    done = coordination(*arguments, "--timeout", "1", **environment, COORDINATION_TIMEOUT=f"{TOO_LONG_SECONDS:g}")
    assert time.monotonic() - started < ENOUGH_SECONDS
    assert "Traceback" not in done.stderr
    return done


def error_in(done: subprocess.CompletedProcess[str], fleet: str) -> dict[str, Any]:
    assert done.stdout.count("\n") == 1, done.stdout
    found = json.loads(done.stdout)
    assert (found["schema"], found["fleet"]) == ("v1", fleet)
    error: dict[str, Any] = found["error"]
    return error


@pytest.mark.long_but_for("arguments0", "arguments4")
@pytest.mark.parametrize("arguments", [CLAIM, READ, ("work-list",), ("work-reap",), ("status",)])
def test_an_absent_coordinator_is_named(
    arguments: tuple[str, ...], coordination: Coordination, refusing: str, fleet: str
) -> None:
    done = timed(coordination, *arguments, COORDINATION_ENDPOINT=refusing)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: no coordinator answers at {refusing}: the connection is refused, so nothing listens there\n"
        "hint: start one with `coordination up`, or say where it is with --endpoint or COORDINATION_ENDPOINT\n"
    )

    done = timed(coordination, *arguments, "--json", COORDINATION_ENDPOINT=refusing)
    assert done.returncode == 3
    assert error_in(done, fleet)["code"] == "UNAVAILABLE"


@pytest.mark.long_but_for("arguments0")
@pytest.mark.parametrize("arguments", [CLAIM, READ, ("work-list",), ("work-reap",), ("status",)])
def test_an_address_that_never_answers_is_named(
    arguments: tuple[str, ...], coordination: Coordination, silent: tuple[str, socket.socket], fleet: str
) -> None:
    done = timed(coordination, *arguments, "--json", COORDINATION_ENDPOINT=silent[0])
    assert done.returncode == 3
    error = error_in(done, fleet)
    # Which of the two comes first, gRPC giving the connection up or the time being over, is chance.
    assert error["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert silent[0] in error["message"]
    assert error["hint"]


def test_another_endpoint_answers_for_a_dead_one(
    coordination: Coordination, coordinator: RunningCoordinator, refusing: str, silent: tuple[str, socket.socket]
) -> None:
    for dead in (refusing, silent[0]):
        done = timed(coordination, *CLAIM, COORDINATION_ENDPOINT=f"{dead},{coordinator.endpoint}")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long_but_for("19")
@pytest.mark.parametrize("how", HOW_ETCD_FAILS)
def test_a_store_that_is_gone_is_named(
    how: signal.Signals,
    coordination: Coordination,
    run_etcd: RunEtcd,
    run_coordinator: RunCoordinator,
    tmp_path: Path,
    fleet: str,
) -> None:
    with run_etcd(tmp_path) as etcd, run_coordinator("serve", "--etcd", etcd.endpoint) as running:
        there = {"COORDINATION_ENDPOINT": running.endpoint}
        assert coordination("work-claim", "session-1", "task:earlier", **there).returncode == 0
        os.kill(etcd.pid, how)
        try:
            read = timed(coordination, *READ, **there)
            claim = timed(coordination, *CLAIM, "--json", **there)
            status = timed(coordination, "status", "--json", **there)
        finally:
            # One that was killed is a zombie at most: its parent waits for it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(etcd.pid, signal.SIGCONT)

        assert (read.returncode, read.stdout) == (3, "")
        assert read.stderr.startswith("error: ")
        assert f"etcd at {etcd.endpoint} {HOW_ETCD_FAILS[how]}" in read.stderr
        assert claim.returncode == 3
        error = error_in(claim, fleet)
        assert error["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        assert "etcd" in error["message"]
        assert status.returncode == 3
        assert json.loads(status.stdout)["healthy"] is False
        assert json.loads(status.stdout)["live_claims"] is None
        if how is signal.SIGSTOP:
            see_that_all_is_well(coordination, str(error["request_id"]), there)


def see_that_all_is_well(coordination: Coordination, request_id: str, there: dict[str, str]) -> None:
    """The store is back: what was claimed is held, and what was in doubt takes effect once."""
    held = coordination("work-claim", "session-2", "task:earlier", **there)
    assert (held.returncode, held.stderr.startswith("hint: ")) == (1, True)
    for _ in range(2):
        done = coordination(*CLAIM, "--request-id", request_id, "--json", **there)
        assert (done.returncode, json.loads(done.stdout)["claim"]["attempt"]) == (0, 1)


@pytest.mark.long_but_for("arguments0-0-", "arguments2-0-1", "arguments3-1-1", "arguments5-1-", "arguments6-2-")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("work-list",), 0),
        (("work-list", "--json"), 0),
        (("--help",), 0),
        (READ, 1),
        (("work-show", "spelt so"), 1),
        (("work-show", "spelt so", "--json"), 1),
        (("work-list", "--limit", "0"), 2),
        (("work-list", "--limit", "0", "--json"), 2),
    ],
)
def test_a_closed_pipe_is_quiet_and_changes_no_exit_code(
    arguments: tuple[str, ...], code: int, unbuffered: str, coordinator: RunningCoordinator, fleet: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {
        "PYTHONUNBUFFERED": unbuffered,
        "COORDINATION_ENDPOINT": coordinator.endpoint,
        "COORDINATION_FLEET": fleet,
    }
    try:
        answers = subprocess.run(
            [COMMAND, *arguments], env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
        )
        all_of_it = subprocess.run(
            [COMMAND, *arguments], env=environment, stdout=writing, stderr=subprocess.STDOUT, timeout=60
        )
    finally:
        os.close(writing)
    assert (answers.returncode, all_of_it.returncode) == (code, code)
    assert "Traceback" not in answers.stderr
    assert "Error" not in answers.stderr


def test_an_answer_that_cannot_be_written_is_no_success(coordinator: RunningCoordinator, fleet: str) -> None:
    command = [COMMAND, "work-list", "--endpoint", coordinator.endpoint, "--fleet", fleet]
    for more in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([*command, *more], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 74
        assert done.stderr.startswith("error: the answer could not be written: No space left on device\n")
        assert done.stderr.count("error: ") == 1
        assert "Traceback" not in done.stderr


def test_closed_streams_change_no_exit_code(coordinator: RunningCoordinator, fleet: str) -> None:
    command = f"{COMMAND} work-show task:x --endpoint {coordinator.endpoint} --fleet {fleet}"
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        done = subprocess.run(["bash", "-c", f"{command} {closed}"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (1, ""), closed


def test_an_interrupted_command_ends_at_once_with_130(silent: tuple[str, socket.socket]) -> None:
    endpoint, listening = silent
    command = [COMMAND, *READ, "--endpoint", endpoint, "--timeout", "60", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        connection, _ = listening.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=10)
    assert (process.returncode, said, complained.strip()) == (130, "", "")
