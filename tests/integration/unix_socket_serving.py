"""A coordinator on a unix socket, and what one that was killed leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import RunningEtcd
from tests.integration.server_running import COMMAND, environment, run


class Running(NamedTuple):
    process: subprocess.Popen[str]
    path: Path

    @property
    def endpoint(self) -> str:
        return f"unix:{self.path}"

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=30)


@contextlib.contextmanager
def serving(etcd: RunningEtcd, path: Path, *options: str) -> Iterator[Running]:
    command = [COMMAND, "serve", "--etcd", etcd.endpoint, "--listen", f"unix:{path}", "--no-reaper"]
    command += ["--metrics-listen", "127.0.0.1:0", *options]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        assert ready.startswith(f"coordinator ready: grpc unix:{path}, metrics"), process.stderr.read()
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        try:
            yield Running(process, path)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            process.wait(timeout=30)
            drain.join(timeout=30)


def start_in_vain(etcd: RunningEtcd, path: Path) -> subprocess.CompletedProcess[str]:
    done = run("serve", "--etcd", etcd.endpoint, "--listen", f"unix:{path}", "--metrics-listen", "127.0.0.1:0")
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done


def left_over(path: Path) -> None:
    """Leave a socket behind, as one that was killed does."""
    directory = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{directory}/{path.name}")
        bound.listen()
    os.close(directory)
