"""The commands that save what etcd holds, and bring it back: ``backup`` and ``restore``."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from coordinator.cli.context import current
from coordinator.cli.output import answer, hint
from coordinator.cli.progress_line import progress_line
from coordinator.cli.quantities import named_path
from coordinator.cli.server.etcd_options import EtcdCa, EtcdCert, EtcdKey, EtcdOptions, EtcdPasswordFile, EtcdUser
from coordinator.cli.server.serve import DataDir, EtcdProgram, need_server
from coordinator.cli.streams import is_listened_to, notice
from coordinator.errors import InvalidInput
from coordinator.process.new_files import give_name, sync_directory
from coordinator.security.file_trust import check_place

__all__ = ["COMMANDS"]

_MIB = 1024 * 1024
_STDOUT = Path("-")

File = Annotated[
    Path, typer.Argument(metavar="FILE", parser=named_path("FILE", "a file"), help="The backup; - is standard output.")
]


def backup(
    file: File,
    data_dir: DataDir = None,
    etcd: Annotated[
        str | None,
        typer.Option("--etcd", metavar="HOST:PORT,…", help="Save this etcd. [default: that of `up` on --data-dir]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    etcd_ca: EtcdCa = None,
    etcd_cert: EtcdCert = None,
    etcd_key: EtcdKey = None,
    etcd_user: EtcdUser = None,
    etcd_password_file: EtcdPasswordFile = None,
) -> int:
    """Save the data of etcd while it runs. The file has everything that all fleets wrote: keep it safe."""
    need_server()
    import asyncio

    from coordinator.cli.server.etcd_backup import etcd_of, save
    from coordinator.store.etcd.access import parse_members

    context = current()
    to_stdout = file == _STDOUT
    if to_stdout and context.json:
        raise InvalidInput("--json cannot be used with a backup on standard output", field="file")
    if to_stdout and not is_listened_to():
        raise InvalidInput("standard output is closed", field="file", hint="redirect it, or name a file")
    if to_stdout and sys.stdout.isatty():
        raise InvalidInput("a backup cannot be written to a terminal", field="file", hint="redirect it, or name a file")
    how: EtcdOptions = (etcd_ca, etcd_cert, etcd_key, etcd_user, etcd_password_file)
    # The path of a socket may hold a comma.
    members = (etcd_of(data_dir, context.timeout),) if etcd is None else parse_members(etcd)
    with _standard_output() if to_stdout else _new_file(file, force=force) as target, progress_line() as show:

        def progress(so_far: int, in_all: int) -> None:
            show(f"{so_far / _MIB:.0f} of {in_all / _MIB:.0f} MiB")

        size, revision = asyncio.run(save(members, how, target, progress, context.timeout))
    said = f"saved {','.join(members)} as of revision {revision} or later: {size / _MIB:.1f} MiB"
    if to_stdout:
        notice(said)
        return 0
    answer(context, f"{said} in {file}", {"file": str(file), "bytes": size, "revision": revision})
    return 0


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", parser=named_path("FILE", "a file"), help="A backup, also of a cluster.")
    ],
    data_dir: DataDir = None,
    etcd: EtcdProgram = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is in the directory; it is moved aside and kept.")
    ] = False,
) -> int:
    """Make a data directory for `up` from a backup. Fencing tokens keep rising; changes since the backup are lost."""
    need_server()
    import asyncio

    from coordinator.store.embedded import default_data_dir, find_etcd
    from coordinator.store.embedded.restoration import restore as restore_directory

    context = current()
    directory = data_dir or default_data_dir()
    restored = asyncio.run(restore_directory(file, directory, find_etcd(etcd), force=force, now=time.time()))
    said = f"restored {file} (revision {restored.backup_revision}) to {directory}; "
    said += f"fencing tokens go on from {restored.revision}"
    if restored.aside is not None:
        said += f"\nwhat was there is in {restored.aside}"
    found = {
        "data_dir": str(directory),
        "backup_revision": restored.backup_revision,
        "revision": restored.revision,
        "moved_aside": None if restored.aside is None else str(restored.aside),
    }
    answer(context, said, found)
    hint(context, "start it with `coordination up`; sessions that claimed since the backup have lost their claims")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"backup": backup, "restore": restore}


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    try:
        with os.fdopen(os.dup(1), "wb") as target:
            yield target
    except OSError as error:
        raise InvalidInput(f"the backup cannot be written to standard output: {error.strerror}", field="file") from None


@contextlib.contextmanager
def _new_file(file: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Write a file that is there whole or not at all, for its owner alone; none is replaced unless ``force`` is set."""
    check_place(file, "file", links_only=True)
    try:
        if not force and os.path.lexists(file):
            raise FileExistsError
        if os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode):
            raise InvalidInput(f"{file} is no plain file, and is not replaced", field="file", hint="name another file")
        partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as target:
                yield target
                target.flush()
                os.fsync(target.fileno())
            if force:
                partial.replace(file)
            else:
                # Unlike renaming, this fails where there is one by now.
                give_name(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError:
        raise InvalidInput(f"{file} already exists", field="file", hint="name another, or add --force") from None
    except OSError as error:
        raise InvalidInput(
            f"the backup {file} cannot be written: {error.strerror}", field="file", hint="name another file"
        ) from None
    sync_directory(file.parent)
