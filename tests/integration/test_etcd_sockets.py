"""The embedded etcd is its user's alone: it listens on unix sockets in a directory of its own (issue 12, number 45).

Everything that speaks to it goes on: coordinators, doctor, etcdctl; with data directories of any length and spelling.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import Client
from coordinator.errors import InvalidInput
from coordinator.net.unix_sockets import open_private_directory, target_of
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.embedded.binary import EtcdBinary
from coordinator.store.etcd.access import parse_members
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, RunCoordinator, environment, run

#: Becomes another user, if it may, and tries to connect.
_STRANGER = """
import os, socket, sys
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
with socket.socket(socket.AF_UNIX) as to:
    to.connect(sys.argv[1])
"""


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def listens_on_tcp(pid: int) -> bool:
    """Whether a process has a socket open that listens on TCP."""
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(f"socket:[{fields[9]}]")
    files = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.add(str(file.readlink()))
    return bool(files & listening)


def etcdctl(endpoint: str, *arguments: str, cwd: Path | None = None) -> str:
    command = [str(find_etcd().path.with_name("etcdctl")), "--endpoints", endpoint, *arguments]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
    done = subprocess.run(
        command, cwd=cwd, env=variables | {"ETCDCTL_API": "3"}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestReach:
    def test_no_other_user_reaches_it(self, run_coordinator: RunCoordinator) -> None:
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
            data_dir = Path(name)
            # Others may pass down to the directory of the sockets, and no further.
            data_dir.chmod(0o755)
            own = stack.enter_context(run_coordinator("up", "--data-dir", str(data_dir)))
            etcd = child_of(own.process.pid)
            assert not listens_on_tcp(etcd)
            assert listens_on_tcp(own.process.pid)
            sockets = {path.name: path for path in (data_dir / "sockets").iterdir()}
            assert {*sockets} == {"etcd.sock:0", "peer.sock:0", "control"}
            assert stat.S_IMODE((data_dir / "sockets").stat().st_mode) == 0o700
            assert own.etcd == f"unix:{sockets['etcd.sock:0']}"
            for path in sockets.values():
                other = [sys.executable, "-I", "-c", _STRANGER, str(path)]
                done = subprocess.run(other, capture_output=True, text=True, timeout=30)
                if os.geteuid() == 0:
                    assert "PermissionError" in done.stderr
                else:
                    assert path.parent.stat().st_uid == os.geteuid()

    @pytest.mark.parametrize("mode", [0o777, 0o755, 0o1777, 0o500])
    def test_a_directory_that_is_open_is_closed(self, mode: int, tmp_path: Path) -> None:
        (tmp_path / "sockets").mkdir()
        (tmp_path / "sockets").chmod(mode)
        os.close(open_private_directory(tmp_path / "sockets"))
        assert stat.S_IMODE((tmp_path / "sockets").stat().st_mode) == 0o700

    @pytest.mark.long_but_for("link", "socket")
    @pytest.mark.parametrize("kind", ["link", "file", "dangling", "socket"])
    def test_what_is_no_directory_of_its_own_is_refused(self, kind: str, tmp_path: Path) -> None:
        sockets, elsewhere = tmp_path / "data" / "sockets", tmp_path / "elsewhere"
        sockets.parent.mkdir(mode=0o700)
        elsewhere.mkdir(mode=0o777)
        with contextlib.ExitStack() as stack:
            if kind == "link":
                sockets.symlink_to(elsewhere)
            elif kind == "file":
                sockets.touch()
            elif kind == "dangling":
                sockets.symlink_to(tmp_path / "nowhere")
            else:
                stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(sockets))
            up = run("up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS)
        assert up.returncode == 2
        assert f"{tmp_path / 'data'} cannot be used as data directory" in up.stderr
        assert not [*elsewhere.iterdir()]

    def test_one_of_another_user_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(PermissionError, match="belongs to another user"):
            open_private_directory(tmp_path / "sockets")

    @pytest.mark.long_but_for("127.0.0.1:0")
    @pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
    def test_who_opens_it_is_warned(self, address: str, tmp_path: Path) -> None:
        done = run("up", "--detach", "--data-dir", str(tmp_path), "--etcd-listen", address, *FREE_PORTS)
        assert done.returncode == 0, done.stderr
        assert "notice: etcd listens on --etcd-listen: every user of this host can read and change all" in done.stderr
        ready = READY.fullmatch(done.stdout)
        assert ready
        assert not ready[3].startswith("unix:")
        try:
            assert "is healthy" in etcdctl(ready[3], "endpoint", "health")
        finally:
            assert run("down", "--data-dir", str(tmp_path), "--timeout", "30").returncode == 0


@pytest.fixture(params=["long", "odd", "plain"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Data directories whose sockets have paths longer than 107 bytes, of odd characters, and of neither."""
    names = {"long": f"{'x' * 200}/{'y' * 200}", "odd": "a b?#%zz'é", "plain": "data"}
    return tmp_path / names[request.param]


@pytest.fixture
def own(data_dir: Path) -> Iterator[str]:
    """Where the etcd of a coordinator on such a directory is."""
    # A path may hold what ends a word of the ready line.
    command = [COMMAND, "up", "--data-dir", str(data_dir), *FREE_PORTS]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        with Client(line.split()[3].rstrip(","), timeout=30) as client:
            assert client.claim("s", "task:x").attempt == 1
        yield line.rstrip("\n").partition(", etcd ")[2]
        process.terminate()
        assert process.wait(30) == 0


class TestSpeaking:
    @pytest.mark.long_but_for("odd")
    def test_a_second_coordinator_and_doctor_reach_it_by_the_ready_line(self, own: str, data_dir: Path) -> None:
        assert own == f"unix:{data_dir}/sockets/etcd.sock:0"
        for spelt in (own, f"unix://{data_dir}/sockets/etcd.sock:0"):
            with run_coordinator_at(spelt) as endpoint, Client(endpoint, timeout=30) as client:
                claim = client.get("task:x").claim
                assert claim is not None
                assert claim.session == "s"
        doctor = run("doctor", "--etcd", own, "--json")
        findings = {each["check"]: each for each in json.loads(doctor.stdout)["findings"]}
        assert findings["etcd-reachable"]["subject"] == own
        assert findings["etcd-tls"]["message"] == "connections to etcd are not encrypted, and do not leave this host"

    @pytest.mark.long_but_for("long")
    @pytest.mark.usefixtures("own")
    def test_etcdctl_reaches_it_from_its_directory(self, data_dir: Path) -> None:
        keys = etcdctl(
            "unix://etcd.sock:0", "get", "--prefix", "--keys-only", "/coordination/", cwd=data_dir / "sockets"
        )
        assert "/coordination/v1/default/claim/task:x" in keys

    def test_etcdctl_reaches_it_by_the_ready_line(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as plain:
            assert "is healthy" in etcdctl(plain.etcd, "endpoint", "health")


@contextlib.contextmanager
def run_coordinator_at(etcd: str) -> Iterator[str]:
    command = [COMMAND, "serve", "--etcd", etcd, *FREE_PORTS]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield line.split()[3].rstrip(",")
        process.terminate()
        process.communicate(timeout=30)


class TestData:
    async def test_a_directory_of_an_earlier_version_goes_on(self, tmp_path: Path) -> None:
        """Its member is known to be reached over TCP."""
        binary = find_etcd()
        async with EmbeddedEtcd(tmp_path, binary, listen=("127.0.0.1", 0)) as etcd:
            etcdctl(etcd.endpoint, "put", "/test", "kept")
            (member,) = json.loads(etcdctl(etcd.endpoint, "member", "list", "-w", "json"))["members"]
            etcdctl(etcd.endpoint, "member", "update", f"{member['ID']:x}", "--peer-urls", "http://127.0.0.1:2380")
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            assert etcdctl(etcd.endpoint, "get", "--print-value-only", "/test") == "kept\n"

    async def test_it_is_reached_again_after_its_end(self, tmp_path: Path) -> None:
        binary: EtcdBinary = find_etcd()
        async with EmbeddedEtcd(tmp_path / ("x" * 150), binary) as etcd:
            os.kill(etcd.pid, 9)
            await etcd.wait()
            await etcd.restart()
            assert target_of(etcd.endpoint).startswith("unix:/proc/self/fd/")


@pytest.mark.parametrize(
    "typed", ["unix:", "unix:etcd.sock:0", "unix://etcd.sock:0", "unix:\0", "unix:~/x", "unix:./x"]
)
def test_what_names_no_socket_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput, match="a unix socket is named by an absolute path"):
        parse_members(typed)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("unix:/a/b", ("unix:/a/b",)),
        ("unix:///a/b:0", ("unix:/a/b:0",)),
        (" h:1 , unix:/x ,[::1]:2", ("h:1", "unix:/x", "[::1]:2")),
    ],
)
def test_sockets_and_hosts_may_be_named_together(typed: str, found: tuple[str, ...]) -> None:
    assert parse_members(typed) == found
