"""The embedded etcd: real processes on directories of their own."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.errors import InternalError, InvalidInput, LimitExceeded, Unavailable
from coordinator.store.embedded import EmbeddedEtcd, EtcdBinary, embedded_etcd, etcd_process, find_etcd, ports
from coordinator.store.embedded.binary import ETCD_VARIABLE
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunEtcd
from tests.freezing import freeze

KEY, VALUE = b"/test/embedded", b"still here"


@pytest.fixture(scope="module")
def binary() -> EtcdBinary:
    """The etcd that the tests were started with, see tests/conftest.py."""
    return find_etcd()


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
    async def test_data_survive_stop_and_start(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path / "data", binary) as first:
            await write(first.endpoint, put(KEY, VALUE))
            ended = os.pidfd_open(first.pid)
        await_end(ended)
        async with EmbeddedEtcd(tmp_path / "data", binary) as second:
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
            freeze(running.pid)
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
            monkeypatch.setattr(embedded_etcd, "START_SECONDS", 0.1)
            with pytest.raises(Unavailable, match="an etcd is still running on"):
                await EmbeddedEtcd(tmp_path, binary).start()

    async def test_a_second_one_on_the_directory_is_refused(self, tmp_path: Path, binary: EtcdBinary) -> None:
        async with EmbeddedEtcd(tmp_path, binary) as etcd:
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await EmbeddedEtcd(tmp_path, binary).start()
                assert caught.value.message == f"another coordinator is already running on {tmp_path}"
                assert caught.value.hint == "use that one, or name another --data-dir"
                assert caught.value.exit_code == 3
            assert await read(etcd.endpoint) == []

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
        monkeypatch.setattr(etcd_process, "STOP_SECONDS", 0.1)
        etcd = EmbeddedEtcd(tmp_path, binary)
        await etcd.start()
        freeze(etcd.pid)
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
            [sys.executable, "-I", "-S", str(etcd_process._LAUNCHER), "1", "/bin/true"], capture_output=True, text=True
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
            assert all(url.startswith("unix://") for url in urls)
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
        with ports.reserve(0) as free:
            listen = "127.0.0.1", free.getsockname()[1]
        async with EmbeddedEtcd(tmp_path, binary, listen=listen) as etcd:
            assert etcd.endpoint == f"127.0.0.1:{listen[1]}"
            with pytest.raises(Unavailable, match=f"etcd cannot listen on {etcd.endpoint}: Address already in use"):
                await EmbeddedEtcd(tmp_path / "other", binary, listen=listen).start()

    async def test_a_port_taken_at_the_last_moment_is_given_up(
        self, tmp_path: Path, binary: EtcdBinary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken: list[int] = []
        reserve = ports.reserve

        def lose_the_first(port: int, host: str = "127.0.0.1") -> socket.socket:
            reserved = reserve(port, host)
            if not taken:
                reserved.listen()
            taken.append(reserved.getsockname()[1])
            return reserved

        monkeypatch.setattr(embedded_etcd, "reserve", lose_the_first)
        async with EmbeddedEtcd(tmp_path, binary, listen=("127.0.0.1", 0)) as etcd:
            assert len(taken) == 2
            assert etcd.endpoint == f"127.0.0.1:{taken[1]}"

    @pytest.mark.parametrize(("quota", "port"), [(0, 0), (-1, 0), (1, -1), (1, 65536)])
    def test_numbers_out_of_range(self, tmp_path: Path, binary: EtcdBinary, quota: int, port: int) -> None:
        with pytest.raises(InvalidInput, match="must be"):
            EmbeddedEtcd(tmp_path, binary, quota_bytes=quota, listen=("127.0.0.1", port))
