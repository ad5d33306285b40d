"""A metric that cannot be counted fails nothing but itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import prometheus_client
import pytest

from coordinator import AsyncClient, Claim, Denial, State
from coordinator.metrics.window import ConvergenceWindow
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from tests.conftest import RunningEtcd


class Broken(Exception):
    pass


@pytest.fixture
async def server(etcd: RunningEtcd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A coordinator in this process in which nothing can be counted, observed or set, nor labels be looked up."""
    settings = ServerSettings(etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
    server = Server(settings)
    await server.start()

    def broken(*_: object, **__: object) -> None:
        raise Broken

    for owner, name in (
        (prometheus_client.Counter, "inc"),
        (prometheus_client.Histogram, "observe"),
        (prometheus_client.Gauge, "set"),
        (ConvergenceWindow, "count"),
        (ConvergenceWindow, "rate"),
    ):
        monkeypatch.setattr(owner, name, broken)
    yield server
    await server.stop()


async def test_claims_go_on(server: Server, fleet: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with AsyncClient(server.endpoint, fleet=fleet, instance="", timeout=20) as client:
            assert isinstance(await client.try_claim("one", "task:a"), Claim)
            assert isinstance(await client.try_claim("two", "task:a"), Denial)
            assert (await client.renew("one", "task:a", note="going on")).note == "going on"
            assert (await client.complete("one", "task:a")).state is State.COMPLETED
            answers = await client.claim_many("one", ["task:b", "task:c"])
            assert [isinstance(answer, Claim) for answer in answers] == [True, True]
            assert (await client.release("one", "task:b")).state is State.ABANDONED
            assert (await client.revoke("task:c", at_once=True)).state is State.ABANDONED
            assert await client.reap() == 0
            status = await client.status()
            assert (status.healthy, status.convergence_rate.value) == (True, None)
            assert [entry.contenders for entry in (await client.get("task:a")).history] == [1]
    # It is said, once, and not with every claim.
    assert [record.message for record in caplog.records] == ["a metric could not be counted"]
    error = caplog.records[0].exc_info
    assert error is not None
    assert error[0] is Broken
