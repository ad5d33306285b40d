"""How many transactions fit into one request to etcd.

etcd nests transactions: each child compares, writes and answers for itself, and all of them are one raft entry. Its
limits count as follows (etcd 3.4 to 3.6, ``checkTxnRequest`` in ``server/etcdserver/api/v3rpc/key.go``): a transaction
costs the longest of its three lists, and what is left of ``--max-txn-ops`` is what each of its children may cost.
"""

from __future__ import annotations

from typing import NamedTuple

from coordinator.engine.transaction import Put, Range, Txn

__all__ = ["MAX_BATCH_BYTES", "MAX_OPERATIONS", "READ_VALUE_BYTES", "Weight", "has_put", "is_small_read", "weigh"]

#: etcd's default for ``--max-txn-ops``.
MAX_OPERATIONS = 128
#: Two thirds of etcd's default for ``--max-request-bytes``, 1.5 MiB: what we count is a little less than what travels.
MAX_BATCH_BYTES = 1024 * 1024
#: About what an operation takes beside its key and value.
_OVERHEAD = 24
#: What a value that may be read counts as, and as how many of them each entry of a history counts. So a batch reads the
#: histories of 22 work keys at most. It is answered with less than the 64 MiB that a reply may have
#: (``coordinator/net/channels.py``) even where all texts are as long as they may be and JSON takes six bytes for each
#: of theirs, as it does for control characters: such an entry has 192 KiB.
READ_VALUE_BYTES = 1100
_VALUES_OF_AN_ENTRY = 4


class Weight(NamedTuple):
    """What a transaction takes, its children included: bytes, a little less than what travels, and operations.

    ``values`` is how many it may read, in both branches together, the entries of a range by their larger measure.
    """

    size: int
    operations: int
    values: int


def weigh(txn: Txn) -> Weight:
    """Weigh a transaction."""
    size = deepest = values = 0
    for compare in txn.compares:
        size += len(compare.key) + _OVERHEAD
    for operation in (*txn.success, *txn.failure):
        if isinstance(operation, Txn):
            nested = weigh(operation)
            size += nested.size
            values += nested.values
            deepest = max(deepest, nested.operations)
        else:
            # A key, and the value that is put there or the end of the range.
            size += len(operation[0]) + len(operation[1]) + _OVERHEAD
            if isinstance(operation, Range) and not operation.count_only:
                values += _VALUES_OF_AN_ENTRY * operation.limit if operation.end else 1
    return Weight(size, max(len(txn.compares), len(txn.success), len(txn.failure)) + deepest, values)


def is_small_read(txn: Txn) -> bool:
    """Return whether a transaction does nothing but read single keys, count, or read a few keys."""
    return not txn.compares and all(
        isinstance(operation, Range) and (not operation.end or operation.count_only or 0 < operation.limit <= 10)
        for operation in txn.success
    )


def has_put(txn: Txn) -> bool:
    """Return whether a transaction puts anything, whichever branches are taken."""
    return any(
        has_put(operation) if isinstance(operation, Txn) else isinstance(operation, Put)
        for operation in (*txn.success, *txn.failure)
    )
