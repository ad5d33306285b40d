"""What clients yield ends only where all was yielded: also after a timeout, an interrupt or an error on the way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from coordinator import AsyncClient, Client, InvalidInput, Unavailable
from coordinator.client._async_results import AsyncResults
from coordinator.client._sync_results import Results

SECONDS = 30.0
PAGE = 2
KEYS = [f"task:{number}" for number in range(7)]


class Reader:
    """Reads an iterator of either sort, one by one."""

    def __init__(self, results: Iterator[Any] | AsyncIterator[Any]) -> None:
        self.results = results

    async def next(self, seconds: float = SECONDS) -> Any:
        if isinstance(self.results, AsyncIterator):
            return await asyncio.wait_for(anext(self.results), seconds)
        # A task cannot carry StopIteration.
        return await asyncio.to_thread(partial(next, self.results, StopAsyncIteration))

    async def rest(self) -> list[Any]:
        found = []
        with contextlib.suppress(StopAsyncIteration):
            while (each := await self.next()) is not StopAsyncIteration:
                found.append(each)
        return found

    async def close(self) -> None:
        await self.results.aclose() if isinstance(self.results, AsyncResults) else self.results.close()  # type: ignore[union-attr]  # which is a Results then


class Fault:
    """Has the pages of a client be short, and one of them fail."""

    def __init__(self, client: AsyncClient | Client, method: str, how: BaseException | None) -> None:
        self.asked = 0
        self._how = how
        self._fetch = getattr(client, method)
        slow = self._fetch_slowly if isinstance(client, AsyncClient) else self._fetch_now
        setattr(client, method, slow)

    def _fetch_now(self, *arguments: Any, page_size: int, **named: Any) -> Any:
        assert page_size > PAGE
        self.asked += 1
        if self.asked == 3 and self._how is not None:
            raise self._how
        return self._fetch(*arguments, page_size=PAGE, **named)

    async def _fetch_slowly(self, *arguments: Any, **named: Any) -> Any:
        if self.asked == 2 and self._how is None:
            self.asked += 1
            await asyncio.Event().wait()
        return await self._fetch_now(*arguments, **named)


def keys(records: list[Any]) -> list[str]:
    return [record.work_key for record in records]


@pytest.fixture(params=[AsyncClient, Client])
async def client(request: pytest.FixtureRequest, coordinator: Any, fleet: str) -> AsyncIterator[AsyncClient | Client]:
    found = request.param(coordinator.endpoint, fleet=fleet)
    yield found
    await (found.aclose() if isinstance(found, AsyncClient) else asyncio.to_thread(found.close))


@pytest.fixture
async def filled(sync_client: Client) -> list[str]:
    """What was claimed and released, the latest last."""
    for key in KEYS:
        await asyncio.to_thread(sync_client.claim, "s", key)
        await asyncio.to_thread(sync_client.release, "s", key, reason="r")
    return KEYS


WAYS: dict[str, tuple[str, Callable[[Any], Any], int]] = {
    "list": ("list_page", lambda client: client.list(), 1),
    "list of some": (
        "list_page",
        lambda client: client.list(states=(state for state in ("abandoned",)), kind="task"),
        1,
    ),
    "log": ("log_page", lambda client: client.log("s"), -1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [Unavailable("gone"), RuntimeError("odd"), asyncio.CancelledError(), None], ids=repr)
async def test_pages_go_on_after_an_error(
    way: str, how: BaseException | None, client: AsyncClient | Client, filled: list[str]
) -> None:
    if isinstance(client, Client):
        how = KeyboardInterrupt() if how is None else how
    method, begin, order = WAYS[way]
    fault = Fault(client, method, how)
    reader = Reader(begin(client))
    found = [await reader.next() for _ in range(2 * PAGE)]
    with pytest.raises(type(how) if how is not None else TimeoutError):
        await reader.next(0.01)
    assert fault.asked == 3
    assert keys(found + await reader.rest()) == filled[::order], "none is left out, none comes twice"
    assert await reader.rest() == []


async def test_a_watch_goes_on_after_timeouts(coordinator: Any, sync_client: Client, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        reader = Reader(client.watch())
        claiming = asyncio.create_task(asyncio.to_thread(sync_client.claim, "s", "task:first"))
        seen: list[str] = []
        while not seen:
            with contextlib.suppress(TimeoutError):
                seen.append((await reader.next(5.0)).record.work_key)
            if claiming.done() and not seen:
                claiming = asyncio.create_task(asyncio.to_thread(sync_client.claim, "s", "task:first"))
        await claiming
        for number in range(3):
            with pytest.raises(TimeoutError):
                # Renewals may be left to be reported.
                while (await reader.next(0.05)).record.work_key == "task:first":
                    pass
            for part in "ab":
                await asyncio.to_thread(sync_client.claim, "s", f"task:{number}{part}")
            seen += [(await reader.next()).record.work_key for _ in range(2)]
        assert seen == ["task:first", *(f"task:{number}{part}" for number in range(3) for part in "ab")]
        await reader.close()
        assert await reader.rest() == []


async def test_a_watch_goes_on_after_an_error(
    client: AsyncClient | Client, sync_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = (await asyncio.to_thread(sync_client.claim, "s", "task:0")).fencing_token
    await asyncio.to_thread(sync_client.claim, "s", "task:1")
    reader = Reader(client.watch(start_revision=start))
    interrupt = KeyboardInterrupt() if isinstance(client, Client) else asyncio.CancelledError()
    for error in (Unavailable("gone"), RuntimeError("odd"), interrupt):
        with monkeypatch.context() as patched, pytest.raises(type(error)):
            patched.setattr(client._calls, "_open_watch", Mock(side_effect=error))
            await reader.next()
    assert [(await reader.next()).record.work_key for _ in range(2)] == ["task:0", "task:1"]
    await reader.close()
    assert await reader.rest() == []


@pytest.mark.parametrize("left", ["break", "closed"])
async def test_what_is_left_in_the_middle(left: str, client: AsyncClient | Client, filled: list[str]) -> None:
    reader = Reader(client.list())
    first = [await reader.next()]
    if left == "closed":
        await reader.close()
        assert await reader.rest() == []
    else:
        assert keys(first + await reader.rest()) == filled


async def test_two_cannot_read_one(client: AsyncClient | Client) -> None:
    reader = Reader(client.watch())
    if isinstance(reader.results, Results):
        begun = threading.Event()
        begin = reader.results._begin
        reader.results._begin = lambda: (begun.set(), begin())[1]  # type: ignore[func-returns-value]
        reading = asyncio.create_task(reader.next())
        await asyncio.to_thread(begun.wait, SECONDS)
    else:
        reading = asyncio.create_task(reader.next())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    for refused in (reader.next(), reader.close()):
        with pytest.raises(InvalidInput, match="another task or thread is reading this already"):
            await refused
    if isinstance(client, Client):
        await asyncio.to_thread(client.close)
        with pytest.raises(InvalidInput, match="this client is closed"):
            await reading
    else:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await reader.close()
