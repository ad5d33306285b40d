"""Answers that are lost between coordinator and etcd, after etcd has committed: every outcome is right all the same."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, NotHolder, Outcome
from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from coordinator.v1.types_pb2 import ErrorDetail
from tests.cluster.losing_replies import (
    EXPECTED_KEYS,
    Losses,
    check_counters,
    check_losses,
    keys_by_table,
    report,
    session_of,
    work_through,
)
from tests.conftest import RunningEtcd
from tests.lossy_proxy import SILENCE, losing_answers

#: Coordinators, each with a proxy of its own.
COORDINATORS = 4


def committed_keys(path: str, request: bytes, answer: bytes) -> list[str]:
    """Return the work keys whose claims a transaction, or a batch of them, has changed."""
    if path != Methods.TXN.path:
        return []
    sent, reply = rpc.TxnRequest.FromString(request), rpc.TxnResponse.FromString(answer)
    found = [*_claims_in(sent.success)] if sent.compare and reply.succeeded else []
    for operation, response in zip(sent.success, reply.responses, strict=False):
        if operation.WhichOneof("request") == "request_txn" and response.response_txn.succeeded:
            found += _claims_in(operation.request_txn.success)
    return found


def _claims_in(operations: Iterable[rpc.RequestOp]) -> Iterable[str]:
    for operation in operations:
        key = operation.request_put.key or operation.request_delete_range.key
        table, _, work_key = key.decode().partition("/claim/")
        if work_key and not table.endswith("/"):
            yield work_key


async def test_many_of_each_answer_lost_behind_the_coordinator_change_no_outcome(
    etcd: RunningEtcd, etcd_channel: EtcdChannel, fleet: str, record_property: Any
) -> None:
    losses = Losses()
    async with contextlib.AsyncExitStack() as stack:
        clients: list[AsyncClient] = []
        servers: list[Server] = []
        for _ in range(COORDINATORS):
            proxy = await stack.enter_async_context(
                losing_answers(etcd.endpoint, lambda *call: losses.take(committed_keys(*call)))
            )
            settings = ServerSettings(
                etcd=(proxy.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None
            )
            servers.append(Server(settings))
            await servers[-1].start()
            stack.push_async_callback(servers[-1].stop)
            client = AsyncClient(servers[-1].endpoint, fleet=fleet, timeout=60)
            clients.append(await stack.enter_async_context(client))

        async def call(number: int, method: str, key: str, **more: Any) -> Any:
            # Neighbours lose their answers in different manners; they must not all travel in one batch.
            client = clients[number % COORDINATORS]
            ask = getattr(client, method)
            return await (ask(key) if method == "get" else ask(session_of(key), key, **more))

        started = time.monotonic()
        contenders = await work_through(call, losses)
        seconds = time.monotonic() - started
        counters = await check_counters([server.metrics_url for server in servers], contenders)
    check_losses(losses)
    assert contenders == 0
    assert await keys_by_table(etcd_channel, fleet) == EXPECTED_KEYS
    # Every renewal that was answered was one renewal, however often its transaction was sent.
    assert counters["renewals"] == counters["coordination_claims_total{granted}"]
    record_property("seconds", round(seconds, 1))
    sys.stdout.write(report("between coordinator and etcd", losses, counters, seconds))


async def test_a_caller_without_a_request_id_learns_which_to_repeat(etcd: RunningEtcd, fleet: str) -> None:
    losing = False

    def choose(path: str, request: bytes, _: bytes) -> str | None:
        return SILENCE if losing and path == Methods.TXN.path and b"/claim/" in request else None

    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(losing_answers(etcd.endpoint, choose))
        settings = ServerSettings(
            etcd=(proxy.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None
        )
        server = Server(settings)
        await server.start()
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(AsyncClient(server.endpoint, fleet=fleet, timeout=30))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.endpoint))
        stub: Any = CoordinatorServiceStub(channel)
        await client.claim("session-1", "task:other")  # so that the lease is there
        losing = True
        one = pb.ClaimRequest(fleet=fleet, session="session-1", work_key="task:one")
        with pytest.raises(grpc.RpcError) as raised:
            await stub.Claim(one, timeout=1.5)
        failure: Any = raised.value
        reply = ErrorDetail.FromString(dict(failure.trailing_metadata())[ERROR_METADATA_KEY])
        many = pb.ClaimManyRequest(fleet=fleet, session="session-1", items=[pb.ClaimItem(work_key="task:two")])
        (result,) = (await stub.ClaimMany(many, timeout=1.5)).results
        losing = False
        for key, detail in {"task:one": reply, "task:two": result.error}.items():
            assert detail.code == "DEADLINE_EXCEEDED"
            assert detail.request_id
            assert "--request-id" in detail.hint
            assert detail.request_id in detail.hint
            claim = await client.claim("session-1", key, request_id=detail.request_id)
            assert (claim.outcome, claim.attempt) == (Outcome.GRANTED, 1)
            await client.release("session-1", key, token=claim.fencing_token)
            with pytest.raises(NotHolder, match=r"granted as attempt 1 of .*, which was released"):
                await client.claim("session-1", key, request_id=detail.request_id)
