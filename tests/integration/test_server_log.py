"""What a coordinator writes into its log."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from coordinator import Client, CoordinatorError, __version__
from coordinator.v1.service_pb2 import ClaimRequest
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningEtcd
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, await_line, environment, logging_to, pairs, run


def await_text(log: Path, text: str, seconds: float = 60) -> None:
    """Wait until a text stands in the log."""
    until = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < until, (text, log.read_text())
        time.sleep(0.05)


class TestLog:
    def test_one_line_a_decision_and_no_caller_can_forge_one(
        self, etcd: RunningEtcd, tmp_path: Path, fleet: str
    ) -> None:
        log = tmp_path / "log"
        forged = 'x" \ntime=2026-06-14T00:00:00.000Z level=info event=granted fleet=default session=forged'
        odd = "s:1/event@granted+level-info"
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
                # Our clients would not send it.
                with pytest.raises(grpc.RpcError), grpc.insecure_channel(endpoint) as channel:
                    CoordinatorServiceStub(channel).Claim(ClaimRequest(fleet=fleet, session=session, work_key=key))
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

    def test_37_each_end_has_a_line_with_its_own_attempt(self, etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
        log = tmp_path / "log"
        with logging_to(log, "serve", "--etcd", etcd.endpoint) as endpoint, Client(endpoint, fleet=fleet) as client:
            for name in ("released", "revoked", "expired"):
                client.claim("one", f"task:{name}")
                client.complete("one", f"task:{name}")
            for name in ("released", "revoked"):
                client.claim("two", f"task:{name}", reopen=True)
            client.release("two", "task:released")
            client.revoke("task:revoked", reason="wrong", at_once=True)
            client.claim("two", "task:expired", 5, reopen=True)
            client.claim("two", "task:late", 5)
            client.claim("two", "task:taken-up", 5)
            for name in ("expired", "late", "taken-up"):
                await_text(log, f"event=expired fleet={fleet} work_key=task:{name} ")
            client.complete("two", "task:late")
            client.release("two", client.claim("two", "task:taken-up").work_key)
        ends = [
            (line["event"], line["work_key"].removeprefix("task:"), line["session"], line["attempt"])
            for line in map(pairs, log.read_text().split("\n")[:-1])
            if line.get("fleet") == fleet and line["event"] in ("completed", "released", "revoked", "expired")
        ]
        assert sorted(ends[3:]) == [
            ("completed", "late", "two", "1"),
            ("expired", "expired", "two", "2"),
            ("expired", "late", "two", "1"),
            ("expired", "taken-up", "two", "1"),
            ("released", "released", "two", "2"),
            ("released", "taken-up", "two", "2"),
            ("revoked", "revoked", "two", "2"),
        ]


class TestReaders:
    """Whether its log is read or not, a coordinator continues and can be stopped."""

    @staticmethod
    def start(etcd: RunningEtcd, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [COMMAND, "serve", "--etcd", etcd.endpoint, *FREE_PORTS, *arguments]
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready
        return process, ready[1]

    def test_a_pipe_that_is_not_read_delays_nothing(self, etcd: RunningEtcd, fleet: str) -> None:
        process, endpoint = self.start(etcd)
        with process, Client(endpoint, fleet=fleet, timeout=30) as client:
            for batch in range(3):
                claimed = client.claim_many("s", [f"task:{batch}-{number}" for number in range(500)])
                assert len(claimed) == 500
            process.terminate()
            assert process.wait(30) == 0
            assert process.stderr is not None
            said = process.stderr.read()
        assert "event=started" in said
        assert "event=stopping" not in said, "the pipe was not full"

    def test_a_reader_that_has_gone_stops_no_other(self, etcd: RunningEtcd, fleet: str) -> None:
        process, endpoint = self.start(etcd)
        with process, Client(endpoint, fleet=fleet) as client:
            assert process.stderr is not None
            process.stderr.close()
            for number in range(3):
                assert client.claim("s", f"task:{number}").attempt == 1
            process.terminate()
            assert process.wait(30) == 0

    def test_it_starts_although_the_ready_line_cannot_be_written(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        log = tmp_path / "log"
        reader, writer = os.pipe()
        os.close(reader)
        command = [COMMAND, "serve", "--etcd", etcd.endpoint, *FREE_PORTS, "--log-file", str(log)]
        with subprocess.Popen(command, env=environment(), stdout=writer) as process:
            os.close(writer)
            while not log.exists():
                assert process.poll() is None
            endpoint = await_line(log, "started")["grpc"]
            with Client(endpoint) as client:
                assert client.status().healthy
            process.terminate()
            assert process.wait(30) == 0


class TestOptions:
    def test_start_and_stop_are_logged(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with logging_to(log, "serve", "--etcd", etcd.endpoint) as endpoint:
            pass
        lines = [pairs(line) for line in log.read_text().splitlines()]
        started, stopping, stopped = [line for line in lines if line["event"] in ("started", "stopping", "stopped")]
        assert (lines[0], lines[-1]) == (started, stopped)
        assert (started["event"], started["version"], started["grpc"]) == ("started", __version__, endpoint)
        assert (started["etcd"], started["metrics"][:7]) == (etcd.endpoint, "http://")
        assert (stopping["event"], stopping["why"]) == ("stopping", "SIGTERM")
        assert (stopped["event"], stopped["pid"]) == ("stopped", started["pid"])

    @pytest.mark.parametrize("how", ["option", "variable"])
    def test_what_is_less_grave_is_left_out(self, how: str, etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
        log = tmp_path / "log"
        option = ["--log-level", "error"] if how == "option" else []
        variable = {"COORDINATION_LOG_LEVEL": "error"} if how == "variable" else {}
        with (
            logging_to(log, "serve", "--etcd", etcd.endpoint, *option, **variable) as endpoint,
            Client(endpoint, fleet=fleet) as client,
        ):
            client.claim("s", "task:x")
        assert log.read_text() == ""

    @pytest.mark.parametrize("command", [["up"], ["up", "--detach"], ["serve", "--etcd", "127.0.0.1:1"]])
    def test_a_level_that_is_none_is_refused(self, command: list[str], tmp_path: Path) -> None:
        data = ["--data-dir", str(tmp_path / "data")] if command[0] == "up" else []
        done = run(*command, *data, "--log-level", "loud")
        assert done.returncode == 2
        assert done.stderr == "error: 'loud' is not a log level; allowed are debug, info, warning, error\n"
        assert not (tmp_path / "data").exists()

    def test_a_file_that_cannot_be_written_is_refused(self, etcd: RunningEtcd, tmp_path: Path) -> None:
        for named, says in (("", "--log-file is empty"), (str(tmp_path), f"the log {tmp_path} cannot be written")):
            done = run("serve", "--etcd", etcd.endpoint, "--log-file", named, *FREE_PORTS)
            assert done.returncode == 2
            assert done.stderr.startswith(f"error: {says}")
