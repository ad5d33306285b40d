"""One reply for several transactions: the reply that a transaction would have got right after another one.

Many sessions asking for one work key would otherwise each cost the store a transaction, one after the other.

Invariant: a reply is made only for a transaction that, right after the other one, would only have read what that one
has shown: a read, or a transaction whose comparisons certainly do not hold. The writes of the latter are not done, but
returned as ``deferred``. A transaction that might have changed the store gets None.
"""

from __future__ import annotations

from typing import TypeGuard

from coordinator.engine.transaction import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeReply,
    Relation,
    Reply,
    Target,
    Txn,
    TxnReply,
    is_absent,
    only_puts,
    only_reads,
    unchanged,
)

__all__ = ["answer_from", "comparisons_hold"]

#: What is known of some keys: the key as it is, or None where it is not there.
_Known = dict[bytes, KeyValue | None]


def answer_from(leader: Txn, reply: TxnReply, follower: Txn) -> TxnReply | None:
    """Return the reply that ``follower`` would get right after ``leader`` got ``reply``, None if that is not known."""
    if follower == leader and only_reads(leader):
        return reply
    known: _Known = {}
    _learn(known, leader, reply)
    holds = _holds(follower.compares, known)
    if holds is None or (holds and not only_reads(follower)):
        return None
    replies: list[Reply] = []
    deferred: list[Txn] = []
    for operation in follower.success if holds else follower.failure:
        if isinstance(operation, Txn) and only_puts(operation):
            deferred.append(operation)
            replies.append(TxnReply(succeeded=False, revision=reply.revision, replies=()))
            for key in [key for key in known if any(_touches(put, key) for put in operation.success)]:
                del known[key]
        elif _reads_one(operation) and operation.key in known:
            found = known[operation.key]
            if found is not None and found.create_revision < 0:
                return None
            replies.append(RangeReply((found,) if found else (), 1 if found else 0, more=False))
        else:
            return None
    return TxnReply(holds, reply.revision, tuple(replies), tuple(deferred))


def comparisons_hold(compares: tuple[Compare, ...], reading: Txn, reply: TxnReply) -> bool | None:
    """Return whether all comparisons hold by what ``reading`` has found; None where it has not read what they need."""
    known: _Known = {}
    _learn(known, reading, reply)
    return _holds(compares, known)


def _learn(known: _Known, txn: Txn, reply: TxnReply) -> None:
    """Follow a transaction, operation by operation: what it has read, and what it has left behind."""
    operations = txn.success if reply.succeeded else txn.failure
    absent = {compare.key for compare in txn.compares if compare in (is_absent(compare.key), unchanged(compare.key, 0))}
    for index, operation in enumerate(operations):
        answer = reply.replies[index] if index < len(reply.replies) else None
        if isinstance(operation, Put):
            new = reply.succeeded and operation.key in absent
            known[operation.key] = KeyValue(
                key=operation.key,
                value=operation.value,
                # -1 where it is not known, because the key may have been there before.
                create_revision=reply.revision if new else -1,
                mod_revision=reply.revision,
                lease=operation.lease,
            )
        elif isinstance(operation, Delete):
            for key in (operation.key, *known):
                if _touches(operation, key):
                    known[key] = None
        elif _reads_one(operation) and isinstance(answer, RangeReply):
            known[operation.key] = answer.kvs[0] if answer.kvs else None
        elif isinstance(operation, Txn):
            if isinstance(answer, TxnReply):
                _learn(known, operation, answer)
            else:
                known.clear()


def _touches(operation: Operation, key: bytes) -> bool:
    """Return whether a put or a delete touches a key; an end of one zero byte means that the range has none."""
    match operation:
        case Delete(start, end) if end:
            return start <= key and (key < end or end == b"\0")
        case Put() | Delete():
            return operation.key == key
    return True


def _reads_one(operation: Operation) -> TypeGuard[Range]:
    return isinstance(operation, Range) and not operation.end and not operation.count_only


def _holds(compares: tuple[Compare, ...], known: _Known) -> bool | None:
    """Return whether all comparisons hold; None where that is not known."""
    outcomes = [_compare(compare, known) for compare in compares]
    if False in outcomes:
        return False
    return None if None in outcomes else True


def _compare(compare: Compare, known: _Known) -> bool | None:
    if compare.relation is Relation.GREATER and compare.revision < 0:
        return True
    if compare.end or compare.key not in known:
        return None
    found = known[compare.key]
    revision = 0
    if found is not None:
        revision = found.create_revision if compare.target is Target.CREATE else found.mod_revision
    if revision < 0:
        # It is there, so that only a comparison with 0 is decided.
        return (compare.relation is Relation.GREATER) if compare.revision == 0 else None
    return revision == compare.revision if compare.relation is Relation.EQUAL else revision > compare.revision
