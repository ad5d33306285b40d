"""An etcd that asks who it is dealing with: TLS, client certificates, users and passwords."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from coordinator import AsyncClient, State, Unavailable
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import end_of_prefix
from coordinator.errors import InvalidInput
from coordinator.security.ca import Made, make_certificates
from coordinator.server_settings import ServerSettings
from coordinator.store.embedded.binary import wheel_program
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcd.watch import Watch
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.conftest import COMMAND, RunningCoordinator

PASSWORD = "correct-horse-battery"  # noqa: S105  # of a user that lives for one test
READ = rpc.RangeRequest(key=b"/coordination-meta/v1/test")


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]


def serve_in_vain(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``coordination serve``, which is to end by itself."""
    command = [str(Path(sys.executable).with_name("coordination")), "serve", *arguments]
    command += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def soon(seconds: float = 10) -> float:
    return time.monotonic() + seconds


@contextlib.asynccontextmanager
async def opened(endpoints: list[str], access: EtcdAccess) -> AsyncIterator[EtcdChannel]:
    channel = EtcdChannel(endpoints, access)
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_certificates(tmp_path_factory.mktemp("certificates"), ["127.0.0.1"], ["coordinator"])


@pytest.fixture(scope="module")
def tls_cluster(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    arguments = ["--cert-file", str(made.server_cert), "--key-file", str(made.server_key)]
    arguments += ["--trusted-ca-file", str(made.ca), "--client-cert-auth"]
    with run_cluster(tmp_path_factory.mktemp("tls"), 1, arguments=arguments, scheme="https") as cluster:
        cert, key = made.clients["coordinator"]
        cluster.credentials = grpc.ssl_channel_credentials(made.ca.read_bytes(), key.read_bytes(), cert.read_bytes())
        cluster.await_all()
        yield cluster


class TestTls:
    async def test_with_a_certificate_of_ones_own_it_serves(
        self, made: Made, tls_cluster: EtcdCluster, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        cert, key = made.clients["coordinator"]
        files = ["--etcd-ca", str(made.ca), "--etcd-cert", str(cert), "--etcd-key", str(key)]
        with run_coordinator("serve", "--etcd", tls_cluster.etcd, *files) as coordinator:
            async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
                assert (await client.claim("s", "task:work")).attempt == 1
                assert (await client.status()).healthy

    @pytest.mark.long_but_for("no certificate")
    @pytest.mark.parametrize("given", ["nothing", "no certificate", "another authority"])
    def test_without_what_it_needs_it_says_what_to_look_at(
        self, made: Made, tls_cluster: EtcdCluster, tmp_path: Path, given: str
    ) -> None:
        other = make_certificates(tmp_path, ["127.0.0.1"], ["coordinator"])
        cert, key = made.clients["coordinator"]
        options = {
            "nothing": [],
            "no certificate": ["--etcd-ca", str(made.ca)],
            "another authority": ["--etcd-ca", str(other.ca), "--etcd-cert", str(cert), "--etcd-key", str(key)],
        }[given]
        done = serve_in_vain("--etcd", tls_cluster.etcd, *options)
        assert done.returncode == 3
        assert f"etcd at {tls_cluster.etcd} cannot be reached" in done.stderr
        if given != "nothing":
            assert "--etcd-ca" in done.stderr
        assert "Traceback" not in done.stderr


@dataclass
class Guarded:
    """An etcd with a user for the coordinator, who may read and write what is the coordinator's, and nothing else."""

    cluster: EtcdCluster
    password_file: Path

    @property
    def access(self) -> EtcdAccess:
        return EtcdAccess(user="coordinator", password_file=self.password_file)

    def etcdctl(self, *arguments: str) -> None:
        program = wheel_program("etcdctl")
        assert program is not None
        command = [str(program), "--endpoints", self.cluster.etcd, *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
        subprocess.run(command, env=environment | {"ETCDCTL_API": "3"}, check=True, capture_output=True, timeout=30)

    def restart(self) -> None:
        """Have the member forget its tokens: it finds those in its log again, but not what lies before a snapshot."""
        (member,) = self.cluster.members
        for number in range(6):
            self.etcdctl("--user", "root:root", "put", "/test", str(number))
        member.kill()
        member.start()
        self.cluster.await_all()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    with run_cluster(directory, 1, arguments=["--bcrypt-cost", "4", "--snapshot-count", "2"]) as cluster:
        guarded = Guarded(cluster, directory / "password")
        guarded.password_file.write_text(f"{PASSWORD}\n")
        guarded.password_file.chmod(0o600)
        guarded.etcdctl("user", "add", "root:root")
        guarded.etcdctl("user", "grant-role", "root", "root")
        guarded.etcdctl("role", "add", "coordination")
        for prefix in ("/coordination/", "/coordination-meta/"):
            guarded.etcdctl("role", "grant-permission", "coordination", "--prefix=true", "readwrite", prefix)
        guarded.etcdctl("user", "add", f"coordinator:{PASSWORD}")
        guarded.etcdctl("user", "grant-role", "coordinator", "coordination")
        guarded.etcdctl("user", "add", "stranger:stranger")
        guarded.etcdctl("auth", "enable")
        yield guarded


class Logins:
    """Counts how often a channel logs in."""

    def __init__(self, channel: EtcdChannel) -> None:
        self.count = 0
        self._behind = channel._credentials._authenticate
        channel._credentials._authenticate = self._authenticate

    async def _authenticate(self, user: str, password: str, deadline: float) -> str:
        self.count += 1
        return await self._behind(user, password, deadline)


class TestUsers:
    async def test_the_coordinator_logs_in_and_again_after_a_restart_of_etcd(
        self, guarded: Guarded, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        # In the environment, as a service manager would give it; the password itself is in neither.
        environment = {
            "COORDINATION_ETCD_USER": "coordinator",
            "COORDINATION_ETCD_PASSWORD_FILE": str(guarded.password_file),
        }
        with run_coordinator("serve", "--etcd", guarded.cluster.etcd, **environment) as coordinator:
            async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=10) as client:
                claim = await client.claim("s", "task:work")
                await asyncio.to_thread(guarded.restart)
                record = await client.complete("s", "task:work", token=claim.fencing_token)
                assert record.state is State.COMPLETED
                assert (await client.status()).healthy

    async def test_the_documented_role_is_enough_for_every_call(
        self, guarded: Guarded, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        how = ("--etcd-user", "coordinator", "--etcd-password-file", str(guarded.password_file))
        with run_coordinator("serve", "--etcd", guarded.cluster.etcd, *how) as coordinator:
            async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
                await client.claim("s", "task:work")
                assert await client.try_claim("other", "task:work")
                await client.renew("s", "task:work", note="x")
                await client.release("s", "task:work")
                await client.acknowledge("task:work")
                await client.claim_many("s", ["task:1", "task:2"])
                await client.revoke("task:1", at_once=True)
                await client.reap()
                await client.list_page()
                await client.briefing()
                assert (await client.status()).healthy
                assert not [each for each in (await client.diagnose()).findings if "permission" in each.message]
        done = await asyncio.to_thread(
            subprocess.run, [COMMAND, "doctor", "--etcd", guarded.cluster.etcd, *how], capture_output=True, timeout=60
        )
        assert b"permission" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr

    @pytest.mark.parametrize(
        "key", ["/coordination", "/coordinations/x", "/coordination-meta", "/coordinator", "/", "/x"]
    )
    def test_it_is_for_nothing_else(self, guarded: Guarded, key: str) -> None:
        for what in (("get", key), ("put", key, "x"), ("del", key)):
            with pytest.raises(subprocess.CalledProcessError) as caught:
                guarded.etcdctl("--user", f"coordinator:{PASSWORD}", *what)
            assert b"permission denied" in caught.value.stderr

    async def test_all_who_need_a_new_token_wait_for_one_login(self, guarded: Guarded) -> None:
        async with opened(guarded.cluster.endpoints, guarded.access) as channel:
            logins = Logins(channel)
            await channel.call(Methods.RANGE, READ, deadline=soon())
            assert logins.count == 1
            await asyncio.to_thread(guarded.restart)
            await asyncio.gather(*(channel.call(Methods.RANGE, READ, deadline=soon()) for _ in range(50)))
            assert logins.count == 2

    async def test_a_watch_goes_on_after_a_restart_of_etcd(self, guarded: Guarded, fleet: str) -> None:
        prefix = FleetPaths(fleet).prefix("claim")
        async with opened(guarded.cluster.endpoints, guarded.access) as channel:

            async def put(number: int) -> None:
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=prefix + b"%d" % number))
                await channel.call(Methods.TXN, rpc.TxnRequest(success=[put]), deadline=soon())

            await put(0)
            async with contextlib.aclosing(Watch(channel, prefix, end_of_prefix(prefix)).follow()) as batches:
                await anext(batches)
                await put(1)
                assert [event.kv.key for event in (await anext(batches)).events] == [prefix + b"1"]
                await asyncio.to_thread(guarded.restart)
                # No other call asks for a token meanwhile: the watch has to get one itself.
                async with asyncio.timeout(30):
                    while (await anext(batches)).events:
                        pass
                    await put(2)
                    events: list[rpc.Event] = []
                    while not events:
                        events += (await anext(batches)).events
                assert [event.kv.key for event in events] == [prefix + b"2"]

    async def test_a_wrong_password_is_said_once_and_not_tried_again_and_again(
        self, guarded: Guarded, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "password"
        wrong.write_text("wrong")
        wrong.chmod(0o600)
        async with opened(guarded.cluster.endpoints, EtcdAccess(user="coordinator", password_file=wrong)) as channel:
            logins = Logins(channel)
            for _ in range(20):
                with pytest.raises(Unavailable, match="etcd refuses the user or the password") as caught:
                    await channel.call(Methods.RANGE, READ, deadline=soon())
                assert caught.value.hint == "see --etcd-user and --etcd-password-file"
            assert logins.count == 1
            # The file was mended: no need to wait.
            wrong.write_text(PASSWORD)
            await channel.call(Methods.RANGE, READ, deadline=soon())
            assert logins.count == 2

    def test_serve_ends_with_a_wrong_password_and_does_not_show_it(self, guarded: Guarded, tmp_path: Path) -> None:
        wrong = tmp_path / "password"
        wrong.write_text("wrong-horse")
        wrong.chmod(0o600)
        options = ["--etcd-user", "coordinator", "--etcd-password-file", str(wrong)]
        started = time.monotonic()
        done = serve_in_vain("--etcd", guarded.cluster.etcd, *options)
        assert time.monotonic() - started < 10
        assert done.returncode == 3
        assert "etcd refuses the user or the password of the coordinator" in done.stderr
        assert "--etcd-password-file" in done.stderr
        assert "wrong-horse" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_serve_without_a_user_says_which_options_are_needed(self, guarded: Guarded) -> None:
        done = serve_in_vain("--etcd", guarded.cluster.etcd)
        assert done.returncode == 3
        assert "etcd asks for a user and a password, and none was given" in done.stderr
        assert "--etcd-user and --etcd-password-file" in done.stderr

    async def test_a_user_without_rights_learns_which_it_needs(self, guarded: Guarded, tmp_path: Path) -> None:
        password = tmp_path / "password"
        password.write_text("stranger")
        password.chmod(0o600)
        async with opened(guarded.cluster.endpoints, EtcdAccess(user="stranger", password_file=password)) as channel:
            with pytest.raises(Unavailable, match="does not allow this to the coordinator's user") as caught:
                await channel.call(Methods.RANGE, READ, deadline=soon())
            assert "all keys that begin with /coordination" in (caught.value.hint or "")
            # That is no reason to think the member unwell.
            assert channel._members.current.good

    async def test_a_user_is_no_harm_where_etcd_asks_for_none(self, guarded: Guarded, etcd: RunningCoordinator) -> None:
        async with opened([etcd.endpoint], guarded.access) as channel:
            await channel.call(Methods.RANGE, READ, deadline=soon())
            await channel.refresh_credentials()
            await channel.call(Methods.RANGE, READ, deadline=soon())


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"cert": "pem"}, "--etcd-cert needs --etcd-key too"),
            ({"key": "pem"}, "--etcd-key needs --etcd-cert too"),
            ({"cert": "pem", "key": "pem"}, "--etcd-cert needs --etcd-ca too"),
            ({"password_file": "secret"}, "--etcd-password-file needs --etcd-user too"),
            ({"ca": "secret"}, "is not a PEM file"),
            ({"ca": "nowhere"}, "cannot be read: No such file or directory"),
        ],
    )
    def test_what_cannot_be_right_is_refused(self, tmp_path: Path, given: dict[str, str], message: str) -> None:
        (tmp_path / "pem").write_text("-----BEGIN CERTIFICATE-----\n")
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "secret").chmod(0o600)
        with pytest.raises(InvalidInput) as caught:
            EtcdAccess(**{name: tmp_path / value for name, value in given.items()})  # type: ignore[arg-type]  # all are paths
        assert message in caught.value.message
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize(
        ("content", "mode", "message"),
        [
            (b"secret", 0o644, "can be read by every user of this host"),
            (b"", 0o600, "does not begin with a password"),
            (b"\nsecret", 0o600, "does not begin with a password"),
            (b"\xff\xfe", 0o600, "does not begin with a password"),
        ],
    )
    def test_a_password_file_must_hold_a_password_and_be_kept_from_others(
        self, tmp_path: Path, content: bytes, mode: int, message: str
    ) -> None:
        path = tmp_path / "password"
        path.write_bytes(content)
        path.chmod(mode)
        with pytest.raises(InvalidInput, match=message) as caught:
            EtcdAccess(user="coordinator", password_file=path)
        assert "secret" not in f"{caught.value} {caught.value.hint}"

    def test_a_user_needs_a_password_file(self) -> None:
        with pytest.raises(InvalidInput, match="--etcd-user needs --etcd-password-file too"):
            EtcdAccess(user="coordinator")
        with pytest.raises(InvalidInput, match="--etcd-user is empty"):
            EtcdAccess(user="")


class TestPasswordInClear:
    @pytest.mark.parametrize("members", ["etcd-1:2379", "127.0.0.1:2379,192.0.2.1:2379", "[2001:db8::1]:2379"])
    def test_it_is_not_sent_to_another_host(self, members: str, tmp_path: Path) -> None:
        path = tmp_path / "password"
        path.touch(mode=0o600)
        path.write_text(PASSWORD)
        access = EtcdAccess(user="coordinator", password_file=path)
        endpoints = tuple(members.split(","))
        with pytest.raises(InvalidInput, match="it would travel in clear") as caught:
            ServerSettings(etcd=endpoints, etcd_access=access)
        assert "--etcd-ca" in (caught.value.hint or "")
        ServerSettings(etcd=endpoints, etcd_access=access, insecure=True)
        ServerSettings(etcd=endpoints)

    @pytest.mark.parametrize("member", ["127.0.0.1:2379", "localhost:2379", "[::1]:2379", "unix:/run/etcd.sock:0"])
    def test_it_is_sent_to_this_one(self, member: str, tmp_path: Path) -> None:
        path = tmp_path / "password"
        path.touch(mode=0o600)
        path.write_text(PASSWORD)
        ServerSettings(etcd=(member,), etcd_access=EtcdAccess(user="coordinator", password_file=path))
