"""Clients of either sort for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordinator.security.ca import Made, make_certificates
from tests.client.both_clients import BOTH, Connect, Driven, connecting
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
