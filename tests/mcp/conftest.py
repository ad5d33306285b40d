"""One server for the tests of a module: to start one takes the SDK two seconds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from coordinator import Client
from tests.conftest import RunningCoordinator
from tests.mcp.agents import Agent, an_agent


@pytest.fixture(scope="module")
def shared_fleet() -> str:
    """The fleet of the tests of a module."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def agent(coordinator: RunningCoordinator, shared_fleet: str) -> Iterator[Agent]:
    """An agent whose id Claude Code has given to its server, in a checkout of acme/web."""
    with an_agent(
        coordinator.endpoint, shared_fleet, "--repo", "acme/web", CLAUDE_CODE_SESSION_ID="session-agent"
    ) as running:
        yield running


@pytest.fixture
def others(coordinator: RunningCoordinator, shared_fleet: str) -> Iterator[Client]:
    """A client for what other sessions do in the same fleet."""
    with Client(coordinator.endpoint, fleet=shared_fleet) as client:
        yield client
