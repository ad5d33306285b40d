"""What replicas of a coordinator share: who is elected to reap, how far it is, and what their clocks say.

    /coordination-meta/v1/reaper/leader     name of the elected replica, bound to a lease that it keeps alive
    /coordination-meta/v1/reaper/mark       up to where it has written down what expired
    /coordination-meta/v1/replica/<id>      a sign of life of each replica, bound to a lease that it keeps alive

Invariant: only the elected replica moves the mark: the transaction compares that the election is still its own. Nothing
else depends on there being one: every reap compares for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.document_codec import Document
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Put, Range, Txn, created_at, end_of_prefix, is_absent, unchanged

__all__ = [
    "Beat",
    "Leader",
    "Mark",
    "ReplicaSign",
    "Shown",
    "campaign",
    "elected",
    "read_mark",
    "read_signs",
    "save_mark",
    "show_sign",
    "who_reaps",
]

META = b"/coordination-meta/v1/"
LEADER = META + b"reaper/leader"
MARK = META + b"reaper/mark"
REPLICA = META + b"replica/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark(Document):
    """``reaper/mark``: every claim that was deleted up to ``revision`` of the store ``cluster`` has been looked at."""

    revision: int
    cluster: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(Document):
    """``replica/<id>``: the clock of a replica, its name, and how far its reaper is behind if it is elected."""

    clock: datetime
    name: str = ""
    revision_lag: int | None = None


class Leader(NamedTuple):
    """The elected replica: its name, the lease that it keeps alive, and the revision of the election."""

    name: str
    lease: int
    election: int


class Shown(NamedTuple):
    """A sign of life as it was written, and whether the last one was found as it had been written."""

    revision: int
    found: bool


class ReplicaSign(NamedTuple):
    """A sign of life as it was read: ``revision`` changes with every new one."""

    id: str
    beat: Beat
    revision: int


def campaign(name: str, lease: int) -> Operation[int]:
    """Try to be elected; returns the revision of the election that names us, 0 if another replica is elected."""
    reply = yield from commit(
        Txn(compares=(is_absent(LEADER),), success=(Put(LEADER, name.encode(), lease),), failure=(Range(LEADER),))
    )
    if reply.succeeded:
        return reply.revision
    kvs = reply.range(0).kvs
    # An earlier try of ours whose reply was lost.
    return kvs[0].create_revision if kvs and kvs[0].lease == lease else 0


def elected() -> Operation[Leader | None]:
    """Return who is elected."""
    reply = yield from commit(Txn((), (Range(LEADER),)))
    for kv in reply.range(0).kvs:
        return Leader(kv.value.decode(errors="replace"), kv.lease, kv.create_revision)
    return None


def who_reaps() -> Operation[tuple[str | None, int | None]]:
    """Return who is elected, and how many revisions behind it was at its last sign of life."""
    reply = yield from commit(Txn((), (Range(LEADER), Range(REPLICA, end_of_prefix(REPLICA)))))
    name = next((kv.value.decode(errors="replace") for kv in reply.range(0).kvs), None)
    for kv in reply.range(1).kvs:
        beat = yield from decode(Beat, kv)
        if beat is not None and beat.name == name:
            return name, beat.revision_lag
    return name, None


def read_mark() -> Operation[Mark | None]:
    """Return up to where the reaper has come; None if that is not known."""
    reply = yield from commit(Txn((), (Range(MARK),)))
    for kv in reply.range(0).kvs:
        return (yield from decode(Mark, kv))
    return None


def save_mark(mark: Mark, election: int) -> Operation[bool]:
    """Save up to where the reaper has come; returns False if it is not elected any more."""
    reply = yield from commit(Txn(compares=(created_at(LEADER, election),), success=(Put(MARK, mark.encode()),)))
    return reply.succeeded


def show_sign(replica_id: str, beat: Beat, lease: int, last: int) -> Operation[Shown]:
    """Give a sign of life; ``last`` is the revision of the last one, 0 where there was none."""
    key = REPLICA + replica_id.encode()
    put = Put(key, beat.encode(), lease)
    reply = yield from commit(Txn((unchanged(key, last),), (put,), (Range(key), put)))
    if reply.succeeded:
        return Shown(reply.revision, found=True)
    kvs = reply.range(0).kvs
    # Or it is an earlier try of this one whose reply was lost.
    return Shown(reply.revision, found=bool(kvs) and kvs[0].value == put.value)


def read_signs() -> Operation[tuple[tuple[ReplicaSign, ...], int]]:
    """Read the signs of life of all replicas, and the revision of the store."""
    reply = yield from commit(Txn((), (Range(REPLICA, end_of_prefix(REPLICA)),)))
    signs = []
    for kv in reply.range(0).kvs:
        beat = yield from decode(Beat, kv)
        if beat is not None:
            name = kv.key.removeprefix(REPLICA).decode(errors="replace")
            signs.append(ReplicaSign(name, beat, kv.mod_revision))
    return tuple(signs), reply.revision
