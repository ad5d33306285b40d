"""Endpoints that do not answer, and clients that are closed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from coordinator import InvalidInput, OutcomeUnknown, Unavailable
from tests.client.both_clients import KEY, Connect, Driven
from tests.conftest import RunningCoordinator


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where no program listens, and none can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.alone
async def test_a_client_goes_on_to_the_next_endpoint(
    connect: Connect, coordinator: RunningCoordinator, refusing: str, silent: str
) -> None:
    for number, endpoints in enumerate(
        (
            [refusing, coordinator.endpoint],
            f"{coordinator.endpoint},{refusing}",
            (silent, refusing, coordinator.endpoint),
        )
    ):
        client = connect(endpoints, timeout=6)
        assert (await client.claim("session-1", f"task:{number}")).attempt == 1
        # From now on it knows where to ask.
        started = time.monotonic()
        await client.complete("session-1", f"task:{number}")
        assert time.monotonic() - started < 1


@pytest.mark.alone
async def test_no_coordinator_anywhere_is_reported_at_once(connect: Connect, refusing: str) -> None:
    client = connect([refusing, refusing], timeout=30)
    started = time.monotonic()
    with pytest.raises(Unavailable, match=f"^no coordinator answers at {refusing}") as raised:
        await client.claim("session-1", KEY)
    assert time.monotonic() - started < 3
    assert "coordination up" in (raised.value.hint or "")


@pytest.mark.alone
async def test_a_call_ends_within_its_timeout(connect: Connect, silent: str) -> None:
    client = connect(silent, timeout=0.3)
    started = time.monotonic()
    # Which of the two comes first, gRPC giving the connection up or the time being over, is chance.
    with pytest.raises((OutcomeUnknown, Unavailable)):
        await client.claim("session-1", KEY)
    with pytest.raises(Unavailable):
        await client.get(KEY)
    assert time.monotonic() - started < 2


CALLS: dict[str, Callable[[Driven], Awaitable[Any]]] = {
    "claim": lambda client: client.claim("session-1", KEY),
    "claim_many": lambda client: client.claim_many("session-1", [KEY]),
    "get": lambda client: client.get(KEY),
    "list": lambda client: client.list(),
    "reap": lambda client: client.reap(),
    "status": lambda client: client.status(),
    "watch": lambda client: client.watch(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
async def test_a_closed_client_says_so(client: Driven, call: Callable[[Driven], Awaitable[Any]], used: bool) -> None:
    if used:
        await client.status()
    await client.close()
    with pytest.raises(InvalidInput, match=r"^this client is closed$") as raised:
        await call(client)
    assert raised.value.hint == "make a new one, or close it when all is done"


async def test_a_client_may_be_closed_twice_and_claims_stay(connect: Connect) -> None:
    client = connect(instance="the-same")
    claim = await client.claim("session-1", KEY)
    await client.close()
    await client.close()
    assert (await connect(instance="the-same").claim("session-1", KEY)).fencing_token == claim.fencing_token


async def test_a_claim_that_is_under_way_when_its_client_is_closed_is_in_doubt(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = connect(f"127.0.0.1:{listening.getsockname()[1]}", timeout=30)
        claiming = asyncio.ensure_future(client.claim("session-1", KEY, request_id="the-same"))
        connection, _ = await asyncio.to_thread(listening.accept)
        with connection:
            await client.close()
            with pytest.raises(OutcomeUnknown) as raised:
                await claiming
    assert raised.value.request_id == "the-same"
