"""A signal while a request is under way: its outcome is unknown, and the command says what to type to learn it (20)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import COMMAND, RunCoordinator, RunEtcd, RunningCoordinator, RunningEtcd
from tests.loaded_command import without_new

SECONDS = 30.0
UNKNOWN = "error: a signal ended the command before an answer came: the outcome of the request is unknown\n"
CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
#: Commands that change something, as far as the key, and what is named to repeat them.
CHANGES = {
    "work-claim": ("work-claim", "session-1", "task:x"),
    "work-renew": ("work-renew", "session-1", "task:x"),
    "work-complete": ("work-complete", "session-1", "task:x"),
    "work-abandon": ("work-abandon", "session-1", "task:x"),
    "work-revoke": ("work-revoke", "task:x", "--now", "--reason", "stuck"),
    "work-ack": ("work-ack", "task:x", "--reason", "known"),
}
READS = (("work-show", "task:x"), ("work-list",), ("briefing",), ("status",), ("work-watch",), ("top", "--json"))


@pytest.fixture(scope="module")
def own_etcd(run_etcd: RunEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEtcd]:
    with run_etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(scope="module")
def own(own_etcd: RunningEtcd, run_coordinator: RunCoordinator) -> Iterator[RunningCoordinator]:
    with run_coordinator("serve", "--etcd", own_etcd.endpoint) as running:
        yield running


@pytest.fixture
def hanging(own_etcd: RunningEtcd) -> Iterator[None]:
    """Stop etcd for as long as the test runs."""
    os.kill(own_etcd.pid, signal.SIGSTOP)
    yield
    os.kill(own_etcd.pid, signal.SIGCONT)


def interrupted(number: signal.Signals, endpoint: str, fleet: str, *arguments: str) -> tuple[int, str, str]:
    """Run a command, and end it by a signal once it waits for its answer; return its code, answer and complaints."""
    command = [COMMAND, *arguments, "--endpoint", endpoint, "--fleet", fleet, "--timeout", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        await_connection(process, endpoint)
        process.send_signal(number)
        said, complained = process.communicate(timeout=SECONDS)
    return process.returncode, said, complained


def await_connection(process: subprocess.Popen[str], endpoint: str) -> None:
    """Wait until a process is connected to an address."""
    port = f"{int(endpoint.rpartition(':')[2]):04X}"
    while process.poll() is None:
        time.sleep(0.02)
        sockets = set()
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                sockets.add(str(descriptor.readlink()))
        connections = "".join(Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6"))
        for fields in map(str.split, connections.splitlines()):
            if fields[2].endswith(f":{port}") and fields[3] == "01" and f"socket:[{fields[9]}]" in sockets:
                return
    pytest.fail(f"the command ended before: {process.communicate()}")


def repeated(
    own_etcd: RunningEtcd, own: RunningCoordinator, fleet: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Let etcd go on, and give the command again."""
    os.kill(own_etcd.pid, signal.SIGCONT)
    command = [COMMAND, *arguments, "--endpoint", own.endpoint, "--fleet", fleet, "--timeout", "30"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.long_but_for("work-claim-2", "work-renew-15", "work-complete-15", "work-revoke-2")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("hanging")
def test_a_change_says_that_its_outcome_is_unknown(
    change: str, number: signal.Signals, own: RunningCoordinator, fleet: str
) -> None:
    code, said, complained = interrupted(number, own.endpoint, fleet, *CHANGES[change])
    assert (code, said) == (CODES[number], "")
    assert complained.startswith(UNKNOWN)
    assert re.search(r"^hint: send it again with the request id [0-9a-f]{32} \(--request-id ", complained, re.MULTILINE)


@pytest.mark.usefixtures("hanging")
def test_with_json_it_is_one_object_in_a_pipe_too(own: RunningCoordinator, fleet: str) -> None:
    for number, code in CODES.items():
        for arguments in (CHANGES["work-claim"], CHANGES["work-complete"]):
            found = interrupted(number, own.endpoint, fleet, *arguments, "--json")
            assert (found[0], found[1].count("\n"), found[2]) == (code, 1, "")
            error = json.loads(found[1])["error"]
            assert (error["code"], len(error["request_id"])) == ("DEADLINE_EXCEEDED", 32)


@pytest.mark.usefixtures("hanging")
def test_given_again_with_its_id_it_takes_effect_once(
    own_etcd: RunningEtcd, own: RunningCoordinator, fleet: str
) -> None:
    claim = CHANGES["work-claim"]
    _, said, _ = interrupted(signal.SIGINT, own.endpoint, fleet, *claim, "--json")
    request_id = json.loads(said)["error"]["request_id"]
    for _ in range(2):
        done = repeated(own_etcd, own, fleet, *claim, "--request-id", request_id, "--json")
        assert (done.returncode, json.loads(done.stdout)["claim"]["attempt"]) == (0, 1), done


@pytest.mark.usefixtures("hanging")
def test_an_id_that_was_given_is_the_one_that_is_named(own: RunningCoordinator, fleet: str) -> None:
    _, _, complained = interrupted(signal.SIGINT, own.endpoint, fleet, *CHANGES["work-claim"], "--request-id", "mine-1")
    assert "with the request id mine-1 " in complained


@pytest.mark.usefixtures("hanging")
def test_what_has_no_id_is_simply_given_again(own: RunningCoordinator, fleet: str) -> None:
    code, said, complained = interrupted(signal.SIGINT, own.endpoint, fleet, "work-reap")
    assert (code, said) == (130, "")
    assert complained == f"{UNKNOWN}hint: run the same command again: it takes effect at most once\n"


@pytest.mark.long_but_for("arguments0-2", "arguments1-15", "arguments4-2")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("arguments", READS)
@pytest.mark.usefixtures("hanging")
def test_what_only_reads_says_nothing(
    arguments: tuple[str, ...], number: signal.Signals, own: RunningCoordinator, fleet: str
) -> None:
    assert interrupted(number, own.endpoint, fleet, *arguments) == (CODES[number], "", "")


@pytest.mark.long_but_for("before-2", "after-15")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_where_no_request_is_under_way_nothing_is_said(
    moment: str, number: signal.Signals, own: RunningCoordinator, fleet: str
) -> None:
    """Before a request nothing has happened, and after it the answer says what has."""
    stop = f"lambda *_, **__: os.kill(os.getpid(), {int(number)}) or time.sleep(30)"
    quick, full = ("Call.ask", "Context.client") if moment == "before" else ("write", "answer")
    code = (
        "import os, time\nfrom coordinator.cli import context, main\nfrom coordinator.cli.quick import command\n"
        "from coordinator.cli.work import claims\n"
        f"command.{quick} = {stop}\n{'context' if moment == 'before' else 'claims'}.{full} = {stop}\nmain()"
    )
    command = [sys.executable, "-c", code, *CHANGES["work-claim"], "--endpoint", own.endpoint, "--fleet", fleet]
    for way in ("on", "off"):
        environment = os.environ | {"COORDINATION_QUICK": way}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        assert (done.returncode, done.stdout, without_new(done.stderr)) == (CODES[number], "", "")


def test_an_interrupted_backup_leaves_no_file(own_etcd: RunningEtcd, fleet: str, tmp_path: Path) -> None:
    os.kill(own_etcd.pid, signal.SIGSTOP)
    try:
        command = [COMMAND, "backup", str(tmp_path / "backup"), "--etcd", own_etcd.endpoint, "--timeout", "60"]
        for number, code in CODES.items():
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                await_connection(process, own_etcd.endpoint)
                process.send_signal(number)
                said = process.communicate(timeout=SECONDS)
            assert (process.returncode, *said) == (code, "", "")
            assert list(tmp_path.iterdir()) == []
    finally:
        os.kill(own_etcd.pid, signal.SIGCONT)
