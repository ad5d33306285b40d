"""What the tests of withdrawals share: the work that they are about, and what etcd holds of withdrawn requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc

__all__ = ["KEY", "TIMEOUT", "Etcdctl", "is_refused", "keys_of", "withdrawn_of"]

KEY = "task:db-migration"
#: How long a client waits, in seconds.
TIMEOUT = 2.0
Etcdctl = Callable[..., str]


def is_refused(answer: Any) -> bool:
    return isinstance(answer, grpc.aio.AioRpcError) and answer.code() is grpc.StatusCode.FAILED_PRECONDITION


def keys_of(etcdctl: Etcdctl, fleet: str, table: str) -> list[str]:
    prefix = f"/coordination/v1/{fleet}/{table}/"
    found = etcdctl("get", "--prefix", "--keys-only", prefix).split()
    return [key.removeprefix(prefix) for key in found]


def withdrawn_of(etcdctl: Etcdctl, fleet: str) -> dict[str, Any]:
    prefix = f"/coordination/v1/{fleet}/request/"
    return {
        key: json.loads(etcdctl("get", "--print-value-only", prefix + key))
        for key in keys_of(etcdctl, fleet, "request")
    }
