"""``doctor`` on a cluster: which member is missing, and when too many are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.etcd_cluster import run_cluster
from tests.conftest import Coordination, RunCoordinator


def examine(coordination: Coordination, endpoint: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = coordination("doctor", "--json", "--endpoint", endpoint)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return done.returncode, found


def test_members_are_missed_one_by_one(
    coordination: Coordination, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    with run_cluster(tmp_path) as cluster, run_coordinator("serve", "--etcd", cluster.etcd) as running:
        leader = cluster.leader()
        others = [member for member in cluster.members if member is not leader]
        code, found = examine(coordination, running.endpoint)
        version = {finding["severity"] for finding in found["etcd-version"]}
        # A cluster of a version whose members may come to differ cannot be relied on.
        dangerous = "can lose data" in str(found["etcd-version"])
        assert (code, "problem" in version) == ((1, True) if dangerous else (0, False))
        assert [finding["severity"] for finding in found["etcd-reachable"]] == ["ok"] * 3
        assert found["etcd-members"][0]["message"] == "3 voting members: tolerates the loss of 1"
        assert found["etcd-quorum"][0]["severity"] == "ok"

        others[0].kill()
        code, found = examine(coordination, running.endpoint)
        assert code == (1 if dangerous else 0)
        assert [finding["severity"] for finding in found["etcd-reachable"]].count("warning") == 1
        missing = next(finding for finding in found["etcd-reachable"] if finding["severity"] == "warning")
        assert (missing["subject"], others[0].endpoint in missing["message"]) == (others[0].endpoint, True)
        assert found["etcd-quorum"][0]["severity"] == "ok"

        others[1].stop()
        code, found = examine(coordination, running.endpoint)
        assert code == 1
        assert [finding["severity"] for finding in found["etcd-reachable"]].count("warning") == 2
        assert found["etcd-quorum"][0]["severity"] == "problem"
        others[1].go_on()


def test_members_that_are_not_named_are_reported(
    coordination: Coordination, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    with run_cluster(tmp_path) as cluster, run_coordinator("serve", "--etcd", cluster.endpoints[0]) as running:
        cluster.leader()
        _, found = examine(coordination, running.endpoint)
    assert "the coordinator knows 1 of 3 members" in found["etcd-members"][1]["message"]
