"""One AsyncClient in several event loops: each has connections of its own, and no loop is found out too late.

This is number 14 of issue 12: "one ``AsyncClient`` in a second event loop: a raw RuntimeError, and the claim was made".
These tests run their loops themselves, so none of them is ``async``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, Client, InvalidInput, OutcomeUnknown, Unavailable
from tests.conftest import RunningCoordinator

KEY = "task:one"


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> AsyncClient:
    """A client that was made where no loop runs."""
    return AsyncClient(coordinator.endpoint, fleet=fleet)


@pytest.fixture
def new_loop() -> Iterator[Callable[[], asyncio.AbstractEventLoop]]:
    loops: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.new_event_loop())
        return loops[-1]

    yield make
    for loop in loops:
        loop.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that asyncio would report about tasks and callbacks that were forgotten; gRPC's own noise is its own."""
    with caplog.at_level(logging.WARNING, "asyncio"):
        yield
    gc.collect()
    assert [record for record in caplog.records if "PollerCompletionQueue" not in record.getMessage()] == []


def in_thread(work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns in a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(60)
    assert found, "it did not end"
    return found[0]


@pytest.mark.parametrize("endpoints", [1, 2], ids=["one", "several"])
def test_a_client_works_in_one_loop_after_another(client: AsyncClient, fleet: str, endpoints: int) -> None:
    if endpoints > 1:
        (endpoint,) = client._process.mine.calls._endpoints.names
        client = AsyncClient([endpoint, "127.0.0.1:9"], fleet=fleet)
    first = asyncio.run(client.claim("s", KEY))
    second = asyncio.run(client.claim("s", KEY))
    third = in_thread(lambda: asyncio.run(client.renew("s", KEY, ttl=60)))
    record = asyncio.run(client.complete("s", KEY))
    assert {first.fencing_token, second.fencing_token, third.fencing_token} == {record.fencing_token}
    asyncio.run(client.aclose())


def test_a_client_works_in_loops_that_run_at_once(client: AsyncClient) -> None:
    async def work(number: int) -> str:
        for step in range(10):
            await client.claim("s", f"task:{number}-{step}")
            await client.complete("s", f"task:{number}-{step}")
        return (await client.claim("s", KEY)).outcome.value

    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda number=number: outcomes.append(asyncio.run(work(number)))) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["granted", "renewed", "renewed", "renewed"]
    asyncio.run(client.aclose())


def test_a_client_works_in_a_loop_while_another_is_only_stopped(
    client: AsyncClient, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    one, other = new_loop(), new_loop()
    tokens = [loop.run_until_complete(client.claim("s", KEY)).fencing_token for loop in (one, other, one, other)]
    assert len(set(tokens)) == 1
    other.run_until_complete(client.aclose())
    with pytest.raises(InvalidInput, match=r"^this client is closed$"):
        one.run_until_complete(client.get(KEY))


def test_the_connections_of_loops_that_were_closed_are_not_kept(client: AsyncClient) -> None:
    for _ in range(5):
        asyncio.run(client.get(KEY))
    assert len(client._process.mine.calls._connections._loops) == 1


def test_a_loop_that_is_closed_in_the_middle_of_a_call_leaves_the_client_usable(
    client: AsyncClient, fleet: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waiting = AsyncClient(f"127.0.0.1:{silent.getsockname()[1]}", fleet=fleet, timeout=0.5)

        async def leave() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(waiting.claim("s", KEY), 0.1)

        asyncio.run(leave())
        with pytest.raises((Unavailable, OutcomeUnknown)):
            asyncio.run(waiting.claim("s", KEY))
        asyncio.run(waiting.aclose())
    assert asyncio.run(client.claim("s", KEY)).attempt == 1
    asyncio.run(client.aclose())


def test_closing_ends_what_is_under_way_in_another_loop(fleet: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = AsyncClient(f"127.0.0.1:{silent.getsockname()[1]}", fleet=fleet, timeout=30)

        async def ask() -> str:
            with pytest.raises((InvalidInput, OutcomeUnknown, Unavailable)) as raised:
                await client.claim("s", KEY, request_id="the-same")
            return raised.value.request_id or str(raised.value)

        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(asyncio.run(ask())))
        asking.start()
        connection, _ = silent.accept()
        with connection:
            asyncio.run(asyncio.wait_for(client.aclose(), 10))
            asking.join(10)
    assert answers == ["the-same"]


@pytest.mark.parametrize("method", ["claim", "get", "list", "watch", "aclose"])
def test_a_client_without_a_running_loop_says_so_and_sends_nothing(
    client: AsyncClient, coordinator: RunningCoordinator, fleet: str, method: str
) -> None:
    def by_hand() -> object:
        """As another kind of loop does, of trio for example."""
        calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "claim": lambda: client.claim("s", KEY),
            "get": lambda: client.get(KEY),
            "list": lambda: _first(client.list()),
            "watch": lambda: _first(client.watch()),
            "aclose": client.aclose,
        }
        return calls[method]().send(None)

    raised = in_thread(lambda: _raised(by_hand))
    assert type(raised) is InvalidInput
    assert str(raised) == "an AsyncClient is used within a running asyncio event loop, and none runs here"
    assert raised.hint == "run it with asyncio.run(...), or use Client"
    with Client(coordinator.endpoint, fleet=fleet) as other:
        assert other.get(KEY).record.state.value == "available"


async def _first(found: AsyncIterator[Any]) -> Any:
    return await anext(found)


def _raised(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # it is handed on
        return error
    return AssertionError("nothing was raised")


def test_a_list_goes_on_in_another_loop(
    client: AsyncClient, new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = new_loop(), new_loop()
    keys = [f"task:{number:04}" for number in range(4)]
    one.run_until_complete(client.claim_many("s", keys))
    page = client.list_page
    monkeypatch.setattr(client, "list_page", lambda **named: page(**named | {"page_size": 1}))
    listing = client.list()
    found = [loop.run_until_complete(anext(listing)).work_key for loop in (one, other, one, other)]
    assert found == keys
    one.run_until_complete(client.aclose())


@pytest.mark.parametrize("back", [False, True], ids=["there", "there-and-back"])
def test_a_watch_that_is_read_by_another_loop_says_how_to_go_on(
    client: AsyncClient, new_loop: Callable[[], asyncio.AbstractEventLoop], back: bool
) -> None:
    one, other = new_loop(), new_loop()
    begun = one.run_until_complete(client.get(KEY)).revision
    for key in ("task:a", "task:b"):
        assert isinstance(one.run_until_complete(client.claim("s", key)), Claim)
    watching = client.watch(start_revision=begun)
    first = one.run_until_complete(anext(watching))
    with pytest.raises(InvalidInput, match=r"^a watch is read in the process, and by the event loop, where") as raised:
        other.run_until_complete(anext(watching))
    assert raised.value.hint is not None
    assert f"start_revision={first.revision} " in raised.value.hint
    if back:
        assert one.run_until_complete(anext(watching)).record.work_key == "task:b", "it goes on where it was"
        one.run_until_complete(watching.aclose())  # type: ignore[attr-defined]  # as below
        one.run_until_complete(client.get(KEY))
    again = client.watch(start_revision=first.revision + 1)
    assert other.run_until_complete(anext(again)).record.work_key == "task:b"
    other.run_until_complete(again.aclose())  # type: ignore[attr-defined]  # iterators need not have it
    other.run_until_complete(client.aclose())


def test_a_client_is_used_by_a_server_that_runs_its_loop_in_a_thread(client: AsyncClient) -> None:
    """As frameworks do that call asyncio from ordinary code."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        claims = [asyncio.run_coroutine_threadsafe(client.claim("s", KEY), loop).result(30) for _ in range(2)]
        claims.append(asyncio.run(client.claim("s", KEY)))
        assert len({claim.fencing_token for claim in claims}) == 1
        asyncio.run(client.aclose())
        with pytest.raises(InvalidInput, match=r"^this client is closed$"):
            asyncio.run_coroutine_threadsafe(client.claim("s", KEY), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
