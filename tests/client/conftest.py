"""Clients of either sort for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from coordinator import AsyncClient, Client
from coordinator.security.ca import Made, make_certificates
from tests.client.both_clients import BOTH, Connect, Driven, connecting
from tests.client.holding import Holder
from tests.conftest import RunningCoordinator


@pytest.fixture(params=BOTH)
async def connect(
    request: pytest.FixtureRequest, coordinator: RunningCoordinator, fleet: str
) -> AsyncIterator[Connect]:
    """Make clients of either sort, one after the other."""
    async with connecting(request.param, coordinator.endpoint, fleet) as connect:
        yield connect


@pytest.fixture
def client(connect: Connect) -> Driven:
    """A client of either sort."""
    return connect()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Certificates of an authority, of this host, and of a client called alice."""
    return make_certificates(tmp_path_factory.mktemp("tls"), (), ("alice",))


@pytest.fixture(params=BOTH)
async def holder(request: pytest.FixtureRequest, coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Holder]:
    """What holds work, with a client of either sort."""
    client = request.param(coordinator.endpoint, fleet=fleet)
    yield Holder(client)
    await (client.aclose() if isinstance(client, AsyncClient) else asyncio.to_thread(client.close))


@pytest.fixture
async def other(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """What others see, and do."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


@pytest.fixture
def sync_client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    """A synchronous client."""
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client
