"""A whole coordinator as a process: how it starts, fails to, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator import AsyncClient, Client, server
from coordinator.net.listeners import hold
from coordinator.server_settings import ServerSettings
from coordinator.service import drain
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.freezing import freeze
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, RunCoordinator, RunEtcd, environment, run


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


class TestStarting:
    @pytest.mark.parametrize(
        ("option", "other", "says"),
        [
            ("--listen", "--metrics-listen", "the coordinator cannot listen on 127.0.0.1:{}: pid {} ("),
            ("--metrics-listen", "--listen", "the metrics endpoint cannot listen on 127.0.0.1:{}: pid {} ("),
        ],
    )
    def test_a_taken_port_is_reported(
        self, etcd: RunningEtcd, taken_port: int, option: str, other: str, says: str
    ) -> None:
        done = run("serve", "--etcd", etcd.endpoint, option, f"127.0.0.1:{taken_port}", other, "127.0.0.1:0")
        assert done.returncode == 3
        assert says.format(taken_port, os.getpid()) in done.stderr
        assert "port 0 picks a free one" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

    def test_an_etcd_that_is_not_there_is_reported(self) -> None:
        done = run("serve", "--etcd", "127.0.0.1:1", *FREE_PORTS)
        assert done.returncode == 3
        assert "etcd at 127.0.0.1:1 cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.long_but_for("0.0.0.0:0---metrics-listen", "example.org:7420---listen")
    @pytest.mark.parametrize("option", ["--listen", "--metrics-listen"])
    @pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:7420"])
    def test_beyond_this_host_only_when_configured(self, etcd: RunningEtcd, option: str, address: str) -> None:
        done = run("serve", "--etcd", etcd.endpoint, option, address)
        assert done.returncode == 2
        assert f"{option} {address} can be reached from other hosts" in done.stderr
        assert "--insecure" in done.stderr

    def test_up_refuses_before_it_starts_anything(self, tmp_path: Path) -> None:
        done = run("up", "--data-dir", str(tmp_path / "data"), "--listen", "0.0.0.0:0")
        assert done.returncode == 2
        assert not (tmp_path / "data").exists()

    def test_insecure_listens_everywhere(self, etcd: RunningEtcd) -> None:
        command = [COMMAND, "serve", "--etcd", etcd.endpoint, "--listen", "0.0.0.0:0", "--insecure"]
        command += ["--metrics-listen", "127.0.0.1:0"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            ready = READY.fullmatch(process.stdout.readline())
            assert ready
            assert ready[1].startswith("0.0.0.0:")
            # Metrics only: there is no board.
            assert ready[4] is None
            process.terminate()
            assert process.wait(timeout=30) == 0


class TestStopping:
    async def test_calls_in_flight_are_answered_before_it_ends(
        self, run_etcd: RunEtcd, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        """etcd is stopped until the coordinator has begun to shut down, so that no call can be answered sooner."""
        with (
            run_etcd(tmp_path) as etcd,
            run_coordinator("serve", "--etcd", etcd.endpoint) as own,
        ):
            async with grpc.aio.insecure_channel(own.endpoint) as channel:
                stub, health = CoordinatorServiceStub(channel), health_pb2_grpc.HealthStub(channel)
                watching = health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
                freeze(etcd.pid)
                try:
                    requests = [pb.ClaimRequest(session="s", work_key=f"task:{number}") for number in range(50)]
                    calls = [asyncio.ensure_future(stub.Claim(request, timeout=9)) for request in requests]
                    # Answered, it shows that the coordinator takes calls up: those before it arrived before it.
                    await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                    own.process.terminate()
                    assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                    assert not any(call.done() for call in calls)
                finally:
                    os.kill(etcd.pid, signal.SIGCONT)
                answers = await asyncio.gather(*calls)
                assert Counter(answer.outcome for answer in answers) == {types.OUTCOME_GRANTED: 50}
            assert await asyncio.to_thread(own.process.wait, 30) == 0

    async def test_a_backlog_of_calls_is_answered_before_it_ends(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator
    ) -> None:
        """More calls than the loop takes up in a quarter of a second: gRPC cancels those that it still keeps.

        On a machine that does other work too, a few dozen calls are such a backlog.
        """
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            async with contextlib.AsyncExitStack() as stack:
                # What a connection does not take at a time is kept by the caller, and has not arrived.
                own_connection = [("grpc.use_local_subchannel_pool", 1)]
                calls = []
                for connection in range(15):
                    channel = grpc.aio.insecure_channel(own.endpoint, options=own_connection)
                    stub = CoordinatorServiceStub(await stack.enter_async_context(channel))
                    await channel.channel_ready()
                    requests = [pb.GetRequest(work_key=f"task:{connection}-{number}") for number in range(100)]
                    calls += [asyncio.ensure_future(stub.Get(request, timeout=60)) for request in requests]
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                own.process.terminate()
                done = await asyncio.gather(*calls, return_exceptions=True)
            refused = [answer for answer in done if isinstance(answer, grpc.aio.AioRpcError)]
            assert len(done) - len(refused) > 100
            # Which of them are refused depends on how busy the machine is; each knows what became of it.
            assert {(error.code(), error.details()) for error in refused} <= {
                (grpc.StatusCode.UNAVAILABLE, "this coordinator is stopping")
            }
            assert await asyncio.to_thread(own.process.wait, 30) == 0

    async def test_calls_that_come_while_it_ends_are_refused_and_nothing_is_done(
        self, etcd: RunningEtcd, coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the last of a backlog that takes longer than it answers at shutdown."""
        monkeypatch.setattr(drain, "_ANSWERING_SECONDS", -1.0)
        own = server.Server(
            ServerSettings(etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
        )
        await own.start()
        async with grpc.aio.insecure_channel(own.endpoint) as channel:
            stub = CoordinatorServiceStub(channel)
            granted = 0
            stopping = asyncio.ensure_future(own.stop())
            with pytest.raises(grpc.aio.AioRpcError, match="this coordinator is stopping") as refused:
                while True:
                    await stub.Claim(pb.ClaimRequest(fleet=fleet, session="s", work_key=f"task:{granted}"), timeout=30)
                    granted += 1
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            await stopping
        async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
            assert len([claim async for claim in client.list()]) == granted

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
    def test_an_interrupt_or_a_closed_terminal_ends_it_in_order(
        self, number: signal.Signals, code: int, etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        audit = tmp_path / "audit"
        with run_coordinator("serve", "--etcd", etcd.endpoint, "--audit-log", str(audit)) as own:
            own.process.send_signal(number)
            assert own.process.wait(timeout=30) == code
        assert "event=stopped" in audit.read_text()

    def test_under_nohup_it_goes_on(self, etcd: RunningEtcd, run_coordinator: RunCoordinator) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
                status = Path(f"/proc/{own.process.pid}/status").read_text()
                ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
                assert ignored >> (signal.SIGHUP - 1) & 1
        finally:
            signal.signal(signal.SIGHUP, before)

    async def test_a_watcher_of_the_health_is_informed_and_does_not_delay_the_end(
        self, run_coordinator: RunCoordinator, etcd: RunningEtcd
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as coordinator:
            ended = os.pidfd_open(coordinator.process.pid)
            async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
                watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
                seen = []
                async for update in watch:
                    seen.append(health_pb2.HealthCheckResponse.ServingStatus.Name(update.status))
                    if seen == ["SERVING"]:
                        coordinator.process.terminate()
            assert seen == ["SERVING", "NOT_SERVING"]
            # Calls in flight are given ten seconds; a watch is none of them.
            assert select.select([ended], [], [], 8)[0]
            os.close(ended)
            assert coordinator.process.wait(timeout=10) == 0


class TestAlone:
    """A client that asks for it by a name of this host reaches no other (issue 12, number 24)."""

    @pytest.mark.long_but_for("up-127.0.0.1-localhost", "serve-[::1]-[::]")
    @pytest.mark.parametrize(
        ("first", "second"),
        [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost"), ("127.0.0.1", "[::1]"), ("[::1]", "[::]")],
    )
    @pytest.mark.parametrize("command", ["up", "serve"])
    def test_no_second_one_starts_beside_it(
        self, command: str, first: str, second: str, etcd: RunningEtcd, tmp_path: Path
    ) -> None:
        with own_coordinator("serve", "--etcd", etcd.endpoint, "--listen", f"{first}:0") as (pid, endpoint):
            port = endpoint.rpartition(":")[2]
            store = ("--data-dir", str(tmp_path)) if command == "up" else ("--etcd", etcd.endpoint)
            options = ("--listen", f"{second}:{port}", "--metrics-listen", "127.0.0.1:0", "--insecure")
            done = run(command, *store, *options)
            assert done.returncode == 3
            assert (
                f"the coordinator cannot listen on {second}:{port}: pid {pid} (coordination) listens on " in done.stderr
            )
            assert done.stdout == ""

    def test_so_it_is_with_the_metrics(self, etcd: RunningEtcd, run_coordinator: RunCoordinator) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            port = own.metrics_url.removesuffix("/metrics").rpartition(":")[2]
            done = run("serve", "--etcd", etcd.endpoint, "--listen", "127.0.0.1:0", "--metrics-listen", f"[::1]:{port}")
            assert done.returncode == 3
            assert f"cannot listen on [::1]:{port}: pid {own.process.pid} (coordination) listens on" in done.stderr

    def test_it_listens_on_every_address_of_localhost(self, etcd: RunningEtcd) -> None:
        with own_coordinator("serve", "--etcd", etcd.endpoint, "--listen", "localhost:0") as (_, endpoint):
            port = int(endpoint.rpartition(":")[2])
            assert endpoint == f"localhost:{port}"
            for address in ("127.0.0.1", "[::1]"):
                with Client(f"{address}:{port}", timeout=10) as client:
                    assert client.status().healthy

    def test_of_two_at_once_at_most_one_starts(self, etcd: RunningEtcd) -> None:
        with hold("localhost", 0, what="the test", option="--listen") as held:
            port = held.port
        commands = [
            [COMMAND, "serve", "--etcd", etcd.endpoint, "--listen", f"{host}:{port}", "--metrics-listen", "127.0.0.1:0"]
            for host in ("127.0.0.1", "[::1]", "localhost")
        ]
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(
                    subprocess.Popen(
                        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                    )
                )
                for command in commands
            ]
            ready = [bool(each.stdout and each.stdout.readline()) for each in started]
            for each in started:
                each.terminate()
        assert sum(ready) <= 1
        assert {each.wait(30) for each in started} <= {0, 3}


@contextlib.contextmanager
def own_coordinator(*arguments: str) -> Iterator[tuple[int, str]]:
    """Run a coordinator that listens where the arguments say; yields its pid and its endpoint."""
    command = [COMMAND, *arguments, "--metrics-listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready
        yield process.pid, ready[1]
        process.terminate()
        assert process.wait(timeout=30) == 0
