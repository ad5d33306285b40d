"""Transactions as values: what the engine wants etcd to do, and what etcd answered.

A transaction compares revisions, then runs one of two lists of operations; all of it is atomic and one raft proposal.
Named tuples rather than dataclasses, because a busy coordinator makes tens of thousands of them a second.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = [
    "Compare",
    "Delete",
    "DeleteReply",
    "KeyValue",
    "Operation",
    "Put",
    "PutReply",
    "Range",
    "RangeReply",
    "Relation",
    "Reply",
    "Target",
    "Txn",
    "TxnReply",
    "created_at",
    "end_of_prefix",
    "in_turn",
    "is_absent",
    "is_empty",
    "is_present",
    "only_reads",
    "unchanged",
]


class Target(Enum):
    """Which revision of a key is compared; both are 0 for a key that is not there."""

    CREATE = "create_revision"
    MOD = "mod_revision"


class Relation(Enum):
    """How it is compared."""

    EQUAL = "="
    GREATER = ">"


class Compare(NamedTuple):
    """One comparison; a transaction takes its success branch if all of its comparisons hold.

    With ``end``, it must hold for every key from ``key`` up to but excluding ``end``; where there are none, their
    revisions count as 0 (``applyCompare`` in ``server/etcdserver/apply.go``).
    """

    key: bytes
    target: Target
    relation: Relation
    revision: int
    end: bytes = b""


class Put(NamedTuple):
    """Write a key. ``lease`` 0 attaches no lease, and detaches the one that was there."""

    key: bytes
    value: bytes
    lease: int = 0


class Range(NamedTuple):
    """Read a key, or all keys from ``key`` up to but excluding ``end``. ``limit`` 0 means all of them.

    They come in the order of keys, or of their latest writes, latest first, with ``newest_first``.
    """

    key: bytes
    end: bytes = b""
    limit: int = 0
    descending: bool = False
    count_only: bool = False
    newest_first: bool = False


class Delete(NamedTuple):
    """Delete a key, or all keys from ``key`` up to but excluding ``end``."""

    key: bytes
    end: bytes = b""


class Txn(NamedTuple):
    """If all of ``compares`` hold do ``success``, otherwise ``failure``; nests."""

    compares: tuple[Compare, ...]
    success: tuple[Operation, ...]
    failure: tuple[Operation, ...] = ()


Operation = Put | Range | Delete | Txn


class KeyValue(NamedTuple):
    """A key as it was read; ``lease`` is 0 where none is attached."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


class RangeReply(NamedTuple):
    """``total`` counts the whole range, ``more`` says whether ``limit`` cut it."""

    kvs: tuple[KeyValue, ...]
    total: int
    more: bool


class PutReply(NamedTuple):
    """A put returns nothing."""


class DeleteReply(NamedTuple):
    """How many keys were deleted."""

    deleted: int


class TxnReply(NamedTuple):
    """Which branch was taken, the store's revision after it, and a reply for each operation of that branch.

    ``deferred`` are transactions of that branch that were left undone, because the reply was made from the reply to
    another transaction (``coordinator.engine.shared_reply``); they stand among the replies as not succeeded. ``resent``
    means that it was sent more than once, and may have been applied before without a reply.
    """

    succeeded: bool
    revision: int
    replies: tuple[Reply, ...]
    deferred: tuple[Txn, ...] = ()
    resent: bool = False

    def range(self, index: int) -> RangeReply:
        """Return the reply to the operation at ``index``, which must have been a range."""
        reply = self.replies[index]
        if not isinstance(reply, RangeReply):
            raise TypeError(f"operation {index} was answered by {type(reply).__name__}, not by a range")
        return reply


Reply = RangeReply | PutReply | DeleteReply | TxnReply


def is_absent(key: bytes) -> Compare:
    """The key is not there."""
    return Compare(key, Target.CREATE, Relation.EQUAL, 0)


def is_empty(wanted: Range) -> Compare:
    """There is no key in the range."""
    return Compare(wanted.key, Target.CREATE, Relation.EQUAL, 0, wanted.end)


def is_present(key: bytes) -> Compare:
    """The key is there."""
    return Compare(key, Target.CREATE, Relation.GREATER, 0)


def created_at(key: bytes, revision: int) -> Compare:
    """The key is there and is the one created at ``revision``, however often it was written since."""
    return Compare(key, Target.CREATE, Relation.EQUAL, revision)


def unchanged(key: bytes, revision: int) -> Compare:
    """The key was last written at ``revision``; with 0, it is not there."""
    return Compare(key, Target.MOD, Relation.EQUAL, revision)


def in_turn(key: bytes) -> Compare:
    """Holds whatever is there: with it, a transaction that only reads waits its turn at ``key`` like one that writes.

    For reads that a change is built from: they travel together with other changes. Those without any comparison are
    requests to etcd of their own, one for each range.
    """
    return Compare(key, Target.CREATE, Relation.GREATER, -1)


def only_reads(txn: Txn) -> bool:
    """Return whether a transaction changes nothing, whichever branches are taken."""
    return all(
        only_reads(operation) if isinstance(operation, Txn) else isinstance(operation, Range)
        for operation in (*txn.success, *txn.failure)
    )


def only_puts(txn: Txn) -> bool:
    """Return whether a transaction puts something or does nothing, so that its reply says nothing of the store."""
    return not txn.failure and all(isinstance(operation, Put) for operation in txn.success)


def end_of_prefix(prefix: bytes) -> bytes:
    """Return the key just behind every key that starts with ``prefix``, which must not end in a 0xff byte."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
