"""``deploy/kubernetes``: each file is applied, its parts fit each other, and the coordinators run with its settings.

``make check-deploy`` holds the files against Kubernetes' schemas.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator import Client, Unauthenticated
from tests.conftest import COMMAND, RunCoordinator, RunningEtcd
from tests.deploy.compose_running import ROOT, load
from tests.deploy.documented_variables import command_variables

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def found(kind: str, name: str) -> dict[str, Any]:
    (one,) = (each for each in documents() if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return one


COORDINATORS, ETCD = found("Deployment", "coordination"), found("StatefulSet", "etcd")
SETTINGS: dict[str, str] = found("ConfigMap", "coordination")["data"]


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_a_kustomization_names_what_lies_beside_it(path: Path) -> None:
    named = yaml.safe_load(path.read_text())["resources"]
    beside = {each.name for each in path.parent.glob("*.yaml")} - {path.name}
    within = {each.parent.name for each in path.parent.glob("*/kustomization.yaml")}
    # The monitoring needs an operator that not every cluster has.
    assert {*named} == beside | (within - {"monitoring"})


@pytest.mark.parametrize("workload", [COORDINATORS, ETCD], ids=["coordinators", "etcd"])
def test_a_pod_may_do_no_more_than_it_needs(workload: dict[str, Any]) -> None:
    pod, only = workload["spec"]["template"]["spec"], container(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("name", "workload"), [("coordination", COORDINATORS), ("etcd", ETCD)])
def test_its_parts_choose_the_same_pods_and_name_ports_that_there_are(name: str, workload: dict[str, Any]) -> None:
    labels = workload["spec"]["template"]["metadata"]["labels"]
    ports = {each["name"]: each["containerPort"] for each in container(workload)["ports"]}
    service = found("Service", name)
    assert workload["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert found("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    policy = found("NetworkPolicy", name)["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= ports.keys()
    assert {each["name"]: each["port"] for each in service["spec"]["ports"]} == ports
    monitored = found("ServiceMonitor", name)["spec"]
    assert monitored["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert {each["port"] for each in monitored["endpoints"]} <= ports.keys()


def test_etcd_is_the_same_as_under_compose() -> None:
    composed = load()["services"]["etcd-1"]
    assert container(ETCD)["image"] == composed["image"].replace("${ETCD_IMAGE:-", "").replace("}", "")
    here = {each["name"]: each.get("value") for each in container(ETCD)["env"]}
    elsewhere = ("ETCD_NAME", "ETCD_ADVERTISE", "ETCD_INITIAL", "ETCD_LISTEN")  # where members are
    same = {name: value for name, value in composed["environment"].items() if not name.startswith(elsewhere)}
    assert {name: here.get(name) for name in same} == same
    assert SETTINGS["COORDINATION_ETCD_QUOTA_BYTES"] == here["ETCD_QUOTA_BACKEND_BYTES"]


def test_the_coordinators_ask_each_member_of_etcd() -> None:
    members = [f"etcd-{number}.etcd" for number in range(ETCD["spec"]["replicas"])]
    assert SETTINGS["COORDINATION_ETCD_ENDPOINTS"] == ",".join(f"{each}:2379" for each in members)
    (cluster,) = (each["value"] for each in container(ETCD)["env"] if each["name"] == "ETCD_INITIAL_CLUSTER")
    assert cluster == ",".join(f"{each.partition('.')[0]}=http://{each}:2380" for each in members)


def test_the_settings_run_and_protect(etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    """With the files of the secret, as the commands in kustomization.yaml make them."""
    assert SETTINGS.keys() <= command_variables()
    for words in (["certs", str(tmp_path), "--host", "coordination.coordination.svc"], _token(tmp_path)):
        subprocess.run([COMMAND, *words], check=True, capture_output=True)
    settings = {name: value.replace("/etc/coordination", str(tmp_path)) for name, value in SETTINGS.items()}
    settings["COORDINATION_ETCD_ENDPOINTS"] = etcd.endpoint
    with run_coordinator(*container(COORDINATORS)["args"], **settings) as running:
        probe = container(COORDINATORS)["readinessProbe"]["exec"]["command"]
        done = subprocess.run(
            [COMMAND, *probe[1:]],
            env=os.environ | settings | {"COORDINATION_ENDPOINT": running.endpoint},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        with Client(running.endpoint, tls=True, ca=tmp_path / "ca.crt") as client, pytest.raises(Unauthenticated):
            client.claim("session-1", "task:1")


def _token(directory: Path) -> list[str]:
    return ["token", "health", "--tokens", str(directory / "tokens.toml"), "--out", str(directory / "health.token")]


def test_the_operator_gets_the_rules_that_prometheus_is_given() -> None:
    rules = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
    groups = [group for path in rules for group in yaml.safe_load(path.read_text())["groups"]]
    assert found("PrometheusRule", "coordination")["spec"] == {"groups": groups}
