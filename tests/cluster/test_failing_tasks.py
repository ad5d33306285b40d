"""What a coordinator does in the background and what fails over and over is shown everywhere, and fills no log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator import Client
from coordinator.store.embedded.binary import wheel_program
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.conftest import RunningCoordinator

PASSWORD = "correct-horse-battery"  # noqa: S105  # of a user that lives for one test
META, CLAIMS = "/coordination-meta/", "/coordination/"
_SECONDS = 60.0


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]


class Guarded:
    """An etcd with a user for the coordinator, whose rights can be taken away."""

    def __init__(self, cluster: EtcdCluster, password_file: Path) -> None:
        self.cluster = cluster
        self.password_file = password_file
        password_file.write_text(PASSWORD)
        password_file.chmod(0o600)
        self.etcdctl("user", "add", "root:root")
        self.etcdctl("user", "grant-role", "root", "root")
        self.etcdctl("role", "add", "coordination")
        self.etcdctl("user", "add", f"coordinator:{PASSWORD}")
        self.etcdctl("user", "grant-role", "coordinator", "coordination")
        # Which a coordinator reads as it starts.
        self.etcdctl("role", "grant-permission", "coordination", "read", "/coordination")
        for prefix in (META, CLAIMS):
            self.etcdctl("role", "grant-permission", "coordination", "--prefix=true", "readwrite", prefix)
        self.etcdctl("auth", "enable")

    def etcdctl(self, *arguments: str) -> None:
        program = wheel_program("etcdctl")
        assert program is not None
        command = [str(program), "--endpoints", self.cluster.etcd, *arguments]
        subprocess.run(command, env={"ETCDCTL_API": "3"}, check=True, capture_output=True, timeout=30)

    def revoke(self, prefix: str) -> None:
        self.etcdctl("--user", "root:root", "role", "revoke-permission", "coordination", "--prefix=true", prefix)

    def grant(self, prefix: str) -> None:
        user = ("--user", "root:root")
        self.etcdctl(*user, "role", "grant-permission", "coordination", "--prefix=true", "readwrite", prefix)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with run_cluster(tmp_path, 1, arguments=["--bcrypt-cost", "4"]) as cluster:
        yield Guarded(cluster, tmp_path / "password")


def coordination(coordinator: RunningCoordinator, *arguments: str) -> tuple[int, Any]:
    """Run a command with --json; returns its exit code and its answer."""
    command = [str(Path(sys.executable).with_name("coordination")), "--endpoint", coordinator.endpoint, "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    done = subprocess.run([*command, *arguments], env=kept, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def failing(coordinator: RunningCoordinator) -> set[str]:
    """Return which tasks fail by ``status``, which must say nothing else."""
    code, status = coordination(coordinator, "status")
    found = {task["name"] for task in status["tasks"] if task["failing"]}
    if found:
        assert (code, status["healthy"]) == (3, False)
    return found


def failing_by_metrics(coordinator: RunningCoordinator) -> set[str]:
    with urllib.request.urlopen(coordinator.metrics_url, timeout=10) as page:  # noqa: S310  # of this test
        text = page.read().decode()
    return {
        sample.labels["task"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "coordination_background_task_failing" and sample.value
    }


def await_failing(coordinator: RunningCoordinator, wanted: Callable[[set[str]], bool]) -> set[str]:
    """Wait until it is so by the metrics, which cost less to ask, and by ``status``."""
    end = time.monotonic() + _SECONDS
    while not (wanted(failing_by_metrics(coordinator)) and wanted(found := failing(coordinator))):
        assert time.monotonic() < end, f"failing: {failing_by_metrics(coordinator)}"
        time.sleep(0.2)
    return found


def found_by_doctor(coordinator: RunningCoordinator) -> set[str]:
    """Return the names of the tasks of which ``doctor`` says that they fail."""
    code, found = coordination(coordinator, "doctor")
    problems = [finding for finding in found["findings"] if finding["check"] == "tasks" and finding["severity"] != "ok"]
    if problems:
        assert code == 1
    return {finding["message"].split("the task ")[1].split()[0] for finding in problems}


@pytest.mark.long_but_for("its-own-keys")
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("prefixes", "some"),
    [
        pytest.param([META], {"signs-of-life"}, id="its-own-keys"),
        pytest.param([CLAIMS], {"reconciliation", "census"}, id="the-keys-of-claims"),
        pytest.param([META, CLAIMS], {"signs-of-life", "census"}, id="all-keys"),
    ],
)
def test_rights_that_are_taken_away_are_shown_and_once_given_back_all_is_well(
    guarded: Guarded, run_coordinator: RunCoordinator, tmp_path: Path, prefixes: list[str], some: set[str]
) -> None:
    environment = {
        "COORDINATION_ETCD_USER": "coordinator",
        "COORDINATION_ETCD_PASSWORD_FILE": str(guarded.password_file),
        "COORDINATION_REAPER": "yes",
        "COORDINATION_LOG_FILE": str(tmp_path / "log"),
    }
    with run_coordinator("serve", "--etcd", guarded.cluster.etcd, **environment) as coordinator:
        await_failing(coordinator, lambda found: not found)
        end = time.monotonic() + _SECONDS
        while "elected to reap" not in (tmp_path / "log").read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        for prefix in prefixes:
            guarded.revoke(prefix)
        shown = await_failing(coordinator, lambda found: bool(found & some))
        assert failing_by_metrics(coordinator) & shown
        assert found_by_doctor(coordinator) & shown
        before = time.monotonic(), (tmp_path / "log").read_text().count("background task")
        time.sleep(5)
        after = time.monotonic(), (tmp_path / "log").read_text().count("background task")
        assert after[1] - before[1] <= 5
        for prefix in prefixes:
            guarded.grant(prefix)
        await_failing(coordinator, lambda found: not found)
        assert not found_by_doctor(coordinator)
        assert not failing_by_metrics(coordinator)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_an_etcd_that_does_not_answer_is_reported_by_the_tasks_too_and_all_recover_by_themselves(
    run_coordinator: RunCoordinator, tmp_path: Path, how: str
) -> None:
    with run_cluster(tmp_path, 1) as cluster:
        (member,) = cluster.members
        environment = {"COORDINATION_REAPER": "yes", "COORDINATION_LOG_FILE": str(tmp_path / "log")}
        with run_coordinator("serve", "--etcd", cluster.etcd, **environment) as coordinator:
            await_failing(coordinator, lambda found: not found)
            member.stop() if how == "frozen" else member.kill()
            assert "lease-sweep" in await_failing(coordinator, lambda found: "lease-sweep" in found)
            assert (tmp_path / "log").read_text().count("background task") < 20
            member.go_on()
            cluster.await_all()
            await_failing(coordinator, lambda found: not found)


@pytest.mark.long_but_for("gone")
@pytest.mark.parametrize("broken", ["not TOML", "[[other]]", None], ids=["not-TOML", "another-table", "gone"])
def test_a_tokens_file_that_cannot_be_read_is_shown(
    etcd: Any, run_coordinator: RunCoordinator, tmp_path: Path, broken: str | None
) -> None:
    tokens, token = tmp_path / "tokens.toml", tmp_path / "token"
    command = [str(Path(sys.executable).with_name("coordination")), "token", "olga", "--tokens", str(tokens)]
    subprocess.run([*command, "--out", str(token), "--role", "operator"], check=True, capture_output=True, timeout=60)
    with (
        run_coordinator("serve", "--etcd", etcd.endpoint, "--tokens", str(tokens)) as coordinator,
        Client(coordinator.endpoint, token_file=token, timeout=60) as client,
    ):

        def read() -> set[str]:
            return {task.name for task in client.status().tasks if task.failing}

        text = tokens.read_text()
        assert not read()
        if broken is None:
            tokens.unlink()
        else:
            tokens.write_text(broken)
        end = time.monotonic() + _SECONDS
        while read() != {"credentials"}:
            assert time.monotonic() < end
            time.sleep(0.2)
        tokens.write_text(text)
        while read():
            assert time.monotonic() < end
            time.sleep(0.2)
