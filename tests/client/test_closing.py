"""Clients that are closed while they are used, by other threads, tasks and handlers of signals.

This is number 15 of issue 12: "a client closed under other threads: ValueError instead of ours". What may have taken
effect is ``OutcomeUnknown`` with its request_id, everything else "this client is closed".
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coordinator import AsyncClient, Client, CoordinatorError, InvalidInput, OutcomeUnknown, Unavailable
from tests.client.both_clients import KEY
from tests.conftest import RunningCoordinator

#: What threads do with a client until it is closed.
USES: dict[str, Callable[[Client], Any]] = {
    "claim": lambda client: client.claim("s", KEY),
    "claim_many": lambda client: client.claim_many("s", ["task:a", "task:b"]),
    "get": lambda client: client.get(KEY),
    "list": lambda client: list(client.list()),
    "renew": lambda client: client.try_claim("s", KEY, note="on it"),
    "watch": lambda client: next(client.watch(start_revision=client.get(KEY).revision)),
}


class Proxy:
    """Accepts connections for a coordinator, and holds back what that answers on request."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition(":")
        self._upstream = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.holding = threading.Event()
        self.held = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._upstream)
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.holding.is_set():
                    self.held.set()
                    continue
                target.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            target.close()

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy(coordinator: RunningCoordinator) -> Iterator[Proxy]:
    proxy = Proxy(coordinator.endpoint)
    yield proxy
    proxy.close()


def _use_until_closed(client: Client, use: Callable[[Client], Any], begun: Callable[[], Any]) -> BaseException:
    while True:
        try:
            use(client)
        except CoordinatorError as error:
            if isinstance(error, InvalidInput | OutcomeUnknown | Unavailable):
                return error
        except BaseException as error:  # noqa: BLE001  # it is looked at by the test
            return error
        begun()


@pytest.mark.long_but_for("one-claim_many", "one-watch", "several-claim", "several-list")
@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("endpoints", [1, 2], ids=["one", "several"])
def test_threads_whose_client_is_closed_under_them_get_errors_of_ours(
    coordinator: RunningCoordinator, fleet: str, use: Callable[[Client], Any], endpoints: int
) -> None:
    for _ in range(5):
        client = Client([coordinator.endpoint, "127.0.0.1:9"][:endpoints], fleet=fleet, instance="i")
        client.claim("s", KEY)
        begun = threading.Semaphore(0)
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=lambda: errors.append(_use_until_closed(client, use, begun.release)))  # noqa: B023
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        if use is not USES["watch"]:
            for _ in range(12):
                assert begun.acquire(timeout=30)
        client.close()
        for thread in threads:
            thread.join(30)
        assert len(errors) == 6
        for error in errors:
            if isinstance(error, OutcomeUnknown):
                assert error.request_id
            else:
                assert str(error) in {"this client is closed", "no coordinator was asked in time"}, repr(error)
                assert type(error) is InvalidInput


@pytest.mark.parametrize("endpoints", [1, 2], ids=["one", "several"])
@pytest.mark.parametrize("call", ["claim", "claim_many", "renew", "complete", "release"])
def test_what_a_coordinator_may_have_done_when_a_client_was_closed_is_in_doubt(
    proxy: Proxy, coordinator: RunningCoordinator, fleet: str, call: str, endpoints: int
) -> None:
    calls: dict[str, Callable[[Client], Any]] = {
        "claim": lambda client: client.claim("s", KEY, request_id="r-1"),
        "claim_many": lambda client: client.claim_many("s", [KEY], request_id="r-1"),
        "renew": lambda client: client.renew("s", "task:held", request_id="r-1"),
        "complete": lambda client: client.complete("s", "task:held", request_id="r-1"),
        "release": lambda client: client.release("s", "task:held", request_id="r-1"),
    }
    client = Client([proxy.endpoint, "127.0.0.1:9"][:endpoints], fleet=fleet, timeout=30, instance="i")
    client.claim("s", "task:held")
    proxy.holding.set()
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            calls[call](client)
        except BaseException as error:  # noqa: BLE001  # it is looked at below
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert proxy.held.wait(30)
    client.close()
    asking.join(30)
    (error,) = errors
    assert type(error) is OutcomeUnknown
    assert error.request_id == "r-1"
    # Sent again by another client, it takes effect once.
    with Client(coordinator.endpoint, fleet=fleet, instance="i") as again:
        calls[call](again)
        history = again.get(KEY if call.startswith("claim") else "task:held").history
    assert len(history) == (1 if call in ("complete", "release") else 0)


async def test_tasks_whose_client_is_closed_under_them_get_errors_of_ours(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    async def use(client: AsyncClient, number: int) -> BaseException:
        try:
            while True:
                await client.try_claim("s", f"task:{number}")
                await client.get(KEY)
        except CoordinatorError as error:
            return error

    for endpoints in ([coordinator.endpoint], [coordinator.endpoint, "127.0.0.1:9"]):
        for _ in range(5):
            client = AsyncClient(endpoints, fleet=fleet, instance="i")
            tasks = [asyncio.ensure_future(use(client, number)) for number in range(8)]
            await client.claim("s", KEY)
            await client.aclose()
            for error in await asyncio.wait_for(asyncio.gather(*tasks), 30):
                assert type(error) in (InvalidInput, OutcomeUnknown)
                assert getattr(error, "request_id", None) or str(error) == "this client is closed"


async def test_a_watch_whose_client_is_closed_ends_with_an_error_of_ours(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    client = AsyncClient(coordinator.endpoint, fleet=fleet)
    begun = (await client.get(KEY)).revision
    await client.claim("s", KEY)
    watching = client.watch(start_revision=begun)
    await anext(watching)
    following = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(InvalidInput, match=r"^this client is closed$"):
        await asyncio.wait_for(following, 30)


async def test_a_watch_that_is_cancelled_is_cancelled(coordinator: RunningCoordinator, fleet: str) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        following = asyncio.ensure_future(anext(client.watch()))
        await client.get(KEY)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following


def test_a_watch_of_a_thread_whose_client_is_closed_ends_with_an_error_of_ours(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    client = Client(coordinator.endpoint, fleet=fleet)
    begun = client.get(KEY).revision
    client.claim("s", KEY)
    watching = client.watch(start_revision=begun)
    next(watching)
    errors: list[BaseException] = []
    waiting = threading.Event()

    def follow() -> None:
        waiting.set()
        try:
            next(watching)
        except BaseException as error:  # noqa: BLE001  # it is looked at below
            errors.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    waiting.wait(30)
    client.close()
    thread.join(30)
    assert [(type(error), str(error)) for error in errors] == [(InvalidInput, "this client is closed")]


def test_an_error_within_the_block_is_what_leaves_it(coordinator: RunningCoordinator, fleet: str) -> None:
    for closes in (0, 1, 2):
        with pytest.raises(KeyError, match="mine"), Client(coordinator.endpoint, fleet=fleet, instance="i") as client:
            client.claim("s", KEY)
            for _ in range(closes):
                client.close()
            raise KeyError("mine")
        with pytest.raises(InvalidInput, match=r"^this client is closed$"), client:
            client.get(KEY)


@pytest.mark.timeout(60)  # what it is about is a thread that waits for itself
@pytest.mark.parametrize("lock", ["opening", "tokens", "endpoints"])
def test_the_handler_of_a_signal_may_close_and_use_a_client(
    coordinator: RunningCoordinator, fleet: str, lock: str
) -> None:
    """It runs in the middle of whatever the thread was doing, its locks held."""
    client = Client(coordinator.endpoint, fleet=fleet)
    client.claim("s", KEY)
    own = client._process.mine
    locks = {
        "opening": own.calls._connections._opening,
        "tokens": own.tokens._lock,
        "endpoints": own.calls._endpoints._lock,
    }
    handled: list[str] = []

    def handle(*_: object) -> None:
        handled.append(client.release("s", KEY).state.value)
        client.close()

    before = signal.signal(signal.SIGUSR2, handle)
    try:
        with locks[lock]:
            signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert handled == ["abandoned"]
    with pytest.raises(InvalidInput, match=r"^this client is closed$"):
        client.get(KEY)


def test_clients_that_are_not_closed_are_collected(coordinator: RunningCoordinator, fleet: str) -> None:
    gone = []
    for _ in range(3):
        client = Client(coordinator.endpoint, fleet=fleet, instance="i")
        client.claim("s", KEY)
        gone.append(weakref.ref(client))
        del client
    deadline = time.monotonic() + 30
    while any(each() is not None for each in gone) and time.monotonic() < deadline:
        gc.collect()
    assert [each() for each in gone] == [None] * 3


EXITS = {
    "open": "client.status()",
    "in-a-call": "threading.Thread(target=lambda: client.watch().__next__(), daemon=True).start()",
    "calling-thread": "threading.Thread(target=lambda: print(client.get('task:one').record.state, flush=True)).start()",
    "atexit-call": "atexit.register(lambda: print(client.get('task:one').record.state, flush=True))",
    "atexit-close": "client.status(); atexit.register(client.close)",
    "exception": "client.status(); watching = client.watch(); sys.exit(0)",
    "asyncio": "asyncio.run(AsyncClient(*sys.argv[1:2], fleet=sys.argv[2]).status())",
}


@pytest.mark.long_but_for("in-a-call", "calling-thread", "atexit-call", "asyncio")
@pytest.mark.parametrize("body", EXITS.values(), ids=EXITS)
def test_an_interpreter_ends_quietly_whatever_its_clients_do(
    coordinator: RunningCoordinator, fleet: str, body: str
) -> None:
    program = f"""
import asyncio, atexit, sys, threading
from coordinator import AsyncClient, Client
client = Client(*sys.argv[1:2], fleet=sys.argv[2])
{body}
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, coordinator.endpoint, fleet],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout in ("", "available\n")
