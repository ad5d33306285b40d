"""A whole coordinator as a process: how it starts, stops, fails, and what it tells while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from coordinator import AsyncClient, Client, CoordinatorError, InvalidInput
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

COMMAND = str(Path(sys.executable).with_name("coordination"))
FREE_PORTS = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
_READY = re.compile(r"coordinator ready: grpc (\S+), metrics (\S+), etcd (\S+)\n?")
_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/#@+-]+)(?: |$)')


class Etcd(Protocol):
    endpoint: str
    pid: int


class Coordinator(Protocol):
    endpoint: str
    metrics_url: str
    process: subprocess.Popen[str]


RunEtcd = Callable[[Path], AbstractContextManager[Etcd]]
RunCoordinator = Callable[..., AbstractContextManager[Coordinator]]
Etcdctl = Callable[..., str]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}


def run(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def logging_to(log: Path, *arguments: str) -> Iterator[str]:
    """Run a coordinator whose log goes to a file; yields its endpoint."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [COMMAND, *arguments, *FREE_PORTS], env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        ready = _READY.fullmatch(process.stdout.readline())
        assert ready, log.read_text()
        yield ready[1]
        process.terminate()
        assert process.wait(timeout=30) == 0


def pairs(line: str) -> dict[str, str]:
    """Read a line of the log; all of it must be pairs."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        pair = _PAIR.match(line, position)
        assert pair, f"not logfmt from {position} on: {line}"
        assert pair[1] not in found, f"{pair[1]} twice: {line}"
        found[pair[1]] = json.loads(pair[2]) if pair[2].startswith('"') else pair[2]
        position = pair.end()
    return found


def samples(url: str) -> dict[str, float]:
    """Read the metrics: ``name{label=value,…}`` without the prefix, labels in alphabetical order."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # the address of our own coordinator
        page = response.read().decode()
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('coordination_')}{{{labels}}}"] = sample.value
    return found


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


class TestStarting:
    @pytest.mark.parametrize(
        ("option", "other", "says"),
        [
            ("--listen", "--metrics-listen", "the coordinator cannot listen on 127.0.0.1:{}: the address is taken"),
            ("--metrics-listen", "--listen", "the metrics cannot be served on 127.0.0.1:{}: Address already in use"),
        ],
    )
    def test_a_taken_port_is_told(self, etcd: Etcd, taken_port: int, option: str, other: str, says: str) -> None:
        done = run("serve", "--etcd", etcd.endpoint, option, f"127.0.0.1:{taken_port}", other, "127.0.0.1:0")
        assert done.returncode == 3
        assert says.format(taken_port) in done.stderr
        assert "port 0 picks a free one" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""

    def test_an_etcd_that_is_not_there_is_told(self) -> None:
        done = run("serve", "--etcd", "127.0.0.1:1", *FREE_PORTS)
        assert done.returncode == 3
        assert "etcd at 127.0.0.1:1 cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("option", ["--listen", "--metrics-listen"])
    @pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:7420"])
    def test_beyond_this_host_only_when_told_to(self, etcd: Etcd, option: str, address: str) -> None:
        done = run("serve", "--etcd", etcd.endpoint, option, address)
        assert done.returncode == 2
        assert f"{option} {address} can be reached from other hosts" in done.stderr
        assert "--insecure" in done.stderr

    def test_up_refuses_before_it_starts_anything(self, tmp_path: Path) -> None:
        done = run("up", "--data-dir", str(tmp_path / "data"), "--listen", "0.0.0.0:0")
        assert done.returncode == 2
        assert not (tmp_path / "data").exists()

    def test_insecure_listens_everywhere(self, etcd: Etcd) -> None:
        command = [COMMAND, "serve", "--etcd", etcd.endpoint, "--listen", "0.0.0.0:0", "--insecure"]
        command += ["--metrics-listen", "127.0.0.1:0"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            ready = _READY.fullmatch(process.stdout.readline())
            assert ready
            assert ready[1].startswith("0.0.0.0:")
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
                os.kill(etcd.pid, signal.SIGSTOP)
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

    def test_an_interrupt_ends_it_with_130(self, etcd: Etcd, run_coordinator: RunCoordinator) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            own.process.send_signal(signal.SIGINT)
            assert own.process.wait(timeout=30) == 130

    async def test_who_watches_the_health_is_told_and_does_not_hold_it_up(
        self, run_coordinator: RunCoordinator, etcd: Etcd
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as coordinator:
            ended = os.pidfd_open(coordinator.process.pid)
            async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
                watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
                seen = []
                async for told in watch:
                    seen.append(health_pb2.HealthCheckResponse.ServingStatus.Name(told.status))
                    if seen == ["SERVING"]:
                        coordinator.process.terminate()
            assert seen == ["SERVING", "NOT_SERVING"]
            # Calls in flight are given ten seconds; a watch is none of them.
            assert select.select([ended], [], [], 8)[0]
            os.close(ended)
            assert coordinator.process.wait(timeout=10) == 0


class TestUp:
    def test_a_second_one_on_the_same_data_is_refused_with_the_pid_of_the_first(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as first:
            second = run("up", "--data-dir", str(tmp_path), *FREE_PORTS)
            assert second.returncode == 3
            assert f"another coordinator (pid {first.process.pid}) is already running on {tmp_path}" in second.stderr
            assert "--data-dir" in second.stderr
            with Client(first.endpoint) as client:
                assert client.status().healthy

    def test_in_the_background_until_it_is_told_to_stop(self, tmp_path: Path) -> None:
        up = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
        assert up.returncode == 0, up.stderr
        ready = _READY.fullmatch(up.stdout)
        assert ready
        with Client(ready[1]) as client:
            assert client.claim("s", "task:x").attempt == 1
        holder = int((tmp_path / "lock").read_text())
        ended = os.pidfd_open(holder)
        again = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
        assert again.returncode == 3
        assert again.stderr.startswith(
            f"error: another coordinator (pid {holder}) is already running on {tmp_path}\nhint: "
        )

        down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
        assert down.returncode == 0, down.stderr
        assert down.stdout == f"stopped the coordinator (pid {holder})\n"
        assert select.select([ended], [], [], 0)[0], "`down` said so before it had ended"
        os.close(ended)
        assert run("down", "--data-dir", str(tmp_path)).returncode == 1
        assert run("down", "--data-dir", str(tmp_path / "never-used")).returncode == 1

    def test_in_the_background_what_went_wrong_is_told(self, tmp_path: Path) -> None:
        wrong = run("up", "--detach", "--data-dir", str(tmp_path), "--etcd", str(tmp_path / "none"), *FREE_PORTS)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith("error: ")
        assert str(tmp_path / "none") in wrong.stderr
        (tmp_path / "file").touch()
        unusable = run("up", "--detach", "--data-dir", str(tmp_path / "file"), *FREE_PORTS)
        assert unusable.returncode == 2
        assert "cannot be used as data directory" in unusable.stderr

    def test_claims_survive_a_kill_and_a_start(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as first:
            with Client(first.endpoint) as client:
                claim = client.claim("s", "task:live", note="half done")
                client.claim("s", "task:finished")
                client.complete("s", "task:finished", result="done")
            first.process.kill()
            first.process.wait(timeout=30)
        with run_coordinator("up", "--data-dir", str(tmp_path)) as second, Client(second.endpoint) as client:
            story = client.get("task:live")
            assert story.claim is not None
            assert (story.claim.session, story.claim.fencing_token) == ("s", claim.fencing_token)
            assert story.claim.note == "half done"
            assert client.get("task:finished").record.result == "done"
            assert client.complete("s", "task:live", token=claim.fencing_token).attempt == 1

    def test_when_etcd_ends_it_ends_and_says_so(self, tmp_path: Path) -> None:
        command = [COMMAND, "up", "--data-dir", str(tmp_path), *FREE_PORTS]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert _READY.fullmatch(process.stdout.readline())
            (etcd,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
            os.kill(etcd, signal.SIGKILL)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 3
        assert "etcd has ended by itself, with exit code -9" in said
        assert "claims are kept" in said
        assert "Traceback" not in said

    def test_etcd_does_not_outlive_a_killed_coordinator(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            pid = own.process.pid
            (etcd,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            ended = os.pidfd_open(etcd)
            own.process.kill()
            assert select.select([ended], [], [], 30)[0], "etcd goes on without its coordinator"
            os.close(ended)


class TestMetrics:
    def test_they_count_what_was_done(
        self, etcd: Etcd, run_coordinator: RunCoordinator, etcdctl: Etcdctl, fleet: str
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            with Client(own.endpoint, fleet=fleet) as one, Client(own.endpoint, fleet=fleet) as two:
                for key in ("task:a", "task:b", "blog:c"):
                    one.claim("one", key)
                one.claim("one", "task:a")
                for key in ("task:a", "task:a", "blog:c"):
                    two.try_claim("two", key)
                one.complete("one", "task:a")
                two.try_claim("two", "task:a")
                one.release("one", "task:b")
                one.revoke("blog:c")
                one.claim("one", "task:expired", 86_002)
                value = etcdctl("get", f"/coordination/v1/{fleet}/claim/task:expired", "-w", "json")
                etcdctl("lease", "revoke", f"{json.loads(value)['kvs'][0]['lease']:x}")
                assert one.reap() == 1
                with pytest.raises(InvalidInput):
                    one.claim("", "task:a")
                status = one.status()
            found = samples(own.metrics_url)

        assert {name: value for name, value in found.items() if name.startswith("claims_total")} == {
            "claims_total{kind=task,outcome=granted}": 3,
            "claims_total{kind=blog,outcome=granted}": 1,
            "claims_total{kind=task,outcome=renewed}": 1,
            "claims_total{kind=task,outcome=denied}": 3,
            "claims_total{kind=blog,outcome=denied}": 1,
        }
        assert {name: value for name, value in found.items() if name.startswith("denials_total")} == {
            "denials_total{kind=task,reason=held}": 2,
            "denials_total{kind=task,reason=completed}": 1,
            "denials_total{kind=blog,reason=held}": 1,
        }
        assert found["completions_total{kind=task,late=false}"] == 1
        assert {name: value for name, value in found.items() if name.startswith("abandonments_total")} == {
            "abandonments_total{cause=released,kind=task}": 1,
            "abandonments_total{cause=revoked,kind=blog}": 1,
            "abandonments_total{cause=expired,kind=task}": 1,
        }
        # However often a session asked, it counts once per attempt.
        assert found["contenders_per_claim_count{}"] == 4
        assert found["contenders_per_claim_sum{}"] == 2
        assert found["claim_held_seconds_count{ended=completed,kind=task}"] == 1
        assert found["reap_lag_seconds_count{}"] == 1
        assert found["rpc_seconds_count{code=OK,method=Claim}"] == 9
        assert found["rpc_seconds_count{code=INVALID_ARGUMENT,method=Claim}"] == 1
        assert found["etcd_transaction_seconds_count{}"] >= 9
        assert [value for name, value in found.items() if name.startswith("build_info{version=")] == [1]
        assert (status.convergence_rate.granted, status.convergence_rate.denied) == (4, 4)
        assert status.convergence_rate.value == 0.5

    async def test_inventing_kinds_does_not_make_them_grow(
        self, etcd: Etcd, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            async with AsyncClient(own.endpoint, fleet=fleet, timeout=30) as client:
                await asyncio.gather(*(client.claim("s", f"kind{number}:x") for number in range(200)))
            found = samples(own.metrics_url)
        granted = {name: value for name, value in found.items() if name.startswith("claims_total{")}
        assert len(granted) == 65
        assert granted["claims_total{kind=other,outcome=granted}"] == 200 - 64
        assert sum(granted.values()) == 200


class TestLog:
    def test_one_line_a_decision_and_no_caller_can_forge_one(self, etcd: Etcd, tmp_path: Path, fleet: str) -> None:
        log = tmp_path / "log"
        forged = 'x" \ntime=2026-06-14T00:00:00.000Z level=info event=granted fleet=default session=forged'
        odd = 's=1 event=granted "quoted" \\ back\u00f6'
        with (
            logging_to(log, "serve", "--etcd", etcd.endpoint) as endpoint,
            Client(endpoint, fleet=fleet) as one,
            Client(endpoint, fleet=fleet) as two,
        ):
            claim = one.claim(odd, "task:a")
            one.claim(odd, "task:a")
            two.try_claim("two", "task:a")
            one.complete(odd, "task:a", result=forged)
            two.try_claim("two", "task:a")
            two.claim("two", f"url:https://example.org/?event=granted&x={'y' * 20}", note=forged)
            two.release("two", f"url:https://example.org/?event=granted&x={'y' * 20}", reason=forged)
            one.reap()
            for session, key in (
                (forged, "task:b"),
                ("two\u2028event=granted", "task:b"),
                ("two", "task:b\nlevel=info"),
            ):
                with pytest.raises(InvalidInput):
                    two.claim(session, key)
            with pytest.raises(CoordinatorError):
                two.complete("two", "task:never")

        lines = [pairs(line) for line in log.read_text().split("\n")[:-1]]
        assert all(list(line)[:3] == ["time", "level", "event"] for line in lines)
        of_fleet = [line for line in lines if line.get("fleet") == fleet]
        assert [line["event"] for line in of_fleet] == [
            "granted",
            "renewed",
            "denied",
            "completed",
            "denied",
            "granted",
            "released",
            "reaped",
            *["refused"] * 4,
        ]
        granted, renewed, held, completed, denied, *_ = of_fleet
        assert granted["session"] == renewed["session"] == completed["session"] == odd
        assert granted["fencing_token"] == renewed["fencing_token"] == str(claim.fencing_token)
        assert (held["reason"], held["holder"]) == ("held", odd)
        assert (denied["reason"], denied["session"], denied["work_key"]) == ("completed", "two", "task:a")
        refusals = of_fleet[-4:]
        assert refusals[0]["session"] == forged
        assert [line["code"] for line in refusals] == ["INVALID_ARGUMENT"] * 3 + ["NOT_FOUND"]
        assert not [line for line in lines if line.get("session") == "forged"]
