"""Between the engine's transactions and etcd's messages.

Messages are filled in place: to make each part by its constructor and have it copied into the whole takes three times
as long, and this is done for every transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coordinator.engine.transaction import (
    Compare,
    Delete,
    DeleteReply,
    KeyValue,
    Operation,
    Put,
    PutReply,
    Range,
    RangeReply,
    Relation,
    Reply,
    Target,
    Txn,
    TxnReply,
)
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["add_operation", "decode_txn", "encode_txn", "fill_txn", "key_value"]

_RESULTS = {Relation.EQUAL: rpc.Compare.EQUAL, Relation.GREATER: rpc.Compare.GREATER}
_PUT_REPLY = PutReply()
#: What a range that reads one key has beside it.
_ONE_KEY = Range(b"")[1:]


def encode_txn(txn: Txn) -> rpc.TxnRequest:
    """Write a transaction as etcd takes it."""
    request = rpc.TxnRequest()
    fill_txn(request, txn)
    return request


def fill_txn(request: rpc.TxnRequest, txn: Txn) -> None:
    """Write a transaction into an empty message."""
    for compare in txn.compares:
        _fill_compare(request.compare.add(), compare)
    for operation in txn.success:
        add_operation(request.success, operation)
    for operation in txn.failure:
        add_operation(request.failure, operation)


def add_operation(operations: Any, operation: Operation) -> None:
    """Add an operation to a branch, a repeated field of ``RequestOp``."""
    message = operations.add()
    match operation:
        case Put():
            put = message.request_put
            put.key, put.value, lease = operation
            if lease:
                put.lease = lease
        case Range():
            _fill_range(message.request_range, operation)
        case Delete(key, end):
            unwanted = message.request_delete_range
            unwanted.key = key
            if end:
                unwanted.range_end = end
        case Txn():
            nested = message.request_txn
            # Also where it is empty: it must be answered.
            nested.SetInParent()
            fill_txn(nested, operation)


def decode_txn(response: rpc.TxnResponse, revision: int | None = None) -> TxnReply:
    """Read etcd's answer. Nested answers carry no header of their own: they share the outermost revision."""
    revision = response.header.revision if revision is None else revision
    return TxnReply(response.succeeded, revision, tuple(_replies(response.responses, revision)))


def _fill_range(message: rpc.RangeRequest, wanted: Range) -> None:
    message.key = wanted.key
    if wanted[1:] != _ONE_KEY:
        message.range_end, message.limit, message.count_only = wanted.end, wanted.limit, wanted.count_only
        if wanted.newest_first:
            message.sort_order, message.sort_target = rpc.RangeRequest.DESCEND, rpc.RangeRequest.MOD
        elif wanted.descending:
            message.sort_order = rpc.RangeRequest.DESCEND


def _fill_compare(message: rpc.Compare, compare: Compare) -> None:
    message.result = _RESULTS[compare.relation]
    message.key = compare.key
    if compare.end:
        message.range_end = compare.end
    if compare.target is Target.CREATE:
        message.target = rpc.Compare.CREATE
        message.create_revision = compare.revision
    else:
        message.target = rpc.Compare.MOD
        message.mod_revision = compare.revision


def _replies(responses: Iterable[rpc.ResponseOp], revision: int) -> Iterable[Reply]:
    for response in responses:
        match response.WhichOneof("response"):
            case "response_put":
                yield _PUT_REPLY
            case "response_range":
                found = response.response_range
                yield RangeReply(tuple(key_value(kv) for kv in found.kvs), found.count, found.more)
            case "response_txn":
                yield decode_txn(response.response_txn, revision)
            case "response_delete_range":
                yield DeleteReply(response.response_delete_range.deleted)
            case other:
                raise ValueError(f"etcd answered an operation with {other}")


def key_value(kv: rpc.KeyValue) -> KeyValue:
    """Read a key and its value."""
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.lease)
