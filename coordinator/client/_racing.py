"""The tries of one call that are under way at the same time, for either sort of client.

Invariant: when a call is over, however it ends, none of its tries goes on: one that a hung coordinator has not taken up
is taken back, so that it does not act on it when it wakes.
"""

from __future__ import annotations

import asyncio
import queue
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import grpc
import grpc.aio

from coordinator.transport import Failure

__all__ = ["Answer", "AsyncRace", "Race"]

_Metadata = tuple[tuple[str, str], ...] | None


class Answer(NamedTuple):
    """What came of one try: the response, or the failure."""

    endpoint: str
    response: Any
    failure: Failure | None


class AsyncRace:
    """Tries over ``grpc.aio``. ``alone`` promises that there is never more than one at a time."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._calls: dict[Any, str] = {}
        self._ended: asyncio.Queue[Any] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls:
            call.cancel()

    def start(self, endpoint: str, method: Any, request: Any, *, seconds: float, metadata: _Metadata) -> None:
        """Begin a try that ends within so many seconds."""
        call = method(request, timeout=seconds, metadata=metadata)
        self._calls[call] = endpoint
        if not self._alone:
            call.add_done_callback(self._ended.put_nowait)

    async def next(self, patience: float) -> Answer | None:
        """Wait for the next answer, None if there is none within ``patience`` seconds."""
        if self._alone and self._calls:
            # It ends by its own timeout.
            call = next(iter(self._calls))
        else:
            try:
                async with asyncio.timeout(patience):
                    call = await self._ended.get()
            except TimeoutError:
                return None
        endpoint = self._calls.pop(call)
        try:
            return Answer(endpoint, await call, None)
        except grpc.RpcError as error:
            return Answer(endpoint, None, cast(Failure, error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancels the caller: its connection was closed under it.
            nothing = grpc.aio.Metadata()
            closed = grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "the channel was closed")
            return Answer(endpoint, None, cast(Failure, closed))


class Race:
    """The same over synchronous gRPC; one that is ``alone`` runs in the thread of its caller."""

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._calls: dict[Any, str] = {}
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls:
            call.cancel()

    def start(self, endpoint: str, method: Any, request: Any, *, seconds: float, metadata: _Metadata) -> None:
        """Begin a try that ends within so many seconds."""
        if self._alone:
            try:
                answer = Answer(endpoint, method(request, timeout=seconds, metadata=metadata), None)
            except grpc.RpcError as error:
                answer = Answer(endpoint, None, cast(Failure, error))
            self._answers.put(answer)
            return
        call = method.future(request, timeout=seconds, metadata=metadata)
        self._calls[call] = endpoint
        call.add_done_callback(lambda ended: self._answers.put(_outcome(endpoint, ended)))

    def next(self, patience: float) -> Answer | None:
        """Wait for the next answer, None if there is none within ``patience`` seconds."""
        try:
            return self._answers.get(timeout=patience)
        except queue.Empty:
            return None


def _outcome(endpoint: str, ended: Any) -> Answer:
    if ended.code() is grpc.StatusCode.OK:
        return Answer(endpoint, ended.result(), None)
    return Answer(endpoint, None, cast(Failure, ended))
