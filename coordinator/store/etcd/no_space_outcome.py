"""What became of a transaction of which a full etcd says that there is no space for it.

Most of them etcd refuses. But one that it finds too large when it applies it, it has applied all the same
(``quotaApplierV3.Txn`` in ``server/etcdserver/apply.go``, etcd 3.4 to 3.6).

Invariants:
- A transaction is taken for refused only if, after that answer, its comparisons of single keys hold. Each that changes
  what a caller is answered compares a key that it writes, so that they hold no more where it was applied.
- It is taken for applied only if all that it puts is there, each key as it puts it and all of one revision.
- Where neither is so, for others have written since, its failure branch is the answer, as if it had been sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coordinator.engine.shared_reply import comparisons_hold
from coordinator.engine.transaction import (
    Delete,
    KeyValue,
    Put,
    Range,
    Reply,
    Txn,
    TxnReply,
    only_puts,
)
from coordinator.errors import CoordinatorError, OutcomeUnknown
from coordinator.store.etcd.errors import NoSpace

__all__ = ["reply_without_space"]


async def reply_without_space(
    txn: Txn, refusal: NoSpace, read: Callable[[Txn], Awaitable[TxnReply]]
) -> TxnReply | NoSpace | OutcomeUnknown:
    """Return the reply to ``txn``, or the error to fail it with; ``read`` runs what only reads, which is served still.

    The reply to what was applied is without those to its single writes, which say nothing. What the failure branch
    would put is not done, but returned as ``deferred``.
    """
    compares = tuple(compare for compare in txn.compares if not compare.end)
    puts = tuple(operation for operation in txn.success if isinstance(operation, Put))
    keys = (*(compare.key for compare in compares), *(put.key for put in puts))
    reads = tuple(operation for operation in txn.failure if isinstance(operation, Range))
    reading = Txn((), (*(Range(key) for key in keys), *reads))
    try:
        found = await read(reading)
    except CoordinatorError as error:
        return OutcomeUnknown(f"{refusal.message}, but this may have been ({error.message})")
    if comparisons_hold(compares, reading, found):
        return refusal
    if all(isinstance(operation, Put | Delete) for operation in txn.success):
        revision = _revision_of(puts, [found.range(len(compares) + index).kvs for index in range(len(puts))])
        if revision:
            return TxnReply(succeeded=True, revision=revision, replies=())
    return _failed(txn, refusal, found.revision, list(found.replies[len(keys) :]))


def _revision_of(puts: tuple[Put, ...], found: list[tuple[KeyValue, ...]]) -> int:
    """Return the revision that has put everything that was found; 0 where there is none."""
    revisions = {
        kvs[0].mod_revision if kvs and (kvs[0].value, kvs[0].lease) == (put.value, put.lease) else 0
        for put, kvs in zip(puts, found, strict=True)
    }
    return revisions.pop() if len(revisions) == 1 else 0


def _failed(txn: Txn, refusal: NoSpace, revision: int, found: list[Reply]) -> TxnReply | OutcomeUnknown:
    """Return the reply by the failure branch; ``found`` is what its ranges have read, in order."""
    replies: list[Reply] = []
    deferred: list[Txn] = []
    for operation in txn.failure:
        if isinstance(operation, Range):
            replies.append(found.pop(0))
        elif isinstance(operation, Txn) and only_puts(operation):
            deferred.append(operation)
            replies.append(TxnReply(succeeded=False, revision=revision, replies=()))
        else:
            return OutcomeUnknown(f"{refusal.message}, but this may have been")
    return TxnReply(succeeded=False, revision=revision, replies=tuple(replies), deferred=tuple(deferred))
