"""A coordinator with an etcd of its own, at the terminal and in the background."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator import Client
from tests.freezing import freeze
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, RunCoordinator, environment, pairs, run

#: Becomes the command named, without root's right to pass over the modes of files. Figures from <linux/prctl.h> and
#: <linux/capability.h>: PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH. Who is not root has no such right.
_OBEYING_MODES = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


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

    def test_in_the_background_until_it_is_stopped(self, tmp_path: Path) -> None:
        up = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
        assert up.returncode == 0, up.stderr
        ready = READY.fullmatch(up.stdout)
        assert ready
        with Client(ready[1]) as client:
            assert client.claim("s", "task:x").attempt == 1
        holder = int((tmp_path / "lock").read_text())
        ended = os.pidfd_open(holder)

        down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
        assert down.returncode == 0, down.stderr
        assert down.stdout == f"stopped the coordinator (pid {holder})\n"
        assert select.select([ended], [], [], 0)[0], "`down` said so before it had ended"
        os.close(ended)
        assert run("down", "--data-dir", str(tmp_path)).returncode == 1
        assert run("down", "--data-dir", str(tmp_path / "never-used")).returncode == 1

    def test_in_the_background_what_went_wrong_is_reported(self, tmp_path: Path) -> None:
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
            details = client.get("task:live")
            assert details.claim is not None
            assert (details.claim.session, details.claim.fencing_token) == ("s", claim.fencing_token)
            assert details.claim.note == "half done"
            assert client.get("task:finished").record.result == "done"
            assert client.complete("s", "task:live", token=claim.fencing_token).attempt == 1

    def test_etcd_does_not_outlive_a_killed_coordinator(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            pid = own.process.pid
            (etcd,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            ended = os.pidfd_open(etcd)
            own.process.kill()
            assert select.select([ended], [], [], 30)[0], "etcd goes on without its coordinator"
            os.close(ended)

    def test_its_etcd_listens_at_the_given_address(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        where = ("--etcd-listen", f"localhost:{port}")
        with run_coordinator("up", "--data-dir", str(tmp_path), *where) as own:
            assert own.etcd == f"127.0.0.1:{port}"
        with run_coordinator("up", "--data-dir", str(tmp_path), *where) as own:
            assert own.etcd == f"127.0.0.1:{port}"
            taken = run("up", "--data-dir", str(tmp_path / "other"), *FREE_PORTS, *where)
            assert taken.returncode == 3
            assert taken.stderr.count(f"etcd cannot listen on 127.0.0.1:{port}: Address already in use") == 1

    @pytest.mark.long_but_for("foreground-all", "background-none")
    @pytest.mark.parametrize(
        ("address", "says"),
        [
            ("0.0.0.0:0", "the embedded etcd cannot listen on 0.0.0.0, for nothing protects it"),
            ("example.org:2379", "the embedded etcd cannot listen on example.org, for nothing protects it"),
            ("2379", "'2379' is not an address for --etcd-listen; it must be HOST:PORT"),
        ],
        ids=["all", "name", "none"],
    )
    @pytest.mark.parametrize("detach", [(), ("--detach",)], ids=["foreground", "background"])
    def test_its_etcd_listens_on_this_host_only(
        self, address: str, says: str, detach: tuple[str, ...], tmp_path: Path
    ) -> None:
        done = run("up", *detach, "--data-dir", str(tmp_path), "--etcd-listen", address, "--insecure", *FREE_PORTS)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {says}")
        assert not (tmp_path / "etcd").exists()

    @pytest.mark.parametrize("command", [("up",), ("up", "--detach"), ("down",)])
    def test_an_empty_name_is_no_directory(self, command: tuple[str, ...]) -> None:
        done = run(*command, "--data-dir", "")
        assert done.returncode == 2
        assert done.stderr.startswith("error: --data-dir is empty; it must name a directory\nhint: ")


class TestBackground:
    def test_its_log_is_its_owners_and_says_when_it_ran(self, tmp_path: Path) -> None:
        log = tmp_path / "coordinator.log"
        log.touch(mode=0o644)
        up = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
        assert up.returncode == 0, up.stderr
        assert run("down", "--data-dir", str(tmp_path), "--timeout", "30").returncode == 0
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        events = [pairs(line)["event"] for line in log.read_text().splitlines() if line.startswith("time=")]
        # What its reaper has begun may end in between.
        assert (events[0], events[-1]) == ("started", "stopped")
        assert "stopping" in events

    def test_what_it_cannot_use_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "coordinator.log").mkdir()
        up = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
        assert up.returncode == 2
        assert up.stderr.startswith(f"error: the log {tmp_path}/coordinator.log cannot be written (Is a directory)")
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").symlink_to("lock")
        down = run("down", "--data-dir", str(tmp_path))
        assert down.returncode == 2
        assert down.stderr.startswith(f"error: {tmp_path} cannot be used as data directory (lock is a symbolic")

    @pytest.mark.long_but_for("320")
    @pytest.mark.parametrize("mode", [0o500, 0o000])
    def test_a_directory_that_may_not_be_written_is_reported(self, mode: int, tmp_path: Path) -> None:
        tmp_path.chmod(mode)
        for detach in ((), ("--detach",)):
            up = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    _OBEYING_MODES,
                    COMMAND,
                    "up",
                    *detach,
                    "--data-dir",
                    str(tmp_path),
                    *FREE_PORTS,
                ],
                env=environment(),
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert up.returncode == 2
            assert f"error: {tmp_path} cannot be used as data directory (Permission denied)" in up.stderr
        down = subprocess.run(
            [sys.executable, "-c", _OBEYING_MODES, COMMAND, "down", "--data-dir", str(tmp_path)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert down.returncode == (1 if mode else 2)
        tmp_path.chmod(0o700)

    def test_an_interrupt_leaves_none_behind(self, tmp_path: Path) -> None:
        # Its etcd seems to be open still, so that it waits and is not ready.
        database = tmp_path / "etcd" / "member" / "snap" / "db"
        database.parent.mkdir(parents=True)
        lock = tmp_path / "lock"
        with database.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            command = [COMMAND, "up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS]
            with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as up:
                # The line is whole once it ends.
                while not (lock.exists() and (written := lock.read_text()).endswith("\n")):
                    assert up.poll() is None
                    time.sleep(0.01)
                ended = os.pidfd_open(int(written))
                up.send_signal(signal.SIGINT)
                assert up.communicate(timeout=30) == (b"", b"")
            assert up.returncode == 130
        assert select.select([ended], [], [], 0)[0], "it was left behind"
        os.close(ended)

    def test_one_that_hangs_is_killed_only_with_force(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            pid = own.process.pid
            freeze(own.process.pid)
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "0.1")
            assert down.returncode == 3
            assert f"the coordinator (pid {pid}) was asked to stop, but has not after 0.1 s" in down.stderr
            assert "--force" in down.stderr
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "0.1", "--force")
            assert (down.returncode, down.stderr) == (0, "")
            assert down.stdout == f"killed the coordinator (pid {pid}), which did not stop within 0.1 s\n"
            assert own.process.wait(30) == -signal.SIGKILL

    def test_a_number_left_behind_is_no_process(self, tmp_path: Path) -> None:
        (tmp_path / "lock").write_text(f"{os.getpid()}\n")
        down = run("down", "--data-dir", str(tmp_path))
        assert (down.returncode, down.stdout) == (1, "no coordinator is running there\n")
