"""``deploy/systemd``: the unit runs what is there, says when it is ready, and may do little else.

``make check-deploy`` asks systemd itself, where it is installed.
"""

from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path

from tests.conftest import RunCoordinator, RunningEtcd
from tests.deploy.compose_running import ROOT
from tests.deploy.documented_variables import serve_variables

UNITS = ROOT / "deploy" / "systemd"
ENVIRONMENT = (UNITS / "coordinator.env").read_text()


def unit() -> dict[str, list[str]]:
    """Return what the unit sets; a setting may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / "coordinator.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_it_says_to_systemd_when_it_is_ready_and_when_it_stops(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    assert unit()["Type"] == ["notify"]
    _, *words = shlex.split(unit()["ExecStart"][0])
    variables = dict(line.split("=", 1) for line in ENVIRONMENT.splitlines() if line and not line.startswith("#"))
    variables["COORDINATION_ETCD_ENDPOINTS"] = etcd.endpoint
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with run_coordinator(*words, NOTIFY_SOCKET=str(tmp_path / "notify"), **variables):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


def test_the_environment_file_names_variables_that_there_are() -> None:
    named = re.findall(r"^#?(COORDINATION_\w+)=", ENVIRONMENT, re.MULTILINE)
    assert len(named) > 5
    assert {*named} <= serve_variables()


def test_it_runs_as_the_user_that_is_made() -> None:
    users = (UNITS / "coordination.conf").read_text()
    assert re.search(rf"^u {unit()['User'][0]} ", users, re.MULTILINE)


def test_a_mistake_in_the_settings_is_not_tried_again_and_an_absent_etcd_is() -> None:
    settings = unit()
    assert (settings["Restart"], settings["RestartPreventExitStatus"]) == (["on-failure"], ["2"])
    assert settings["StartLimitIntervalSec"] == ["0"]
