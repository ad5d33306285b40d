"""Where few files may be open (`ulimit -n`), a coordinator refuses to start, or serves within the limit (47)."""

from __future__ import annotations

import contextlib
import subprocess
import urllib.request
from pathlib import Path

import pytest

from coordinator import Client
from coordinator.server_limits import FEWEST_FILES, FEWEST_FILES_WITH_ETCD
from tests.conftest import RunningEtcd
from tests.integration.server_running import COMMAND, FREE_PORTS, READY, environment
from tests.limited import limited


@pytest.mark.long_but_for("40-serve", "191-up", "64-up --detach", "95-serve")
@pytest.mark.parametrize("command", ["serve", "up", "up --detach"])
@pytest.mark.parametrize("files", [20, 40, 64, 95, 100, 191])
def test_47_too_few_are_refused_with_a_sentence(command: str, files: int, etcd: RunningEtcd, tmp_path: Path) -> None:
    needed = FEWEST_FILES if command == "serve" else FEWEST_FILES_WITH_ETCD
    if files >= needed:
        return
    where = ["--etcd", etcd.endpoint] if command == "serve" else ["--data-dir", str(tmp_path)]
    done = subprocess.run(
        [*limited("n", files), COMMAND, *command.split(), *where, *FREE_PORTS],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "")
    lines = [line for line in done.stderr.splitlines() if not line.startswith("notice: ")]
    whose = "" if command == "serve" else "with an etcd of its own "
    assert lines == [
        f"error: only {files} files may be open at a time (ulimit -n), and a coordinator {whose}needs {needed}",
        "hint: raise the limit, better to 4096: `ulimit -n 4096`, or LimitNOFILE=4096 of systemd",
    ]


@pytest.mark.parametrize("command", ["serve", "up"])
def test_47_as_few_as_are_allowed_are_enough(command: str, etcd: RunningEtcd, tmp_path: Path, fleet: str) -> None:
    """Beside more callers than may be connected, and readers of its metrics."""
    files = FEWEST_FILES if command == "serve" else FEWEST_FILES_WITH_ETCD
    where = ["--etcd", etcd.endpoint] if command == "serve" else ["--data-dir", str(tmp_path / "data")]
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*limited("n", files), COMMAND, command, *where, *FREE_PORTS],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, log.read_text()
        clients = [stack.enter_context(Client(ready[1], fleet=fleet, timeout=20)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.claim("s", f"task:{number}")
        for _ in range(5):
            reading = urllib.request.urlopen(ready[2], timeout=20)  # noqa: S310  # the coordinator's own address
            assert stack.enter_context(reading).read()
        peak = len([*Path(f"/proc/{process.pid}/fd").iterdir()])
        assert peak < files - 8, "there is some left for a log that is opened again, and the like"
        assert clients[0].status().healthy
        process.terminate()
        assert process.wait(30) == 0
    assert "Too many open files" not in log.read_text()
