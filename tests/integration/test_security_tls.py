"""TLS between clients and a coordinator: what works, and one clear sentence for each way in which it does not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator import AsyncClient, Client, InvalidInput, Unauthenticated, Unavailable
from coordinator.process.new_files import new_files
from coordinator.security import ca
from tests.conftest import COMMAND, RunCoordinator, RunningCoordinator, RunningEtcd
from tests.integration.security_world import SOON, World, make_world

WRONG = "wrong"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An authority with a coordinator's certificate and those of three clients; Carol's has expired."""
    world = make_world(tmp_path_factory.mktemp("tls") / "certs", "alice", "bob", "carol")
    world.expire("carol", client=True)
    world.add("root", sessions=("*",), fleets=("*",), role="operator")
    with world.tokens.open("a") as file:
        file.write('[[credential]]\nname = "Alice"\ncertificate = "alice"\nsessions = ["alice-*"]\nfleets = ["*"]\n')
    return world


@pytest.fixture(scope="module")
def plain(coordinator: RunningCoordinator) -> str:
    return coordinator.endpoint


@pytest.fixture(scope="module")
def one_way(etcd: RunningEtcd, run_coordinator: RunCoordinator, world: World) -> Iterator[str]:
    """A coordinator with TLS that asks for no certificate and no token."""
    with run_coordinator("serve", "--etcd", etcd.endpoint, *world.serve_options(tokens=False)) as running:
        yield running.endpoint


@pytest.fixture(scope="module")
def mutual(etcd: RunningEtcd, run_coordinator: RunCoordinator, world: World) -> Iterator[str]:
    with run_coordinator("serve", "--etcd", etcd.endpoint, *world.serve_options(mutual=True)) as running:
        yield running.endpoint


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("others") / "certs", "alice")


def run(*arguments: str | Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    started = time.monotonic()
    done = subprocess.run(
        [COMMAND, *arguments, "--endpoint", endpoint], env=settings, capture_output=True, text=True, timeout=60
    )
    assert time.monotonic() - started < SOON
    return done


def refused(done: subprocess.CompletedProcess[str], said: str, code: int = 3) -> None:
    """Check that the command says one sentence and a hint, and nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error", "hint"], done.stderr
    assert said in lines[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_both_clients_speak_tls(one_way: str, world: World, fleet: str, host: str) -> None:
    endpoint = one_way.replace("127.0.0.1", host)
    with Client(endpoint, fleet=fleet, ca=world.ca, tls=True) as client:
        assert client.claim("session-1", "task:x").session == "session-1"
    async with AsyncClient(endpoint, fleet=fleet, ca=str(world.ca)) as other:
        assert (await other.get("task:x")).record.session == "session-1"


def test_commands_speak_tls_too(one_way: str, world: World, tmp_path: Path) -> None:
    assert run("status", "--ca", world.ca, endpoint=one_way).returncode == 0
    path = tmp_path / "config.toml"
    path.write_text(f'ca = "{world.ca}"\nendpoint = "{one_way}"\n')
    settings = {"COORDINATION_CONFIG": str(path), "PATH": os.environ["PATH"]}
    assert subprocess.run([COMMAND, "status"], env=settings, timeout=60).returncode == 0


def test_a_client_without_tls(one_way: str) -> None:
    refused(run("status", endpoint=one_way), "closes the connection; it may require TLS")
    refused(run("status", "--tls", "off", endpoint=one_way), "closes the connection; it may require TLS")


def test_a_coordinator_without_tls(plain: str, world: World) -> None:
    refused(run("status", "--ca", world.ca, endpoint=plain), "does not speak TLS, and this client does")


def test_a_coordinator_of_another_authority(one_way: str, others: World) -> None:
    said = "is of an authority that this client does not trust"
    refused(run("status", "--ca", others.ca, endpoint=one_way), said)
    refused(run("status", "--tls", "on", endpoint=one_way), said)


def test_a_coordinator_under_another_name(etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    world = make_world(tmp_path / "certs", hosts=("coordinator.example", "192.0.2.1"))
    with run_coordinator("serve", "--etcd", etcd.endpoint, *world.serve_options(tokens=False)) as running:
        done = run("status", "--ca", world.ca, endpoint=running.endpoint)
        refused(done, f"the certificate of the coordinator at {running.endpoint} is for other hosts")


def test_an_expired_certificate_is_replaced_without_a_restart(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    world = make_world(tmp_path / "certs")
    good = {name: world.file(name).read_bytes() for name in ("server.crt", "server.key")}
    world.expire("server")
    with run_coordinator("serve", "--etcd", etcd.endpoint, *world.serve_options(tokens=False)) as running:
        refused(run("status", "--ca", world.ca, endpoint=running.endpoint), "has expired")
        # One file after the other, as tools do it: in between, certificate and key do not belong together.
        world.file("server.key").write_bytes(good["server.key"])
        refused(run("status", "--ca", world.ca, endpoint=running.endpoint), "has expired")
        world.file("server.crt").write_bytes(good["server.crt"])
        assert run("status", "--ca", world.ca, endpoint=running.endpoint).returncode == 0


def test_mutual_tls_lets_in_who_has_a_certificate(mutual: str, world: World, fleet: str) -> None:
    with Client(mutual, fleet=fleet, **world.client_options("alice")) as client:
        assert client.claim("alice-1", "task:x").session == "alice-1"
        with pytest.raises(Exception, match="'Alice' may not act as session 'bob-1'; its sessions: alice-\\*"):
            client.claim("bob-1", "task:y")


def test_mutual_tls_keeps_out_who_has_none(mutual: str, world: World, others: World) -> None:
    files = ("--ca", world.ca, "--token-file", world.file("root.token"))
    refused(run("status", *files, endpoint=mutual), "may require a client certificate, and this client shows none")
    for where, name in ((world, "carol"), (others, "alice"), (world, "server")):
        # Expired; of another authority; a coordinator's own, which is for no client.
        pair = ("--cert", where.file(f"{name}.crt"), "--key", where.file(f"{name}.key"))
        refused(run("status", *files, *pair, endpoint=mutual), "may refuse the client certificate")


def test_an_unlisted_certificate_is_no_credential(mutual: str, world: World, fleet: str) -> None:
    with Client(mutual, fleet=fleet, **world.client_options("bob")) as client, pytest.raises(Unauthenticated):
        client.status()


@pytest.mark.parametrize("name", ["alice\0.evil", "alice\0", "alice\r"])
def test_a_certificate_with_a_nul_in_its_name_is_not_who_stands_before_it(
    mutual: str, world: World, fleet: str, tmp_path: Path, name: str
) -> None:
    cert, key = tmp_path / "its.crt", tmp_path / "its.key"
    now = datetime.now(UTC)
    validity = (now - timedelta(hours=1), now + timedelta(days=1))
    with new_files() as files:
        ca.issue(files, ca.load_authority(world.directory), (cert, key), name, validity, None)
    with Client(mutual, fleet=fleet, ca=world.ca, cert=cert, key=key) as client, pytest.raises(Unauthenticated):
        client.claim("alice-1", "task:x")


def test_a_token_counts_before_a_certificate(mutual: str, world: World, fleet: str) -> None:
    with Client(mutual, fleet=fleet, **world.client_options("bob", bearing="root")) as client:
        assert client.claim("carol-1", "task:x").session == "carol-1"
    wrong = Client(mutual, fleet=fleet, **world.client_options("alice"), bearer_token=WRONG)
    with wrong as client, pytest.raises(Unauthenticated):
        client.status()


@pytest.mark.long_but_for(
    "options0-cert and key are needed together",
    "options2-do not belong together",
    "options4-No such file",
    "options8-holds no token",
    "options10-allowed are on, off and auto",
)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cert", "alice.crt"), "cert and key are needed together"),
        (("--key", "alice.key"), "cert and key are needed together"),
        (("--cert", "alice.crt", "--key", "bob.key"), "do not belong together"),
        (("--cert", "alice.crt", "--key", "alice.crt"), "(key) can be read by every user of this host"),
        (("--cert", "alice.crt", "--key", "nothing"), "No such file"),
        (("--ca", "alice.key"), "no certificate that can be read"),
        (("--ca", "nothing"), "No such file"),
        (("--token-file", "nothing"), "No such file"),
        (("--token-file", "tokens.toml"), "holds no token"),
        (("--ca", "ca.crt", "--tls", "off"), "tls is off, but a certificate is given"),
        (("--tls", "maybe"), "allowed are on, off and auto"),
    ],
)
def test_a_mistake_in_a_clients_files_is_reported_before_anything_is_sent(
    world: World, options: tuple[str, ...], said: str
) -> None:
    named = [str(world.file(word)) if "." in word or word == "nothing" else word for word in options]
    done = run("status", *named, endpoint="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert world.file("root.token").read_text().strip() not in done.stderr


def test_a_token_does_not_travel_in_clear(world: World) -> None:
    token = world.file("root.token")
    with pytest.raises(InvalidInput, match=r"not sent to 192\.0\.2\.1:7420, because it would travel in clear"):
        Client("127.0.0.1:7420,192.0.2.1:7420", token_file=token)
    for endpoint in ("127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.8.8:1"):
        Client(endpoint, token_file=token).close()
    with Client("127.0.0.1:1", timeout=0.2, ca=world.ca, token_file=token) as client, pytest.raises(Unavailable):
        client.status()
    with pytest.raises(InvalidInput, match="not both"):
        Client(token_file=token, bearer_token=WRONG)
    with pytest.raises(InvalidInput, match="bearer_token holds no token"):
        Client(bearer_token=f"{WRONG} {WRONG}")
