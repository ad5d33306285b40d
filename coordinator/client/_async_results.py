"""What the asynchronous client yields; ``_sync_results.py`` is generated from this file.

Invariant: it ends only where all has been yielded, or it was closed. A generator that an error, a timeout or an
interrupt has left is at its end, and would pass what it has yielded so far off as all there is. What is read on here
after one goes on where it was: it skips nothing and repeats nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, NoReturn, Self, TypeVar

from coordinator.errors import InvalidInput

__all__ = ["AsyncResults", "in_pages"]

_T = TypeVar("_T")


class AsyncResults(AsyncIterator[_T], Generic[_T]):
    """Yields what generators yield that ``begin`` makes, each of which goes on where the one before was left."""

    def __init__(self, begin: Callable[[], AsyncGenerator[_T, None]]) -> None:
        self._begin = begin
        self._reading: AsyncGenerator[_T, None] | None = None
        self._busy = self._ended = False

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            "what is being read cannot be copied or pickled: two copies would read on in one place",
            hint="begin another one for each of them, or pass on what has been read",
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        """Return the next; may be called again after it has raised, whatever that was."""
        if self._busy:
            raise _read_elsewhere()
        if self._ended:
            raise StopAsyncIteration
        self._busy = True
        try:
            self._reading = self._reading or self._begin()
            return await anext(self._reading)
        except StopAsyncIteration:
            self._ended = True
            raise
        except BaseException:
            self._reading = None
            raise
        finally:
            self._busy = False

    async def aclose(self) -> None:
        """End it, and what it needs of a coordinator."""
        if self._busy:
            raise _read_elsewhere()
        self._ended = True
        if self._reading is not None:
            await self._reading.aclose()


def in_pages(fetch: Callable[[str], Awaitable[tuple[Sequence[_T], str | None]]]) -> AsyncResults[_T]:
    """Yield what is on pages; ``fetch`` returns that of a page, by its token, and the token of the next."""
    found: deque[_T] = deque()
    token: str | None = ""

    async def read_on() -> AsyncGenerator[_T, None]:
        nonlocal token
        while True:
            while found:
                yield found.popleft()
            if token is None:
                return
            page, token = await fetch(token)
            found.extend(page)

    return AsyncResults(read_on)


def _read_elsewhere() -> InvalidInput:
    return InvalidInput("another task or thread is reading this already", hint="begin another one for each of them")
