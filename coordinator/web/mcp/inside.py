"""A client of the coordinator that it is in: its calls go to the same middleware as all others, without a connection.

Invariant: a call has the credential of the agent's latest request, and is admitted, limited and counted like any other.
So what is renewed for an agent in the background ends with its credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import grpc
import grpc.aio

from coordinator.client import AsyncClient
from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.v1 import types_pb2 as types
from coordinator.web.call_context import CallContext, CallEnded, ContextOfCaller

__all__ = ["Caller", "InsideClient", "caller_of"]


class Caller(NamedTuple):
    """Who calls: what the service looks at of it."""

    metadata: tuple[tuple[str, str], ...]
    certificates: dict[str, list[bytes]]
    peer: str


def caller_of(context: CallContext, headers: Mapping[str, str]) -> Caller:
    """Return who has sent a request."""
    shown = headers.get("authorization")
    metadata = () if shown is None else (("authorization", shown),)
    return Caller(metadata, context.auth_context(), context.peer())


class InsideClient(AsyncClient):
    """Calls what ``middleware`` returns, as ``caller``, which is replaced with each request of the agent.

    ``where`` is what errors call the coordinator.
    """

    def __init__(
        self, middleware: Callable[[], object], caller: Caller, where: str, fleet: str, repository: str, timeout: float
    ) -> None:
        # Nothing of the coordinator's environment is for its callers.
        super().__init__(
            where, fleet=fleet, timeout=timeout, tls=False, ca="", cert="", key="", token_file="", repo=repository
        )
        self.caller = caller
        connections = _Inside(middleware, lambda: self.caller)
        self._process.mine.calls._connections = connections  # type: ignore[assignment]  # noqa: SLF001  # in their place


class _Inside:
    """Stands for connections."""

    def __init__(self, middleware: Callable[[], object], caller: Callable[[], Caller]) -> None:
        self.closed = False
        self._middleware = middleware
        self._caller = caller
        self._calls: set[asyncio.Task[Any]] = set()

    def stub(self, _endpoint: str) -> _Inside:
        return self

    def place(self) -> object:
        return self

    async def aclose(self) -> None:
        self.closed = True
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._start, method)

    def _start(self, method: str, request: Any, *, timeout: float, metadata: object) -> asyncio.Task[Any]:  # noqa: ARG002  # who calls is known
        # The service may write into it, and the client may send it again.
        own = type(request)()
        own.CopyFrom(request)
        call = asyncio.ensure_future(self._answer(method, own, timeout))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def _answer(self, method: str, request: Any, seconds: float) -> Any:
        caller = self._caller()
        context = ContextOfCaller(caller.metadata, caller.certificates, caller.peer, seconds)
        try:
            async with asyncio.timeout(seconds):
                return await getattr(self._middleware(), method)(request, context)
        except CallEnded as ended:
            raise _error(ended.detail.code, ended.detail.message, ended.detail) from None
        except TimeoutError:
            raise _error("DEADLINE_EXCEEDED", "no answer came in time") from None


def _error(code: str, message: str, detail: types.ErrorDetail | None = None) -> grpc.aio.AioRpcError:
    """Return an error as a call over a connection would raise it."""
    trailing = grpc.aio.Metadata()
    if detail is not None:
        trailing.add(ERROR_METADATA_KEY, detail.SerializeToString())
    return grpc.aio.AioRpcError(grpc.StatusCode[code], grpc.aio.Metadata(), trailing, message)
