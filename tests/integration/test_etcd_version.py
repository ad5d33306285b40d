"""The tests say something about the etcd that was chosen for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from coordinator.store.embedded.binary import ETCD_VARIABLE, wheel_program
from tests.conftest import Coordination, Etcdctl, RunCoordinator

CHOSEN = os.environ.get(ETCD_VARIABLE) or str(wheel_program("etcd"))


def version_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"^etcd(?:ctl)? [Vv]ersion: (\S+)", done.stdout, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_shared_etcd_is_the_chosen_one(etcdctl: Etcdctl, coordination: Coordination) -> None:
    (status,) = json.loads(etcdctl("endpoint", "status", "-w", "json"))
    assert status["Status"]["version"] == version_of(CHOSEN, "--version")
    assert json.loads(coordination("status", "--json").stdout)["etcd"]["version"] == version_of(CHOSEN, "--version")


def test_so_is_one_that_a_coordinator_runs(
    run_coordinator: RunCoordinator, coordination: Coordination, tmp_path: Path
) -> None:
    with run_coordinator("up", "--data-dir", str(tmp_path / "data")) as running:
        status = json.loads(coordination("status", "--json", COORDINATION_ENDPOINT=running.endpoint).stdout)
    assert status["etcd"]["version"] == version_of(CHOSEN, "--version")


def test_etcdctl_is_of_the_same_version() -> None:
    etcdctl = Path(CHOSEN).with_name("etcdctl")
    assert version_of(str(etcdctl), "version") == version_of(CHOSEN, "--version")
