"""Runs commands in forks of a process that has loaded the command line already.

That takes a tenth of the time of a fresh interpreter, and most commands that tests run are about what is answered, and
not about how Python starts. For those that are about it there is ``subprocess``: a fork has the locale, the search
paths and the loaded modules of this process.

As a program, ``python loaded_command.py SOCKET``, it is that process. It ends with its standard input. Each connection
to the socket is one command: three descriptors come first, then what is to be run as JSON; the process id of the
command and its exit code go back, a line each.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import coordinator

__all__ = ["LoadedCommand", "end_shared", "shared_command"]

#: Variables that Python, the linker or gRPC read as they start, by how their names begin.
_OF_A_START = ("PYTHON", "LC_", "LANG", "LOCPATH", "LD_", "GRPC_", "MALLOC_", "SSL_", "OPENSSL_")


_NEW = re.compile(r"^notice: fleet '[^']*' is new; .*\n", re.MULTILINE)


class LoadedCommand:
    """The process, and how to have it run a command."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._started_with = _of_a_start(os.environ)

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Return whether a command with this environment would start as the process itself has."""
        return _of_a_start(environment) == self._started_with

    def run(
        self,
        arguments: Sequence[str | bytes],
        environment: Mapping[str, str],
        seconds: float,
        *,
        new_fleets: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the current directory; raises ``TimeoutExpired`` after so many seconds.

        ``new_fleets``: leave in what it says of a fleet that is new.
        """
        argv = [os.fsdecode(argument) for argument in arguments]
        with socket.socket(socket.AF_UNIX) as to, contextlib.ExitStack() as stack:
            to.settimeout(seconds)
            to.connect(self._path)
            outputs = [_Output(), _Output()]
            with Path(os.devnull).open("rb") as nothing:
                socket.send_fds(to, [b"\0"], [nothing.fileno(), *(output.writing for output in outputs)])
            for output in outputs:
                stack.callback(output.join)
                output.start()
            request = {"argv": argv, "environment": dict(environment), "directory": str(Path.cwd())}
            to.sendall(json.dumps(request).encode())
            to.shutdown(socket.SHUT_WR)
            with to.makefile("r") as answer:
                pid = int(answer.readline())
                try:
                    code = int(answer.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(argv, seconds) from None
        said, complained = (output.text() for output in outputs)
        return subprocess.CompletedProcess(argv, code, said, complained if new_fleets else without_new(complained))


def without_new(complained: str) -> str:
    """Return what was written to standard error but for the notice of a new fleet: that of each test is new."""
    return _NEW.sub("", complained)


class _Output(threading.Thread):
    """A pipe that is read to its end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._reading, self.writing = os.pipe()
        self._found = b""

    def start(self) -> None:
        os.close(self.writing)
        super().start()

    def run(self) -> None:
        with os.fdopen(self._reading, "rb") as reading:
            self._found = reading.read()

    def text(self) -> str:
        """Return what came, as ``subprocess`` does with ``text=True``."""
        return self._found.decode().replace("\r\n", "\n").replace("\r", "\n")


_shared = contextlib.ExitStack()


@functools.cache
def shared_command() -> LoadedCommand:
    """Return the process that all tests of this process share."""
    return _shared.enter_context(_loaded_command())


def end_shared() -> None:
    """End the process that tests have shared, if there is one."""
    _shared.close()


@contextlib.contextmanager
def _loaded_command() -> Iterator[LoadedCommand]:
    """Run the process while the block runs."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "socket"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
        with subprocess.Popen(
            [sys.executable, "-P", __file__, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield LoadedCommand(path)
            process.stdin.close()
            process.wait(timeout=30)


def _of_a_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_OF_A_START)}


def _serve(path: str) -> None:
    for module in pkgutil.walk_packages(coordinator.__path__, "coordinator."):
        # These run when they are loaded.
        if not module.name.endswith(("__main__", ".launcher")):
            importlib.import_module(module.name)
    with socket.socket(socket.AF_UNIX) as listening:
        # What is there now stays as it is, and is shared with the forks.
        gc.collect()
        gc.freeze()
        listening.bind(path)
        listening.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:
                    listening.close()
                    _answer(connection)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _answer(connection: socket.socket) -> None:
    """Run the command that comes over a connection, and end."""
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as reading:
        request = json.loads(reading.read())
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request, descriptors)
    for descriptor in (*descriptors, 0, 1, 2):
        os.close(descriptor)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: dict[str, object], descriptors: Sequence[int]) -> None:
    """Be the command."""
    from coordinator.cli import main

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # What there was may have led to a file, or a terminal.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # for as long as the process lasts
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # likewise
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115  # likewise
    environment, argv, directory = request["environment"], request["argv"], request["directory"]
    assert isinstance(environment, dict)
    assert isinstance(argv, list)
    assert isinstance(directory, str)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = argv
    main()


if __name__ == "__main__":
    _serve(sys.argv[1])
