# Generated from _async_results.py by scripts/unasync.py; do not edit.
"""What the synchronous client yields.

Invariant: it ends only where all has been yielded, or it was closed. A generator that an error, a timeout or an
interrupt has left is at its end, and would pass what it has yielded so far off as all there is. What is read on here
after one goes on where it was: it skips nothing and repeats nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Generic, NoReturn, Self, TypeVar

from coordinator.errors import InvalidInput

__all__ = ["Results", "in_pages"]

_T = TypeVar("_T")


class Results(Iterator[_T], Generic[_T]):
    """Yields what generators yield that ``begin`` makes, each of which goes on where the one before was left."""

    def __init__(self, begin: Callable[[], Generator[_T, None]]) -> None:
        self._begin = begin
        self._reading: Generator[_T, None] | None = None
        self._busy = self._ended = False

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            "what is being read cannot be copied or pickled: two copies would read on in one place",
            hint="begin another one for each of them, or pass on what has been read",
        )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        """Return the next; may be called again after it has raised, whatever that was."""
        if self._busy:
            raise _read_elsewhere()
        if self._ended:
            raise StopIteration
        self._busy = True
        try:
            self._reading = self._reading or self._begin()
            return next(self._reading)
        except StopIteration:
            self._ended = True
            raise
        except BaseException:
            self._reading = None
            raise
        finally:
            self._busy = False

    def close(self) -> None:
        """End it, and what it needs of a coordinator."""
        if self._busy:
            raise _read_elsewhere()
        self._ended = True
        if self._reading is not None:
            self._reading.close()


def in_pages(fetch: Callable[[str], tuple[Sequence[_T], str | None]]) -> Results[_T]:
    """Yield what is on pages; ``fetch`` returns that of a page, by its token, and the token of the next."""
    found: deque[_T] = deque()
    token: str | None = ""

    def read_on() -> Generator[_T, None]:
        nonlocal token
        while True:
            while found:
                yield found.popleft()
            if token is None:
                return
            page, token = fetch(token)
            found.extend(page)

    return Results(read_on)


def _read_elsewhere() -> InvalidInput:
    return InvalidInput("another task or thread is reading this already", hint="begin another one for each of them")
