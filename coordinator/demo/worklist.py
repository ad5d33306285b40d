"""What every session reads: the list of work, best first, and who the sessions are.

The list is what a context blob gives: issues as notifications spell them and as people do, tasks, topics to write
about. Two pieces of work stand on it twice under different spellings.
"""

from __future__ import annotations

from coordinator.keys import parse_work_key

__all__ = ["BLOB", "KILLED", "LATECOMER", "PIECES", "SESSIONS", "piece", "same_as"]

BLOB = (
    "https://github.com/gptme/gptme/issues/2880",
    "task:stale-task-metadata",
    "https://github.com/gptme/gptme/pull/2893",
    "blog:Convergent Work in Agent Fleets",
    "gptme/gptme#2871",
    "task:db-migration",
    "https://github.com/gptme/gptme-rag/issues/77",
    "gptme/gptme#2880",
    "research:lease-expiry-under-load",
    "blog:convergent work, in agent fleets!",
    "task:disk-space-alert",
    "gptme/gptme-contrib#412",
    "idea:ranked-candidate-lists",
    "task:weekly-review",
)

SESSIONS = tuple(
    f"session-{name}" for name in ("7f8b", "9a2c", "c41d", "03de", "b8a6", "5e17", "f290", "1d4c", "a7b3", "68e9")
)
#: The session that is killed while it holds a claim.
KILLED = SESSIONS[2]
#: A session that comes when all is done, with the list as it was.
LATECOMER = "session-e6b1"


def piece(item: str) -> str:
    """Return the piece of work that an item of the list stands for, whatever its spelling."""
    return str(parse_work_key(item))


#: The different pieces of work on the list.
PIECES = frozenset(map(piece, BLOB))


def same_as(rank: int) -> int | None:
    """Return the rank, from 1, of an earlier item that is the same piece of work as the one at ``rank``."""
    first = next(at for at, item in enumerate(BLOB, 1) if piece(item) == piece(BLOB[rank - 1]))
    return None if first == rank else first
