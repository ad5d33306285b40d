"""An etcd that is overloaded or being defragmented: calls wait for it within their deadline, then fail."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, Claim
from coordinator.errors import LimitExceeded, OutcomeUnknown, TryAgain
from coordinator.model import State
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.integration.etcd_proxy import TXN, EtcdProxy, proxying

Etcdctl = Callable[..., str]


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
#: What etcd says when more than 5,000 proposals wait to be applied (``api/v3rpc/rpctypes/error.go``).
TOO_MANY = "etcdserver: too many requests"


class Overload:
    """Refuses the next so many transactions as an overloaded etcd does."""

    def __init__(self, proxy: EtcdProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = self.refused = 0
        self._service = proxy.service
        monkeypatch.setattr(proxy, "service", self.service)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        handler: Any = self._service(details)
        if details.method != TXN:
            return handler

        async def forward(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            if self.left > 0:
                self.left -= 1
                self.refused += 1
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_MANY)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(forward)


@pytest.fixture
async def overload(etcd: RunningEtcd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Overload]]:
    async with proxying(etcd.endpoint) as proxy:
        yield proxy.endpoint, Overload(proxy, monkeypatch)


async def test_an_overloaded_etcd_is_retried_within_the_deadline_and_reported_after_it(
    overload: tuple[str, Overload], run_coordinator: RunCoordinator, fleet: str
) -> None:
    endpoint, etcd = overload

    def run() -> AbstractContextManager[RunningCoordinator]:
        return run_coordinator("serve", "--etcd", endpoint)

    running = run()
    coordinator = await asyncio.to_thread(running.__enter__)
    try:
        async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
            etcd.left = 5
            assert isinstance(await client.try_claim("busy", "task:patient"), Claim)
            assert etcd.refused == 5
        async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=3) as client:
            problem: TryAgain = OutcomeUnknown("not asked yet")
            # Whether a try is under way at the deadline, whose outcome is unknown then, is a matter of moments.
            while isinstance(problem, OutcomeUnknown):
                etcd.left, etcd.refused = 1_000_000, 0
                started = time.monotonic()
                with pytest.raises(TryAgain) as caught:
                    await client.claim("busy", "task:refused")
                assert time.monotonic() - started > 1, "it was asked again for as long as there was time"
                problem = caught.value
            assert isinstance(problem, LimitExceeded)
            assert "too many requests waiting" in problem.message
            assert (problem.retry_after_seconds or 0) > 0
            assert 2 <= etcd.refused < 100, "there are pauses in between"
            etcd.left = 0
            assert isinstance(await client.try_claim("busy", "task:refused"), Claim)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_defragmentation_delays_claims_and_loses_none(
    coordinator: RunningCoordinator, etcdctl: Etcdctl, fleet: str
) -> None:
    done = asyncio.Event()
    ended: Counter[str] = Counter()

    async def work(client: AsyncClient, session: str) -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                claim = await client.claim(session, f"task:{session}-{number}")
                record = await client.complete(session, claim.work_key, token=claim.fencing_token)
                ended[record.state] += 1
            except TryAgain:
                ended["reported"] += 1

    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=10) as client:
        workers = [asyncio.create_task(work(client, f"session-{number}")) for number in range(8)]
        for _ in range(10):
            await asyncio.to_thread(etcdctl, "defrag")
        done.set()
        await asyncio.gather(*workers)
        assert ended[State.COMPLETED] > 0
        assert set(ended) <= {State.COMPLETED, "reported"}
        listed = [record async for record in client.list(states=[State.COMPLETED])]
        assert len(listed) >= ended[State.COMPLETED]
        assert isinstance(await client.try_claim("after", "task:after"), Claim)
