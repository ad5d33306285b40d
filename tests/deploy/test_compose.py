"""``docker-compose.yml``: what it says is allowed, keeps its promises, and runs.

There is no Docker engine where these run. So the file is checked against the schema of the compose specification, and
its commands are run natively, with the same words, by ``compose_running.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator import Client, Denial, PermissionDenied, State, Unauthenticated, Unavailable
from coordinator.security.settings import SecuritySettings
from coordinator.store.diagnosis.versions import faults_of
from tests.deploy.compose_running import FILE, ROOT, Compose, composed, load, protected

ETCD = ("etcd-1", "etcd-2", "etcd-3")
COORDINATORS = ("coordinator-1", "coordinator-2")
#: To be used beside the file.
PROTECTING = ROOT / "docker-compose.tls.yml"
COMMAND = str(Path(sys.executable).with_name("coordination"))
FLEET = "composed"
SERVICES: dict[str, Any] = load()["services"]


@pytest.mark.parametrize("path", [FILE, PROTECTING], ids=lambda path: path.name)
def test_the_file_is_valid_by_the_compose_specification(path: Path, tmp_path: Path) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    plain = tmp_path / path.name
    # A tag of compose's own, which is no matter of the schema.
    plain.write_text(path.read_text(encoding="utf-8").replace("!override ", ""), encoding="utf-8")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(plain)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_is_in_order() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_watched_restarted_and_kept_from_other_hosts(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert service.get("cap_add", []) == (["DAC_OVERRIDE"] if name in ETCD else [])
    assert not service.get("privileged")
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    assert name in ETCD or service["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert name.startswith("coordinator") or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "not pinned"
    assert service["networks"] == ["etcd"] or "etcd-" not in name


@pytest.mark.parametrize("name", [*ETCD, *COORDINATORS])
def test_prometheus_reaches_what_it_watches(name: str) -> None:
    assert {*SERVICES["prometheus"]["networks"]} & {*SERVICES[name]["networks"]}


def test_the_files_run_the_same_and_only_the_protected_coordinators_are_published() -> None:
    more = load(PROTECTING)["services"]
    assert more.keys() == {*COORDINATORS}
    for name in COORDINATORS:
        assert [word for word in SERVICES[name]["command"] if word != "--insecure"] == more[name]["command"]
        assert more[name]["environment"].keys() >= {"COORDINATION_TLS_CERT", "COORDINATION_TOKENS"}
        (port,) = SERVICES[name]["ports"]
        assert more[name]["ports"] == [port.removeprefix("127.0.0.1:")]


def test_the_coordinators_may_listen_where_the_files_say() -> None:
    # Natively they listen on the loopback address, where nothing of this would be asked for.
    for name in COORDINATORS:
        assert {"--insecure", "--metrics-public"} <= {*SERVICES[name]["command"]}
        more = load(PROTECTING)["services"][name]
        given = {variable.removeprefix("COORDINATION_").lower(): path for variable, path in more["environment"].items()}
        files = {field: Path(given[field]) for field in ("tls_cert", "tls_key", "tokens")}
        settings = SecuritySettings(**files, metrics_public="--metrics-public" in more["command"])
        listen, metrics = (word.partition("=")[2] for word in more["command"] if "listen" in word)
        settings.check_listen(listen, listen.partition(":")[0])
        settings.check_metrics_listen(metrics, metrics.partition(":")[0])


def test_what_is_to_last_is_in_volumes_of_their_own() -> None:
    declared = load()["volumes"]
    kept = {
        name: [volume.partition(":")[0] for volume in service.get("volumes", ()) if not volume.startswith((".", "/"))]
        for name, service in SERVICES.items()
    }
    assert kept == {name: [name] if name in declared else [] for name in SERVICES}
    assert declared.keys() == {*ETCD, "prometheus", "grafana"}
    # What the services are given is not theirs to change.
    given = [volume for service in SERVICES.values() for volume in service.get("volumes", ()) if volume[0] == "."]
    assert given
    assert all(volume.endswith(":ro") for volume in given)


@pytest.mark.parametrize("path", [FILE, PROTECTING], ids=lambda path: path.name)
def test_the_head_of_the_file_names_whatever_must_be_set(path: Path) -> None:
    head, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
    needed = set(re.findall(r"\$\{(\w+):\?", rest + FILE.read_text(encoding="utf-8")))
    assert needed
    assert {name for name in needed if f"{name}=" not in head} == set()


def test_no_password_is_in_the_file() -> None:
    environment = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    secrets = {name: value for name, value in environment if "PASSWORD" in name or "SECRET" in name}
    assert secrets.keys() == {"GF_SECURITY_ADMIN_PASSWORD"}
    # Unset or empty: compose refuses to start anything, and says what to do.
    assert secrets["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_ADMIN_PASSWORD:?")


def test_etcd_is_of_a_version_without_known_faults_and_set_up_as_it_must_be() -> None:
    versions = {SERVICES[name]["image"].rpartition(":v")[2] for name in ETCD}
    assert [faults_of(version) for version in versions] == [()]
    for name in ETCD:
        settings = SERVICES[name]["environment"]
        assert settings["ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT"] == "true"
        assert settings["ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT_PERSIST"] == "true"
        assert (settings["ETCD_AUTO_COMPACTION_MODE"], settings["ETCD_AUTO_COMPACTION_RETENTION"]) == (
            "periodic",
            "10m",
        )
        quota = settings["ETCD_QUOTA_BACKEND_BYTES"]
        assert [SERVICES[one]["environment"]["COORDINATION_ETCD_QUOTA_BYTES"] for one in COORDINATORS] == [quota] * 2


def test_the_image_takes_the_versions_that_are_tested() -> None:
    pinned = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    tested = dict(pinned.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    for lock in ("server.lock", "build.lock"):
        text = (ROOT / "deploy/image" / lock).read_text(encoding="utf-8")
        found = dict(pinned.findall(text))
        assert found.items() <= tested.items()
        assert text.count("--hash=sha256:") >= len(found)
        assert "://" not in text


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What docker-compose.tls.yml wants, made as it says."""
    made = tmp_path / "protected"
    made.mkdir(mode=0o700)
    for command in (
        [COMMAND, "certs", "authority", "--host", "127.0.0.1"],
        ["cp", "-p", "authority/server.crt", "authority/server.key", "authority/ca.crt", "protected/"],
        [COMMAND, "token", "health", "--tokens", "protected/tokens.toml", "--out", "protected/health.token"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return made


@pytest.mark.long
def test_the_services_serve_and_survive_the_loss_of_a_member_and_of_a_coordinator(tmp_path: Path, files: Path) -> None:
    more = load(PROTECTING, COORDINATION_FILES=str(files), COORDINATION_OWNER=f"{os.getuid()}:{os.getgid()}")
    # As a third one, so that one cluster does for both files. Grafana cannot be had.
    third = {"coordinator-3": protected(SERVICES["coordinator-1"], more["services"]["coordinator-1"])}
    with composed(tmp_path / "compose", SERVICES | third) as running:
        running.up(*COORDINATORS, "prometheus", "coordinator-3")
        _both_serve(running)
        _the_protected_one_asks_for_a_token(running, files)
        _what_remains_goes_on(running)
        running.up("coordinator-1")  # and the member, on which it depends
        running.prometheus().wait_for("count(up == 1) == 5")


def _both_serve(running: Compose) -> None:
    """Claims go through both coordinators, and Prometheus sees all that it is to see."""
    prometheus = running.prometheus()
    prometheus.wait_for('count(up{job="coordinator"} == 1) == 2')
    prometheus.wait_for('count(up{job="etcd"} == 1) == 3')
    first, second = (running.place(name, 7420) for name in COORDINATORS)
    with Client(first, fleet=FLEET, timeout=20) as one, Client(second, fleet=FLEET, timeout=20) as other:
        one.claim("session-a", "task:held", ttl=3600)
        denial = other.try_claim("session-b", "task:held")
        assert isinstance(denial, Denial)
        assert denial.holder == "session-a"
        other.claim("session-b", "task:done")
        one.complete("session-b", "task:done")
    prometheus.wait_for('sum(coordination_claims_total{kind="task",outcome="granted"}) == 2')


def _the_protected_one_asks_for_a_token(running: Compose, files: Path) -> None:
    """Without TLS nothing is answered, without a token nothing is returned, and with one there is an answer."""
    endpoint, ca = running.place("coordinator-3", 7420), str(files / "ca.crt")
    with Client(endpoint, timeout=2) as plain, pytest.raises(Unavailable):
        plain.get("task:held")
    with Client(endpoint, ca=ca, timeout=20) as without_token, pytest.raises(Unauthenticated):
        without_token.get("task:held")
    with Client(endpoint, ca=ca, token_file=str(files / "health.token"), timeout=20) as reader:
        assert reader.get("task:held").record.state is State.AVAILABLE  # in its own fleet
        with pytest.raises(PermissionDenied):
            reader.claim("session-a", "task:held")


def _what_remains_goes_on(running: Compose) -> None:
    """A coordinator is lost, and the member that the other one turns to first: claims stay and are made."""
    lost = SERVICES["coordinator-2"]["command"][1].removeprefix("--etcd=").split(":")[0]
    running.kill(lost)
    running.kill("coordinator-1")
    endpoints = [running.place(name, 7420) for name in COORDINATORS]
    with Client(endpoints, fleet=FLEET, timeout=20) as client:
        for number in range(20):
            key = f"task:after-{number}"
            client.claim("session-c", key)
            assert isinstance(client.try_claim("session-d", key), Denial)
            client.complete("session-c", key)
        assert client.get("task:held").record.session == "session-a"
        client.complete("session-a", "task:held")
        assert client.status().healthy
    assert running.healthy("coordinator-2")
    assert not running.healthy("coordinator-1")
    assert not running.healthy(lost)
    instance = running.place("coordinator-1", 7421)
    running.prometheus().wait_for(f'up{{job="coordinator",instance="{instance}"}} == 0')
    running.prometheus().wait_for('sum(coordination_claims_total{kind="task",outcome="granted"}) >= 20')
