"""Who runs on a data directory, and who is stopped (issue 12, numbers 23 and 26).

23: `down` stops the coordinator that runs on the directory and nothing else, whatever numbers stand in files, and says
what has happened.
26: `up --detach` where one is running is "already running": exit code 0, its ready line, and not a word in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator import AsyncClient, Client
from tests.freezing import freeze
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, RunCoordinator, await_line, environment, run

#: Runs a command as the first process of a pid namespace of its own; who is not root needs a user namespace for it.
APART = ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--pid", "--fork", "--mount-proc"]


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with it, and must still be there in the end."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        assert process.poll() is None, "an unrelated process was ended"
        process.kill()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock, as something does that cannot be reached from here: a machine that shares the directory, say."""
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def database_in_use(data_dir: Path) -> Iterator[None]:
    """Keep a coordinator that is started from being ready: its etcd seems to be running still."""
    database = data_dir / "etcd" / "member" / "snap" / "db"
    database.parent.mkdir(parents=True)
    with locked(database):
        yield
    shutil.rmtree(data_dir / "etcd" / "member")


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def starting(data_dir: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS, *options],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_lock_of_child(data_dir: Path) -> int:
    """Wait until a coordinator has its lock and listens on its control socket; returns its pid."""
    lock = data_dir / "lock"
    until = time.monotonic() + 30
    while True:
        # Read once: the next one to take the lock empties the file before it writes its own.
        pid = lock.read_text().strip() if lock.exists() else ""
        if pid and (data_dir / "sockets" / "control").exists():
            return int(pid)
        assert time.monotonic() < until
        time.sleep(0.01)


class TestDown:
    """23."""

    def test_a_lock_that_names_another_process_stops_the_coordinator_only(
        self, run_coordinator: RunCoordinator, bystander: subprocess.Popen[bytes], tmp_path: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            (tmp_path / "lock").write_text(f"{bystander.pid}\n")
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
            assert (down.returncode, down.stdout) == (0, f"stopped the coordinator (pid {own.process.pid})\n")
            assert own.process.wait(30) == 0

    @pytest.mark.long_but_for("nothing-force1", "socket-force1", "file-force0")
    @pytest.mark.parametrize("force", [(), ("--force",)])
    @pytest.mark.parametrize("left", ["nothing", "socket", "file"])
    def test_a_lock_held_out_of_reach_is_reported_and_nothing_is_killed(
        self, left: str, force: tuple[str, ...], bystander: subprocess.Popen[bytes], tmp_path: Path
    ) -> None:
        lock, control = tmp_path / "lock", tmp_path / "sockets" / "control"
        control.parent.mkdir(mode=0o700)
        if left == "socket":
            run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
            os.kill(int(lock.read_text()), signal.SIGKILL)
            assert control.is_socket()
        elif left == "file":
            control.touch()
        lock.write_text(f"{bystander.pid}\n")
        with locked(lock):
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "0.3", *force)
        assert (down.returncode, down.stdout) == (3, "")
        assert f"{tmp_path} is locked, but what has locked it cannot be reached from here" in down.stderr

    @pytest.mark.long_but_for("lock", "sockets/control")
    @pytest.mark.parametrize("linked", ["lock", "sockets", "sockets/control"])
    def test_links_lead_to_no_coordinator_of_another_directory(
        self, linked: str, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path / "one")) as own:
            other = tmp_path / "other"
            other.mkdir()
            if "/" in linked:
                (other / "sockets").mkdir(mode=0o700)
            (other / linked).symlink_to(tmp_path / "one" / linked)
            down = run("down", "--data-dir", str(other), "--timeout", "0.3", "--force")
            assert down.returncode != 0, down.stdout
            assert own.process.poll() is None

    def test_without_its_lock_it_is_found_and_stays_alone(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            (tmp_path / "lock").unlink()
            again = run("up", "--detach", "--data-dir", str(tmp_path), *FREE_PORTS)
            assert again.returncode == 0
            assert again.stderr.startswith("notice: already running\n")
            assert again.stdout.startswith(f"coordinator ready: grpc {own.endpoint}, ")
            again = run("up", "--data-dir", str(tmp_path), *FREE_PORTS)
            assert again.returncode == 3
            assert f"another coordinator (pid {own.process.pid}) is already running on {tmp_path}" in again.stderr
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
            assert (down.returncode, down.stdout) == (0, f"stopped the coordinator (pid {own.process.pid})\n")

    def test_of_another_pid_namespace_it_is_stopped_under_its_number_here(self, tmp_path: Path) -> None:
        command = [*APART, COMMAND, "up", "--data-dir", str(tmp_path), *FREE_PORTS]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as inside:
            assert inside.stdout is not None
            assert READY.fullmatch(inside.stdout.readline())
            here = child_of(inside.pid)
            assert int((tmp_path / "lock").read_text()) != here
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
            assert (down.returncode, down.stdout) == (0, f"stopped the coordinator (pid {here})\n")
            assert inside.wait(30) == 0

    def test_from_another_pid_namespace_it_is_stopped_and_never_killed(
        self, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        def down(*options: str) -> subprocess.CompletedProcess[str]:
            command = [*APART, COMMAND, "down", "--data-dir", str(tmp_path), "--json", *options]
            return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)

        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            freeze(own.process.pid)
            refused = down("--timeout", "0.2", "--force")
            assert refused.returncode == 3
            assert "it runs in another pid namespace" in json.loads(refused.stdout)["error"]["message"]
            assert own.process.poll() is None
            own.process.send_signal(signal.SIGCONT)
            assert own.process.wait(30) == 0
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            done = down("--timeout", "30")
            assert done.returncode == 0
            assert {**json.loads(done.stdout), "fleet": ""} == {
                "schema": "v1",
                "fleet": "",
                "stopped": True,
                "stopped_pid": None,
            }
            assert own.process.wait(30) == 0

    def test_one_that_is_starting_is_stopped(self, tmp_path: Path) -> None:
        with database_in_use(tmp_path), starting(tmp_path) as up:
            pid = await_lock_of_child(tmp_path)
            down = run("down", "--data-dir", str(tmp_path), "--timeout", "30")
            assert (down.returncode, down.stdout) == (0, f"stopped the coordinator (pid {pid})\n")
            _, said = up.communicate(timeout=30)
        assert up.returncode == 3
        assert "error: the coordinator did not start; a signal ended it (15)" in said

    def test_it_is_not_stopped_by_what_is_no_request(self, run_coordinator: RunCoordinator, tmp_path: Path) -> None:
        with run_coordinator("up", "--data-dir", str(tmp_path)) as own:
            for said in ("", "kill\n", "stop", "x" * 100_000, "{}\n"):
                reported = [sys.executable, "-c", _SAYING, str(tmp_path / "sockets" / "control"), said]
                subprocess.run(reported, check=True, timeout=30)
            with Client(own.endpoint) as client:
                assert client.status().healthy


_SAYING = """
import contextlib, socket, sys
with socket.socket(socket.AF_UNIX) as control, contextlib.suppress(ConnectionError):
    control.connect(sys.argv[1])
    control.sendall(sys.argv[2].encode())
    control.shutdown(socket.SHUT_WR)
    control.recv(1)
"""


class TestAlreadyRunning:
    """26."""

    def test_another_file_is_not_taken_for_the_lock(self, tmp_path: Path) -> None:
        (tmp_path / "lock").touch()
        with (tmp_path / "other").open("w") as other:
            done = subprocess.run(
                [COMMAND, "up", "--data-dir", str(tmp_path), *FREE_PORTS, "--lock-descriptor", str(other.fileno())],
                env=environment(),
                pass_fds=(other.fileno(),),
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert done.returncode == 2
        assert "another file was handed over as its lock" in done.stderr

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Iterator[Path]:
        yield tmp_path / "data"
        run("down", "--data-dir", str(tmp_path / "data"), "--timeout", "30")

    def test_a_second_start_answers_as_the_first_and_writes_nothing(self, data_dir: Path) -> None:
        first = run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS)
        await_line(data_dir / "coordinator.log", "elected to reap")
        before = (data_dir / "coordinator.log").read_bytes()
        second = run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS)
        assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "notice: already running\n")
        reported = json.loads(run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS, "--json").stdout)
        assert (reported["ready"], reported["already_running"]) == (first.stdout.strip(), True)
        assert (data_dir / "coordinator.log").read_bytes() == before

    @pytest.mark.long_but_for("options2-no --max-calls, not --max-calls 9; no --no-reaper, not --no-reaper")
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--listen", "localhost:7420"), "--listen 127.0.0.1:0, not --listen localhost:7420"),
            (("--retention-days", "7"), "--retention-days 30.0, not --retention-days 7.0"),
            (("--no-reaper", "--max-calls", "9"), "no --max-calls, not --max-calls 9; no --no-reaper, not --no-reaper"),
            (("--etcd-listen", "127.0.0.1:0"), "no --etcd-listen, not --etcd-listen 127.0.0.1:0"),
        ],
    )
    def test_options_that_differ_are_reported(
        self, options: tuple[str, ...], says: str, run_coordinator: RunCoordinator, data_dir: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(data_dir), COORDINATION_REAPER="yes") as own:
            done = run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS, *options)
            assert done.returncode == 0
            assert done.stdout.startswith(f"coordinator ready: grpc {own.endpoint}, ")
            assert f"it was started with {says}" in done.stderr
            assert not (data_dir / "coordinator.log").exists()

    def test_in_the_foreground_a_second_one_is_refused(self, run_coordinator: RunCoordinator, data_dir: Path) -> None:
        with run_coordinator("up", "--data-dir", str(data_dir)) as own:
            second = run("up", "--data-dir", str(data_dir), *FREE_PORTS)
            assert second.returncode == 3
            assert f"error: another coordinator (pid {own.process.pid}) is already running" in second.stderr

    def test_of_four_at_once_one_starts_and_all_answer_alike(self, data_dir: Path) -> None:
        with contextlib.ExitStack() as stack:
            ups = [stack.enter_context(starting(data_dir)) for _ in range(4)]
            said = {up.communicate(timeout=60)[0] for up in ups}
        assert [up.returncode for up in ups] == [0] * 4
        (line,) = said
        assert READY.fullmatch(line)
        assert run("down", "--data-dir", str(data_dir), "--timeout", "30").returncode == 0
        log = (data_dir / "coordinator.log").read_text()
        assert log.count("event=started") == 1
        assert "error" not in log

    def test_one_that_is_starting_is_waited_for(self, data_dir: Path) -> None:
        with contextlib.ExitStack() as stack:
            with database_in_use(data_dir):
                first = stack.enter_context(starting(data_dir))
                await_lock_of_child(data_dir)
                second = stack.enter_context(starting(data_dir))
                with pytest.raises(subprocess.TimeoutExpired):
                    second.wait(1)
            line, _ = first.communicate(timeout=60)
            assert second.communicate(timeout=60) == (line, "notice: already running\n")
        assert READY.fullmatch(line)

    def test_one_that_dies_before_it_is_ready_is_replaced(self, data_dir: Path) -> None:
        with contextlib.ExitStack() as stack:
            with database_in_use(data_dir):
                first = stack.enter_context(starting(data_dir))
                pid = await_lock_of_child(data_dir)
                second = stack.enter_context(starting(data_dir))
                os.kill(pid, signal.SIGKILL)
                assert first.wait(30) == 3
            line, said = second.communicate(timeout=60)
        assert second.returncode == 0, said
        assert READY.fullmatch(line)
        assert "already running" not in said

    async def test_one_that_is_stopping_is_followed_by_another(
        self, run_coordinator: RunCoordinator, data_dir: Path
    ) -> None:
        with run_coordinator("up", "--data-dir", str(data_dir)) as own:
            etcd = child_of(own.process.pid)
            async with AsyncClient(own.endpoint, timeout=30) as client, grpc.aio.insecure_channel(own.endpoint) as to:
                watching = health_pb2_grpc.HealthStub(to).Watch(health_pb2.HealthCheckRequest(), timeout=30)
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
                # A call that is in flight until etcd goes on.
                freeze(etcd)
                claiming = asyncio.create_task(client.claim("s", "task:x"))
                await health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest(), timeout=10)
                own.process.terminate()
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                up = starting(data_dir)
                with pytest.raises(subprocess.TimeoutExpired):
                    await asyncio.to_thread(up.wait, 1)
                os.kill(etcd, signal.SIGCONT)
                assert (await claiming).attempt == 1
            line, said = await asyncio.to_thread(up.communicate, timeout=60)
        assert up.returncode == 0, said
        assert "already running" not in said
        assert not line.startswith(f"coordinator ready: grpc {own.endpoint},")

    def test_one_that_was_killed_is_not_running(self, data_dir: Path) -> None:
        first = run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS)
        os.kill(int((data_dir / "lock").read_text()), signal.SIGKILL)
        second = run("up", "--detach", "--data-dir", str(data_dir), *FREE_PORTS)
        assert second.returncode == 0, second.stderr
        assert READY.fullmatch(second.stdout)
        assert second.stdout != first.stdout
        assert "already running" not in second.stderr
