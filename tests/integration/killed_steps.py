"""Changes of several files that are killed before each of their steps: ``python -m tests.integration.killed_steps``.

Of a case it makes a directory DIR/0, DIR/1, … for each step, the last of which is not killed. It runs in a process of
its own, because the tests' process may have threads of gRPC's, which a fork does not bear.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from coordinator.cli.server import backups
from coordinator.security.ca import make_certificates
from coordinator.security.new_tokens import add_credential
from coordinator.security.tokens_file import Wanted
from coordinator.store.embedded import find_etcd, restoration
from coordinator.store.embedded.restoration import restore

NOW = 2_000_000_000.0
_CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod")


async def _build(_: object, work: Path, *__: object) -> None:
    """Stand for what etcd makes of a backup."""
    (work / "etcd" / "member").mkdir(parents=True)
    (work / "etcd" / "member" / "new").touch()


def _restore(directory: Path) -> None:
    stands_for: dict[str, Any] = {"check_backup": lambda _: None, "last_revision": lambda _: 7, "_build": _build}
    with patch.multiple(restoration, **stands_for):
        asyncio.run(restore(directory / "backup", directory / "data", find_etcd(), force=True, now=NOW))


def _with_store(directory: Path) -> None:
    (directory / "data" / "etcd").mkdir(parents=True)
    (directory / "data" / "etcd" / "old").touch()


def _backup(*, force: bool) -> Callable[[Path], None]:
    def save(directory: Path) -> None:
        with backups._new_file(directory / "backup", force=force) as target:
            target.write(b"new")

    return save


CASES: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "restore-over": (_with_store, _restore),
    "restore-into": (lambda _: None, _restore),
    "certs": (lambda _: None, lambda directory: make_certificates(directory / "certs", ("a.example",), ("bob",))),
    "certs-adding": (
        lambda directory: make_certificates(directory / "certs", ("a.example",)),
        lambda directory: make_certificates(directory / "certs", ("b.example",)),
    ),
    "token": (
        lambda directory: add_credential(directory / "tokens.toml", Wanted("a", fleets=("f",)), directory / "a.token"),
        lambda directory: add_credential(directory / "tokens.toml", Wanted("b", fleets=("f",)), directory / "b.token"),
    ),
    "backup": (lambda _: None, _backup(force=False)),
    "backup-over": (lambda directory: (directory / "backup").write_bytes(b"old"), _backup(force=True)),
}


def _kill_before(step: int) -> None:
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        changes = event in _CHANGES or (event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR))
        if changes and "/dev/" not in str(arguments[0]):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)


def _main(case: str, into: Path) -> None:
    prepare, change = CASES[case]
    step = 0
    while True:
        directory = into / str(step)
        directory.mkdir()
        prepare(directory)
        child = os.fork()
        if child == 0:
            try:
                _kill_before(step)
                change(directory)
                os._exit(0)
            except BaseException:  # noqa: BLE001  # whatever it is, this process ends here
                traceback.print_exc()
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code >= 0:
            sys.exit(code)
        step += 1


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
