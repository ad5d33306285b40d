"""An embedded etcd that ends by itself is started again, where it was, as long as that can help."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from coordinator import Client, CoordinatorError, TryAgain
from coordinator.errors import InternalError, Unavailable
from coordinator.store.embedded import EmbeddedEtcd, find_etcd, keep_running, supervision
from coordinator.store.embedded.exit_causes import find_cause
from tests.freezing import freeze
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, RunCoordinator, await_line, environment, pairs


def child_of(pid: int) -> int:
    (etcd,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return etcd


class TestUnderUp:
    def test_a_killed_one_comes_back_where_it_was_with_all_claims(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        with (
            run_coordinator("up", "--data-dir", str(tmp_path / "data"), "--log-file", str(log)) as own,
            Client(own.endpoint, timeout=30) as client,
        ):
            held = client.claim("s", "task:held")
            etcd = child_of(own.process.pid)
            os.kill(etcd, signal.SIGKILL)
            # Asked while etcd is away, the call waits and is answered.
            found = client.get("task:held").claim
            assert found is not None
            assert (found.session, found.fencing_token) == ("s", held.fencing_token)
            again = await_line(log, "etcd started again")
            assert again["etcd"] == own.etcd
            assert int(again["etcd_pid"]) == child_of(own.process.pid) != etcd
            assert client.claim("s", "task:new").attempt == 1
            assert client.complete("s", "task:held", token=held.fencing_token).attempt == 1

    def test_while_it_is_away_calls_fail_in_the_typed_way(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        with (
            run_coordinator("up", "--data-dir", str(tmp_path / "data"), "--log-file", str(log)) as own,
            Client(own.endpoint, timeout=0.2) as client,
        ):
            os.kill(child_of(own.process.pid), signal.SIGKILL)
            await_line(log, "etcd ended")
            try:
                client.claim("s", "task:x")
            except CoordinatorError as error:
                assert isinstance(error, TryAgain)  # it may also have come back in time
            await_line(log, "etcd started again")
            with Client(own.endpoint, timeout=30) as patient:
                assert patient.status().healthy

    @pytest.mark.long
    def test_one_that_is_killed_again_and_again_is_given_up(self, tmp_path: Path) -> None:
        command = [COMMAND, "up", "--data-dir", str(tmp_path), *FREE_PORTS]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert READY.fullmatch(process.stdout.readline())
            os.kill(child_of(process.pid), signal.SIGKILL)
            ends = 1
            said = []
            for line in process.stderr:
                said.append(line)
                if 'event="etcd started again"' in line:
                    os.kill(child_of(process.pid), signal.SIGKILL)
                    ends += 1
            assert process.wait(30) == 3
        assert ends == supervision.GIVEN_UP_AFTER
        error, hint = said[-2:]
        assert error == (
            f"error: etcd has ended by itself, with exit code -9; that was the {ends}th time in a short period, so it "
            "is not restarted again\n"
        )
        assert "claims are kept" in hint
        assert not [line for line in said if "Traceback" in line]

    def test_damaged_data_are_given_up_at_once(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with run_coordinator("up", "--data-dir", str(tmp_path / "data"), "--log-file", str(log)) as own:
            etcd = child_of(own.process.pid)
            freeze(etcd)
            for segment in (tmp_path / "data" / "etcd" / "member" / "wal").glob("*.wal"):
                with segment.open("rb+") as file:
                    file.seek(100)
                    file.write(b"\xff" * 1000)
            os.kill(etcd, signal.SIGKILL)
            assert own.process.wait(60) == 3
        last = [pairs(line) for line in log.read_text().splitlines() if "event=stop" in line]
        assert [line["event"] for line in last] == ["stopping", "stopped"]
        assert "its data are damaged" in last[0]["why"]


class TestRestarting:
    async def test_only_one_that_has_ended(self, tmp_path: Path) -> None:
        async with EmbeddedEtcd(tmp_path, find_etcd()) as etcd:
            with pytest.raises(InternalError, match="has not ended"):
                await etcd.restart()

    async def test_one_that_hangs_while_it_is_started_is_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        etcd = EmbeddedEtcd(tmp_path, find_etcd())
        await etcd.start()
        keeping = asyncio.create_task(keep_running(etcd))
        monkeypatch.setattr("coordinator.store.embedded.embedded_etcd.START_SECONDS", 0.0)
        os.kill(etcd.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"did not serve within 0 s .*; that was the 6th time in a short period"):
            await keeping
        assert etcd._started().returncode is not None
        await etcd.stop()

    async def test_its_log_is_kept_short_while_it_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervision, "LOG_CHECK_SECONDS", 0.01)
        log = tmp_path / "etcd.log"
        async with EmbeddedEtcd(tmp_path, find_etcd()) as etcd:
            keeping = asyncio.create_task(keep_running(etcd))
            with log.open("a") as file:
                file.write("filling\n" * 1_500_000)
                file.write("latest\n")
            async with asyncio.timeout(30):
                while log.stat().st_size > 1_100_000:  # noqa: ASYNC110  # a file has no event
                    await asyncio.sleep(0.01)  # a file has no event of asyncio's
            assert log.read_text().endswith("filling\nlatest\n")
            os.kill(etcd.pid, signal.SIGKILL)
            await etcd.wait()
            assert "latest" in etcd.why_it_ended()[1]
            keeping.cancel()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("write /x/wal/0.tmp: no space left on device", "there is no space left where it keeps its data"),
        ("open /x/member: permission denied", "it may not write where it keeps its data"),
        ("discovery failed: walpb: CRC mismatch", "its data are damaged"),
        ("panic: failed to open database: invalid database", "its data are damaged"),
    ],
)
def test_causes_that_can_be_read(said: str, what: str) -> None:
    cause = find_cause(f"before\n{said}\nafter")
    assert cause is not None
    assert cause.what == what


def test_other_words_are_no_cause() -> None:
    assert find_cause("connection refused\nsignal: killed\n") is None
