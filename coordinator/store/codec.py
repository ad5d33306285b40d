"""Between the engine's transactions and etcd's messages."""

from __future__ import annotations

from collections.abc import Iterable

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

__all__ = ["decode_txn", "encode_txn"]

_RESULTS = {Relation.EQUAL: rpc.Compare.EQUAL, Relation.GREATER: rpc.Compare.GREATER}


def encode_txn(txn: Txn) -> rpc.TxnRequest:
    """Write a transaction as etcd takes it."""
    return rpc.TxnRequest(
        compare=[_compare(compare) for compare in txn.compares],
        success=[_operation(operation) for operation in txn.success],
        failure=[_operation(operation) for operation in txn.failure],
    )


def decode_txn(response: rpc.TxnResponse, revision: int | None = None) -> TxnReply:
    """Read etcd's answer. Nested answers carry no header of their own: they share the outermost revision."""
    revision = response.header.revision if revision is None else revision
    return TxnReply(response.succeeded, revision, tuple(_replies(response.responses, revision)))


def _compare(compare: Compare) -> rpc.Compare:
    result = _RESULTS[compare.relation]
    if compare.target is Target.CREATE:
        return rpc.Compare(result=result, target=rpc.Compare.CREATE, key=compare.key, create_revision=compare.revision)
    return rpc.Compare(result=result, target=rpc.Compare.MOD, key=compare.key, mod_revision=compare.revision)


def _operation(operation: Operation) -> rpc.RequestOp:
    match operation:
        case Put(key, value, lease):
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))
        case Range(key, end, limit, descending, count_only):
            order = rpc.RangeRequest.DESCEND if descending else rpc.RangeRequest.NONE
            return rpc.RequestOp(
                request_range=rpc.RangeRequest(
                    key=key, range_end=end, limit=limit, sort_order=order, count_only=count_only
                )
            )
        case Delete(key, end):
            return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=end))
        case Txn():
            return rpc.RequestOp(request_txn=encode_txn(operation))


def _replies(responses: Iterable[rpc.ResponseOp], revision: int) -> Iterable[Reply]:
    for response in responses:
        match response.WhichOneof("response"):
            case "response_range":
                found = response.response_range
                yield RangeReply(tuple(_key_value(kv) for kv in found.kvs), found.count, found.more)
            case "response_delete_range":
                yield DeleteReply(response.response_delete_range.deleted)
            case "response_txn":
                yield decode_txn(response.response_txn, revision)
            case _:
                yield PutReply()


def _key_value(kv: rpc.KeyValue) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.lease)
