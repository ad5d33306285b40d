"""Makes a data directory of a backup, so that fencing tokens go on rising.

A fencing token is a revision of etcd, and a restored etcd would count on from where the backup was made: it would give
numbers out again that were given since. How many were is in no backup, and the directory that knew may be lost.

Invariants:
- The first revision after a restore, in microseconds of Unix time, is when it was made. So it is above all that were
  given before, also after an earlier restore, as long as etcd makes fewer than a million revisions a second, which is a
  hundred times what it can, and clocks are not set back over a restore. Where the clock is not ahead of the backup, and
  of the directory that is replaced, nothing is restored. (Until the year 2255 such a number is below 2^53, up to which
  JSON's are exact everywhere.)
- All revisions before it are compacted away, so that a watch from before fails instead of waiting in silence.
- Nothing is there until everything is: what is replaced is moved aside, and never deleted. Where it is interrupted at
  any point, also by SIGKILL or a loss of power, ``interrupted_restore`` finds the old store, the new one, or none; then
  no coordinator begins an empty one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.errors import InternalError, InvalidInput, OutcomeUnknown, Unavailable
from coordinator.process.current_directory import child_environment
from coordinator.process.new_files import sync_directory, sync_tree
from coordinator.store.backup import check_backup
from coordinator.store.embedded.binary import EtcdBinary
from coordinator.store.embedded.bolt_file import last_revision, raise_last_revision
from coordinator.store.embedded.data_directory import DataDirectory
from coordinator.store.embedded.embedded_etcd import DEFAULT_QUOTA_BYTES, EmbeddedEtcd
from coordinator.store.embedded.interrupted_restore import BEFORE, RESTORING, stores_before
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import RevisionGone
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["Restored", "restore"]

#: What is put into a restored store, so that there is a change whose revision can be raised.
MARK = b"/coordination-meta/v1/restored"
#: A revision has up to eight bytes more once it is raised, twice, which the value of the mark makes up for.
_MARK_BYTES = 300
_DATABASE = Path("member", "snap", "db")
#: How far revisions are ahead of the last restore after a second.
_A_SECOND = 1_000_000
_SECONDS = 300.0
_CALL_SECONDS = 60.0
_TOOL_HINT = (
    "nothing was changed; see whether there is room for it, and whether --etcd is as new as what wrote the backup"
)

_Call = Callable[[Method, Any], Awaitable[Any]]


class Restored(NamedTuple):
    """``backup_revision`` is the backup's, ``revision`` what its store goes on from, ``aside`` what it has replaced."""

    backup_revision: int
    revision: int
    aside: Path | None


async def restore(backup: Path, data_dir: Path, binary: EtcdBinary, *, force: bool, now: float) -> Restored:
    """Make ``data_dir`` of a backup; ``now`` is the Unix time.

    Raises ``InvalidInput`` if the backup is not whole, the clock is not ahead of it, or there are data already and not
    ``force``; ``Unavailable`` if a coordinator runs there, or etcd's tool fails.
    """
    check_backup(backup)
    directory = DataDirectory(data_dir)
    directory.lock()
    try:
        there = any(directory.etcd.iterdir())
        if there and not force:
            raise InvalidInput(
                f"there are data in {directory.etcd} already; they are replaced only if that is asked for",
                field="data-dir",
                hint="name another --data-dir, or add --force, which moves them aside",
            )
        known = [last_revision(backup)]
        if there and (directory.etcd / _DATABASE).exists():
            known.append(_revision_of(directory.etcd))
        if not there:
            # An earlier restore was interrupted: the last of them is what is replaced.
            known += [_revision_of(etcd) for etcd in stores_before(directory.path)[-1:] if (etcd / _DATABASE).exists()]
        revision = int(now * _A_SECOND)
        _check_clock(known, revision)
        work = directory.path / RESTORING
        shutil.rmtree(work, ignore_errors=True)
        try:
            await _build(backup, work, binary, revision)
            aside = _replace(directory, work, directory.path / f"{BEFORE}{_stamp(now)}" if there else None)
        except OSError as error:
            raise InvalidInput(
                f"the backup cannot be restored to {directory.path}: {error.strerror or error}",
                field="data-dir",
                hint="name another --data-dir",
            ) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return Restored(known[0], revision, aside)
    finally:
        directory.unlock()


def _check_clock(given: list[int], revision: int) -> None:
    """Raise ``InvalidInput`` if a revision that is made of the time is not above those that were given already."""
    if revision <= max(given):
        shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(revision / _A_SECOND))
        raise InvalidInput(
            f"the clock of this host says {shown} UTC, which cannot be: revision {max(given)} was given later",
            field="file",
            hint="set the clock: what sessions are given after a restore is counted on from it",
        )


async def _build(backup: Path, work: Path, binary: EtcdBinary, revision: int) -> None:
    """Make a data directory at ``work`` whose store goes on from a revision."""
    etcd = work / "etcd"
    _unpack(backup, etcd, binary)
    mark = json.dumps({"at_revision": revision, "backup": backup.name[:64]}).ljust(_MARK_BYTES).encode()
    put = rpc.RequestOp(request_put=rpc.PutRequest(key=MARK, value=mark))
    # The mark of an earlier restore was made long ago, and this one is to be new.
    delete = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=MARK))
    async with _running(work, binary) as call:
        await call(Methods.TXN, rpc.TxnRequest(success=[delete]))
        reached = await call(Methods.TXN, rpc.TxnRequest(success=[put]))
        _check_clock([reached.header.revision], revision)
    raise_last_revision(etcd / _DATABASE, MARK, revision)
    async with _running(work, binary) as call:
        found = await call(Methods.RANGE, rpc.RangeRequest(key=MARK))
        if found.header.revision != revision or found.kvs[0].create_revision != revision:
            raise InternalError(f"etcd goes on from revision {found.header.revision}, not from {revision}")
        try:
            await call(Methods.COMPACT, rpc.CompactionRequest(revision=revision, physical=True))
        except (OutcomeUnknown, RevisionGone):
            # A compaction whose answer comes late is asked for again, and refused because it has been done.
            if not await _is_compacted(call, revision):
                raise


async def _is_compacted(call: _Call, revision: int) -> bool:
    try:
        await call(Methods.RANGE, rpc.RangeRequest(key=MARK, revision=revision - 1))
    except RevisionGone:
        return True
    return False


def _unpack(backup: Path, etcd: Path, binary: EtcdBinary) -> None:
    """Have etcd's own tool make its data directory of a backup."""
    etcd.parent.mkdir(mode=0o700)
    # From 3.6 on etcdctl does not do it any more; etcdutl comes with 3.5 and later, but not everywhere.
    tools = [tool for tool in (binary.path.with_name("etcdutl"), binary.path.with_name("etcdctl")) if tool.is_file()]
    if not tools:
        raise Unavailable(
            f"neither etcdutl nor etcdctl is beside {binary.path}; one of them is needed to restore a backup",
            hint="install them beside it, or name another etcd with --etcd",
        )
    environment = {name: value for name, value in child_environment().items() if not name.startswith("ETCD")}
    peer = "unix://peer.sock:0"
    command = [str(_executable(tools[0])), "snapshot", "restore", str(backup.absolute()), "--data-dir", str(etcd)]
    command += ["--name", "coordinator", "--initial-cluster", f"coordinator={peer}"]
    command += ["--initial-advertise-peer-urls", peer]
    try:
        done = subprocess.run(  # noqa: S603  # what stands beside the etcd that was chosen
            command,
            cwd=etcd.parent,
            env=environment | {"ETCDCTL_API": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{tools[0]} cannot restore the backup: {error}", hint=_TOOL_HINT) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else done.returncode
        raise Unavailable(f"{tools[0]} cannot restore the backup: {why}", hint=_TOOL_HINT)


def _executable(tool: Path) -> Path:
    if not os.access(tool, os.X_OK):
        # Some installers drop the permission that the package carries.
        tool.chmod(0o755)
    return tool


@asynccontextmanager
async def _running(work: Path, binary: EtcdBinary) -> AsyncIterator[_Call]:
    """Run an etcd on a data directory until the block ends, when all of it is in its files; yields what calls it."""
    size = (work / "etcd" / _DATABASE).stat().st_size
    async with EmbeddedEtcd(work, binary, quota_bytes=max(DEFAULT_QUOTA_BYTES, 2 * size)) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        try:
            yield lambda method, request: channel.call(method, request, deadline=time.monotonic() + _CALL_SECONDS)
        finally:
            await channel.close()


def _revision_of(etcd: Path) -> int:
    """Return the last revision of a directory that is to be replaced."""
    try:
        return last_revision(etcd / _DATABASE)
    except InvalidInput as error:
        error.hint = f"if the clock of this host is right: move {etcd} away, and restore again"
        raise


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def _replace(directory: DataDirectory, work: Path, aside: Path | None) -> Path | None:
    """Move what was built in, and what was there aside, if that is named; where that fails, it is back."""
    # A name that outlives a loss of power must not lead to files that do not.
    sync_tree(work / "etcd")
    moved = None if aside is None else directory.etcd.rename(aside)
    try:
        (work / "etcd").rename(directory.etcd)
    except BaseException:
        if moved is not None:
            with contextlib.suppress(OSError):  # an interrupt came when it had been replaced
                moved.rename(directory.etcd)
        raise
    sync_directory(directory.path)
    return moved
