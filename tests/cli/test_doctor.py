"""``doctor`` shows what is wrong and what to do about it, and exits with 1 where there is a problem."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from coordinator import __version__
from coordinator.security.ca import Made, make_certificates
from coordinator.store.diagnosis.versions import known_faults
from coordinator.store.embedded import find_etcd
from coordinator.store.embedded.binary import wheel_program
from tests.cli.json_page import check, tables
from tests.conftest import COMMAND, Coordination, RunCoordinator, RunEtcd, RunningCoordinator, RunningEtcd

FINDING = tables("doctor")[0]["findings[]"]


def findings(done: subprocess.CompletedProcess[str], code: int) -> dict[str, list[dict[str, Any]]]:
    """Read what ``--json`` says, see that it is what docs/json.md promises, and return the findings by check."""
    assert done.returncode == code, done
    assert done.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found.pop("schema"), found["healthy"]) == ("v1", code == 0)
    assert isinstance(found.pop("fleet"), str)
    check(found, {"healthy": "boolean", "findings": [FINDING]})
    by_check: dict[str, list[dict[str, Any]]] = {}
    for finding in found["findings"]:
        assert (finding["advice"] is None) == (finding["severity"] == "ok"), finding
        by_check.setdefault(finding["check"], []).append(finding)
    return by_check


def at_once(coordination: Coordination, *commands: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Run commands that wait for what does not answer, all at the same time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda command: coordination(*command), commands))


def severities(found: dict[str, list[dict[str, Any]]], name: str) -> set[str]:
    return {finding["severity"] for finding in found[name]}


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where no program listens, and none can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def web_server() -> Iterator[str]:
    """The address of a server of web pages."""

    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_well_is_said_to_be(coordination: Coordination, coordinator: RunningCoordinator) -> None:
    found = findings(coordination("doctor", "--json"), 0)

    for name in (
        "coordinator",
        "coordinator-tls",
        "clock",
        "etcd-reachable",
        "etcd-quorum",
        "etcd-members",
        "etcd-alarm",
        "etcd-space",
        "etcd-compaction",
        "etcd-tls",
    ):
        assert severities(found, name) == {"ok"}, found[name]
    assert found["coordinator"][0]["subject"] == coordinator.endpoint
    assert __version__ in found["coordinator"][0]["message"]
    assert found["etcd-reachable"][0]["subject"] == coordinator.etcd
    assert abs(found["clock"][0]["value"]) < 2
    # How long it takes is not ours to promise here.
    latency = found["etcd-latency"][0]
    assert (latency["unit"], 0 < latency["value"] < 10) == ("seconds", True)
    assert re.search(r"a transaction takes [0-9.]+ ms \(median of 10\), [0-9.]+ ms at most", latency["message"])


def test_the_faults_of_its_version_are_listed(coordination: Coordination) -> None:
    version = find_etcd().version
    found = findings(coordination("doctor", "--json"), 0)["etcd-version"]
    faults = known_faults(version)
    assert [finding["message"] for finding in found if finding["severity"] == "warning"] == [
        f"etcd {version} {fault}" for fault in faults
    ]
    assert bool(faults) == any("3.5.33" in (finding["advice"] or "") for finding in found)


def test_the_wheels_etcd_can_lose_data(coordination: Coordination, run_etcd: RunEtcd, tmp_path: Path) -> None:
    program = wheel_program("etcd")
    assert program is not None
    with own_etcd(program, tmp_path) as endpoint:
        found = findings(coordination("doctor", "--etcd", endpoint, "--json"), 0)
    assert "etcd 3.5.1 can lose data in a crash under load" in [each["message"] for each in found["etcd-version"]]
    assert found["etcd-space"][0]["message"].endswith(
        "of 2.0 GiB (etcd's default); etcd before 3.6 does not report its quota"
    )
    assert {"coordinator", "clock"}.isdisjoint(found)


@contextlib.contextmanager
def own_etcd(program: Path, directory: Path, made: Made | None = None) -> Iterator[str]:
    """Run a bare etcd, as an operator would, and yield where it serves; with certificates it speaks TLS."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", 0))
        client, peer = (f"http://127.0.0.1:{free.getsockname()[1]}" for free in (one, other))
        client = client if made is None else client.replace("http", "https")
        command = [str(program), "--data-dir", str(directory), "--log-outputs", os.devnull]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        if made is not None:
            command += ["--cert-file", str(made.server_cert), "--key-file", str(made.server_key)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                etcdctl = [str(program.with_name("etcdctl")), "--endpoints", client, "endpoint", "health"]
                etcdctl += [] if made is None else ["--cacert", str(made.ca)]
                etcdctl += ["--command-timeout", "30s", "--dial-timeout", "30s"]
                subprocess.run(etcdctl, env=os.environ | {"ETCDCTL_API": "3"}, check=True, capture_output=True)
                yield client.partition("://")[2]
            finally:
                process.terminate()


def test_text_has_a_line_for_each_finding_advice_and_a_summary(coordination: Coordination, refusing: str) -> None:
    done = coordination("doctor")
    *lines, summary = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"(\d+ warnings?, )?\d+ in order", summary)
    for line in lines:
        assert re.match(r"(ok  |warn)  [a-z-]+ +\S| +→ \S", line), line
    assert "\x1b" not in done.stdout

    done = coordination("doctor", "--endpoint", refusing)
    first, second, *_, summary = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert re.fullmatch(
        rf"FAIL  coordinator +no coordinator answers at {re.escape(refusing)}: the connection is .*", first
    )
    assert re.fullmatch(r" +→ start one with `coordination up`, .*", second)
    assert summary.startswith("1 problem, ")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_only_a_terminal_gets_colours(no_color: str, coloured: bool, refusing: str) -> None:
    reading, writing = pty.openpty()
    try:
        command = [COMMAND, "doctor", "--endpoint", refusing]
        environment = os.environ | {"NO_COLOR": no_color}
        done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60)
        shown = os.read(reading, 65536).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 1
    assert ("\x1b[31mFAIL\x1b[0m  coordinator" in shown, "\x1b" in shown) == (coloured, coloured)


def test_an_absent_coordinator_is_a_problem(coordination: Coordination, refusing: str) -> None:
    found = findings(coordination("doctor", "--endpoint", refusing, "--json"), 1)
    assert severities(found, "coordinator") == {"problem"}
    assert found["coordinator"][0]["message"] == (
        f"no coordinator answers at {refusing}: the connection is refused, so nothing listens there"
    )


def test_each_of_several_coordinators_is_examined(
    coordination: Coordination, coordinator: RunningCoordinator, run_coordinator: RunCoordinator, refusing: str
) -> None:
    with run_coordinator("serve", "--etcd", coordinator.etcd) as other:
        there = ",".join((coordinator.endpoint, refusing, other.endpoint))
        found = findings(coordination("doctor", "--endpoint", there, "--json"), 1)
    assert [(finding["subject"], finding["severity"]) for finding in found["coordinator"]] == [
        (coordinator.endpoint, "ok"),
        (refusing, "problem"),
        (other.endpoint, "ok"),
    ]
    # Their store is one, and is judged once; their clocks are compared.
    assert len(found["etcd-quorum"]) == 1
    assert "the coordinators' clocks agree" in found["clock"][-1]["message"]


@pytest.mark.long_but_for("19")
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_store_without_a_quorum_is_a_problem(
    how: signal.Signals,
    coordination: Coordination,
    run_etcd: RunEtcd,
    run_coordinator: RunCoordinator,
    tmp_path: Path,
) -> None:
    with run_etcd(tmp_path) as etcd, run_coordinator("serve", "--etcd", etcd.endpoint) as running:
        os.kill(etcd.pid, how)
        try:
            reported, direct = at_once(
                coordination,
                ("doctor", "--endpoint", running.endpoint, "--json"),
                ("doctor", "--etcd", etcd.endpoint, "--json"),
            )
            hasty = coordination("doctor", "--endpoint", running.endpoint, "--json", "--timeout", "1")
        finally:
            # One that was killed is a zombie at most: its parent waits for it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(etcd.pid, signal.SIGCONT)
    for done in (reported, direct, hasty):
        found = findings(done, 1)
        assert severities(found, "etcd-reachable") == severities(found, "etcd-quorum") == {"problem"}
        assert found["etcd-reachable"][0]["message"] == f"the member at {etcd.endpoint} does not answer"
        assert "etcd-latency" not in found
    assert severities(findings(reported, 1), "coordinator") == {"ok"}


def test_a_full_etcd_is_a_problem(coordination: Coordination, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    with run_coordinator("up", "--data-dir", str(tmp_path), "--etcd-quota-bytes", str(16 * 1024**2)) as running:
        fill(running.etcd)
        found = findings(coordination("doctor", "--endpoint", running.endpoint, "--json"), 1)
        status = json.loads(coordination("status", "--endpoint", running.endpoint, "--json").stdout)
    assert severities(found, "etcd-alarm") == {"problem"}
    assert "NOSPACE" in found["etcd-alarm"][0]["message"]
    assert "alarm disarm" in found["etcd-alarm"][0]["advice"]
    assert severities(found, "etcd-space") == {"warning"}
    assert found["etcd-space"][0]["value"] > 0.8
    assert any("NOSPACE" in warning for warning in status["etcd"]["warnings"])


def fill(endpoint: str) -> None:
    """Write into an etcd until it takes no more."""
    program = find_etcd().path.with_name("etcdctl")
    for number in range(100):
        command = [str(program), "--endpoints", endpoint, "put", f"/elsewhere/{number}"]
        environment = os.environ | {"ETCDCTL_API": "3"}
        done = subprocess.run(command, env=environment, input=b"x" * 1024**2, capture_output=True, timeout=30)
        if done.returncode:
            assert b"space exceeded" in done.stderr, done
            return
    raise AssertionError("etcd was never full")


def test_an_examination_leaves_nothing_behind(coordination: Coordination, run_etcd: RunEtcd, tmp_path: Path) -> None:
    with run_etcd(tmp_path) as etcd:
        for _ in range(2):
            found = findings(coordination("doctor", "--etcd", etcd.endpoint, "--json"), 0)
    assert found["etcd-compaction"][0]["value"] == 1  # the revision of an etcd into which nothing was ever written


def test_a_compaction_is_found(coordination: Coordination, run_etcd: RunEtcd, tmp_path: Path) -> None:
    with run_etcd(tmp_path) as etcd:
        program = str(find_etcd().path.with_name("etcdctl"))
        for arguments in (*(("put", "/elsewhere", str(number)) for number in range(8)), ("compact", "5")):
            command = [program, "--endpoints", etcd.endpoint, *arguments]
            subprocess.run(command, env=os.environ | {"ETCDCTL_API": "3"}, check=True, capture_output=True)
        found = findings(coordination("doctor", "--etcd", etcd.endpoint, "--json"), 0)
    assert found["etcd-compaction"][0]["message"] == "4 revisions are kept since the compaction at revision 5"


def test_other_programs_are_recognised(
    coordination: Coordination, coordinator: RunningCoordinator, etcd: RunningEtcd, web_server: str
) -> None:
    for other in (web_server, etcd.endpoint):
        said = f"what answers at {other} is not a coordinator"
        examined, *refused = at_once(
            coordination,
            ("doctor", "--endpoint", other, "--json"),
            ("work-list", "--endpoint", other),
            ("work-claim", "session-1", "task:x", "--endpoint", other),
        )
        assert findings(examined, 1)["coordinator"][0]["message"] == said
        for done in refused:
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr.startswith(f"error: {said}\nhint: name the address that a coordinator's ready line")

    for other in (web_server, coordinator.endpoint):
        said = f"what answers at {other} is not etcd"
        examined, served = at_once(
            coordination,
            ("doctor", "--etcd", other, "--json"),
            ("serve", "--etcd", other, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
        )
        assert said in findings(examined, 1)["etcd-quorum"][0]["message"]
        assert (served.returncode, served.stdout) == (3, "")
        assert f"error: {said}\n" in served.stderr


def test_certificates_are_looked_at(
    coordination: Coordination, etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path / "certificates", clients=["me"], days=20)
    tls = ("--tls-cert", str(made.server_cert), "--tls-key", str(made.server_key))
    cert, key = made.clients["me"]
    shown = ("--ca", str(made.ca), "--cert", str(cert), "--key", str(key))
    with run_coordinator("serve", "--etcd", etcd.endpoint, *tls) as running:
        found = findings(coordination("doctor", "--endpoint", running.endpoint, "--json", *shown), 0)
        plain = findings(coordination("doctor", "--endpoint", running.endpoint, "--json"), 1)

    assert "coordinator-tls" not in plain, "there is no connection of which that could be said"
    assert severities(plain, "coordinator") == {"problem"}
    assert severities(found, "coordinator-tls") == {"ok"}
    assert "encrypted" in found["coordinator-tls"][0]["message"]
    assert [(finding["subject"], finding["severity"]) for finding in found["certificate"]] == [
        (running.endpoint, "warning"),
        (None, "warning"),
    ]
    assert all(19 < finding["value"] <= 20 for finding in found["certificate"])
    assert "coordination certs" in found["certificate"][0]["advice"]
    assert "may require TLS" in plain["coordinator"][0]["message"]


def test_etcds_certificate_is_looked_at(
    coordination: Coordination, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path / "certificates", days=30)
    with own_etcd(find_etcd().path, tmp_path / "etcd", made) as endpoint:
        how = ("--etcd", endpoint, "--etcd-ca", str(made.ca))
        direct = findings(coordination("doctor", *how, "--json"), 0)
        plain = findings(coordination("doctor", *how[:2], "--json"), 1)
        with run_coordinator("serve", *how) as running:
            reported = findings(coordination("doctor", "--endpoint", running.endpoint, "--json"), 0)
    for found in (direct, reported):
        assert found["etcd-tls"][0]["message"] == "connections to etcd are encrypted"
        assert (found["etcd-certificate"][0]["subject"], severities(found, "etcd-certificate")) == (endpoint, {"ok"})
        assert 29 < found["etcd-certificate"][0]["value"] <= 30
    assert severities(plain, "etcd-reachable") == {"problem"}


@pytest.mark.long_but_for("http://127.0.0.1:2379", "")
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:2379", "::1", "nowhere", ""])
def test_what_is_no_address_is_invalid_input(endpoint: str, coordination: Coordination) -> None:
    done = coordination("doctor", "--etcd", endpoint, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["field"] == "etcd"


def test_an_examination_loads_the_servers_side_only_for_etcd(coordinator: RunningCoordinator) -> None:
    code = (
        "import sys, os; from coordinator.cli import main; from coordinator.cli import entry\n"
        "def ended(code):\n"
        "    sides = ('coordinator.server', 'coordinator.service', 'coordinator.store')\n"
        "    print(sorted(name for name in sys.modules if name.startswith(sides)))\n"
        "    sys.stdout.flush(); os.kill(os.getpid(), 9)\n"
        "os._exit = ended; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--endpoint", coordinator.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]"
