"""Streams that end when the permission for them does.

Invariants:
- After a look at the credentials by which a stream is no longer permitted, nothing more is put into it.
- gRPC is asked for the caller's credentials once, when the call begins: later it may have released the call, although
  the stream has not ended yet, and then ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from coordinator.errors import NotPermitted

__all__ = ["GuardedStreams"]

_END = object()
_Behaviour = Callable[[Any, Any], AsyncIterator[Any]]


class _Shown:
    """The credentials that a call came with, as its context shows them."""

    def __init__(self, context: Any) -> None:
        self._metadata = context.invocation_metadata()
        self._auth_context = context.auth_context()

    def invocation_metadata(self) -> Any:
        return self._metadata

    def auth_context(self) -> Any:
        return self._auth_context


class _Stream:
    """What one call is sent, made by a task of its own: so that its maker never notices that it is watched."""

    def __init__(self, admit: Callable[[], object]) -> None:
        self.admit = admit
        self._ready: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._maker: asyncio.Task[None] | None = None

    async def make(self, behaviour: _Behaviour, request: Any, context: Any) -> None:
        try:
            async for response in behaviour(request, context):
                await self._ready.put(response)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller's side raises it again
            await self._ready.put(error)
        else:
            await self._ready.put(_END)

    async def run(self, behaviour: _Behaviour, request: Any, context: Any) -> AsyncIterator[Any]:
        self._maker = asyncio.create_task(self.make(behaviour, request, context))
        try:
            while (found := await self._ready.get()) is not _END:
                if isinstance(found, Exception):
                    raise found
                yield found
        finally:
            self._maker.cancel()
            await asyncio.gather(self._maker, return_exceptions=True)

    def end(self, error: NotPermitted) -> None:
        """Send no more; the call fails with the error."""
        if self._maker is not None:
            self._maker.cancel()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._ready.put_nowait(error)


class GuardedStreams:
    """The streams that go on. ``admit`` is asked for each when it begins, and whenever ``recheck`` is called."""

    def __init__(self, admit: Callable[[str, Any, Any], object]) -> None:
        self._admit = admit
        self._open: set[_Stream] = set()

    def guard(self, method: str, behaviour: _Behaviour) -> _Behaviour:
        """Return the behaviour of a streaming method with the guard around it."""

        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            shown = _Shown(context)
            stream = _Stream(lambda: self._admit(method, request, shown))
            stream.admit()
            self._open.add(stream)
            try:
                async for response in stream.run(behaviour, request, context):
                    yield response
            finally:
                self._open.discard(stream)

        return guarded

    def recheck(self) -> None:
        """Look whether the streams are still permitted, and end those that are not."""
        for stream in tuple(self._open):
            try:
                stream.admit()
            except NotPermitted as error:
                self._open.discard(stream)
                stream.end(error)
