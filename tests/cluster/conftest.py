"""Fixtures of the tests of lost, late and repeated requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordinator import AsyncClient
from tests.conftest import RunningCoordinator


@pytest.fixture
async def direct(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    """A client that asks the coordinator itself, and no proxy."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=20) as client:
        yield client
