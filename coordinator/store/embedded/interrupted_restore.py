"""What a restore that was interrupted, by SIGKILL or a loss of power, has left in a data directory.

Invariant: a coordinator uses the store from before a restore or the restored one, each of them whole. Where there is
neither, because the restore was interrupted, it does not begin an empty store: that would grant what is completed.
"""

from __future__ import annotations

import logging
import shlex
import shutil
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.logs.format import said

__all__ = ["BEFORE", "RESTORING", "settle", "stores_before"]

_LOG = logging.getLogger(__name__)
#: Below the data directory: where a restore builds a store. It never holds what was there before.
RESTORING = "restoring"
#: How the names of stores begin that restores have replaced; the time of the restore follows.
BEFORE = "etcd.before-"


def stores_before(data_dir: Path) -> list[Path]:
    """Return the stores that restores have moved aside in a data directory, the latest last."""
    return sorted(data_dir.glob(f"{BEFORE}*"))


def settle(data_dir: Path) -> None:
    """Remove what an interrupted restore has left; the directory is locked, and ``etcd`` is in it.

    Raises ``InvalidInput``, which says what to do, where the restore has left no store.
    """
    etcd, work = data_dir / "etcd", data_dir / RESTORING
    if any(etcd.iterdir()):
        if (work / "etcd").exists():
            _LOG.warning("a restore was interrupted; what was there before is used", extra=said(directory=str(etcd)))
        shutil.rmtree(work, ignore_errors=True)
        return
    before = stores_before(data_dir)
    if not before and not work.exists():
        return
    ways = ["restore the backup again"]
    if before:
        moved = f"`mv -T {shlex.quote(str(before[-1]))} {shlex.quote(str(etcd))}`"
        ways += [
            f"type {moved} to go on with what was there before",
            f"or move {data_dir / BEFORE}* to another directory to begin without data",
        ]
    else:
        ways.append(f"or remove {work} to begin without data")
    raise InvalidInput(
        f"there is no store in {etcd}: a restore was interrupted, or the store was removed",
        field="data-dir",
        hint=", ".join(ways),
    )
