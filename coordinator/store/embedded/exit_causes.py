"""Why an etcd has ended, as its log says, where starting it again cannot help."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FULL", "Cause", "find_cause"]


class Cause(NamedTuple):
    """Why etcd cannot go on, as the end of a sentence, and what to do."""

    what: str
    hint: str


FULL = Cause(
    "there is no space left where it keeps its data", "free some space there, then start it again: claims are kept"
)
_UNWRITABLE = Cause("it may not write where it keeps its data", "make that writable, then start it again")
_BROKEN_DISK = Cause("the disk that holds its data fails", "move the data directory to another disk")
_DAMAGED = Cause(
    "its data are damaged",
    "bring the data directory back from a backup, or name another --data-dir to begin without what was claimed",
)

#: Words of etcd, bbolt and the kernel. They are looked for only after etcd has ended.
_WORDS = {
    "no space left on device": FULL,
    "disk quota exceeded": FULL,
    "permission denied": _UNWRITABLE,
    "read-only file system": _UNWRITABLE,
    "input/output error": _BROKEN_DISK,
    "crc mismatch": _DAMAGED,
    "invalid database": _DAMAGED,
    "checksum error": _DAMAGED,
    "file size too small": _DAMAGED,
    "invalid page type": _DAMAGED,
    "invalid freelist page": _DAMAGED,
    "unexpected fault address": _DAMAGED,
    "failed to recover v3 backend from snapshot": _DAMAGED,
    "failed to read wal": _DAMAGED,
    "failed to open wal": _DAMAGED,
    "wal: file not found": _DAMAGED,
    "failed to get all reachable pages": _DAMAGED,
    "cannot use none as id": _DAMAGED,
}


def find_cause(said: str) -> Cause | None:
    """Return the cause that can be read from what etcd said, None if there is none to be read."""
    lines = said.lower()
    return next((cause for words, cause in _WORDS.items() if words in lines), None)
