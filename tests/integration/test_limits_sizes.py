"""The largest of everything: no answer is larger than clients take, and no page reads all there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, Claim
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import ListCommand, list_records
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import RangeReply, Txn, TxnReply
from coordinator.limits import MAX_ITEMS, MAX_PAGE_BYTES, MAX_TEXT_BYTES
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.methods import Methods
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningCoordinator

#: As long as a text may be.
LONG = "x" * MAX_TEXT_BYTES
MANY = 120


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as found:
        yield found


@pytest.fixture
async def stub(coordinator: RunningCoordinator) -> AsyncIterator[Any]:
    """A client with gRPC's own defaults, as in other languages: it takes 4 MiB."""
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield CoordinatorServiceStub(channel)


async def finish_many(client: AsyncClient, count: int) -> None:
    """Leave records with all their texts as long as they may be."""
    for first in range(0, count, 40):
        keys = [f"task:{number:04d}" for number in range(first, min(first + 40, count))]
        assert all(isinstance(answer, Claim) for answer in await client.claim_many("busy", keys, note=LONG))
        for key in keys:
            await client.complete("busy", key, result=LONG)


async def test_a_page_of_the_largest_records_ends_early_and_has_a_successor(
    client: AsyncClient, stub: Any, fleet: str
) -> None:
    await finish_many(client, MANY)
    token, listed, pages = "", 0, 0
    while True:
        page = await stub.List(pb.ListRequest(fleet=fleet, page_size=1000, page_token=token))
        assert page.ByteSize() < MAX_PAGE_BYTES + 4 * MAX_TEXT_BYTES
        listed, pages = listed + len(page.records), pages + 1
        token = page.next_page_token
        if not token:
            break
    assert listed == MANY
    assert pages > 1
    assert len([record async for record in client.list()]) == MANY


async def test_a_page_is_read_from_etcd_in_pieces(client: AsyncClient, etcd_channel: EtcdChannel, fleet: str) -> None:
    await finish_many(client, MANY)
    largest = 0
    operation: Operation[Any] = partial(list_records, ListCommand(page_size=1000), FleetPaths(fleet))()
    answer: Any = None
    try:
        while True:
            step = operation.send(answer)
            assert isinstance(step, Txn)
            response = await etcd_channel.call(Methods.TXN, encode_txn(step), deadline=float("inf"))
            largest = max(largest, response.ByteSize())
            answer = decode_txn(response)
            assert isinstance(answer, TxnReply)
            assert all(isinstance(reply, RangeReply) for reply in answer.replies)
    except StopIteration:
        pass
    assert 0 < largest <= 2 * MAX_PAGE_BYTES


async def test_a_long_history_of_long_texts_is_returned_up_to_the_size_limit(
    client: AsyncClient, stub: Any, fleet: str
) -> None:
    for _ in range(40):
        await client.claim("busy", "task:again", note=LONG)
        await client.release("busy", "task:again", reason=LONG)
    answer = await stub.Get(pb.GetRequest(fleet=fleet, work_key="task:again"))
    assert answer.ByteSize() < MAX_PAGE_BYTES + 4 * MAX_TEXT_BYTES
    attempts = [entry.attempt for entry in answer.history]
    assert attempts == list(range(attempts[0], 41)), "the latest are returned, without a gap"
    assert attempts[0] > 1


async def test_as_many_claims_as_one_call_takes_with_the_longest_notes(client: AsyncClient) -> None:
    keys = [f"task:{number}" for number in range(MAX_ITEMS)]
    answers = await client.claim_many("busy", keys, note=LONG)
    assert all(isinstance(answer, Claim) and answer.note == LONG for answer in answers)
    assert len(answers) == MAX_ITEMS
