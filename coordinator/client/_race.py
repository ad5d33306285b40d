"""The tries of one call that are under way at the same time, for either sort of client.

Invariant: when a call is over, however it ends, none of its tries continues: one that a hung coordinator has not
accepted is cancelled, so that the coordinator does not act on it later.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import grpc
import grpc.aio

from coordinator.client._forks import in_grpc
from coordinator.net.channels import Failure

__all__ = ["Answer", "AsyncRace", "AsyncStream", "Race", "Stream"]

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
            return Answer(endpoint, None, _cancelled_by_closing())


class AsyncStream:
    """Responses over ``grpc.aio``."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._responses = aiter(call)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._responses)
        except asyncio.CancelledError:
            raise cast(grpc.RpcError, _cancelled_by_closing()) from None

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()


def _cancelled_by_closing() -> Failure:
    """Return what a call has come to that was cancelled because its connection was closed under it.

    To be called where that has raised ``CancelledError``, which is raised again if it is the caller who is cancelled.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise  # noqa: PLE0704  # within its caller's except
    nothing = grpc.aio.Metadata()
    return cast(Failure, grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "the channel was closed"))


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
                with in_grpc():
                    answer = Answer(endpoint, method(request, timeout=seconds, metadata=metadata), None)
            except grpc.RpcError as error:
                answer = Answer(endpoint, None, cast(Failure, error))
            self._answers.put(answer)
            return
        with in_grpc():
            call = method.future(request, timeout=seconds, metadata=metadata)
        self._calls[call] = endpoint
        call.add_done_callback(lambda ended: self._answers.put(_outcome(endpoint, ended)))

    def next(self, patience: float) -> Answer | None:
        """Wait for the next answer, None if there is none within ``patience`` seconds."""
        try:
            return self._answers.get(timeout=patience)
        except queue.Empty:
            return None


class Stream:
    """Responses over synchronous gRPC."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return iter(self._call)

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()


def _outcome(endpoint: str, ended: Any) -> Answer:
    if ended.code() is grpc.StatusCode.OK:
        return Answer(endpoint, ended.result(), None)
    return Answer(endpoint, None, cast(Failure, ended))
