"""Work in portions: between two of them an operation lets other tasks run.

An operation runs on the event loop of its replica, and while it decodes what it has read, no other call is answered.

Invariant: an operation that goes through many values, or through long ones, yields a ``Pause`` after each portion of
them: after 64 values or 128 KiB, which take some milliseconds. What it has read stays as it was at one revision; its
writes are transactions with comparisons, as always.
"""

from __future__ import annotations

from coordinator.engine.steps import Operation, Pause
from coordinator.engine.transaction import KeyValue

__all__ = ["PORTION_BYTES", "PORTION_ITEMS", "Portion"]

PORTION_ITEMS = 64
PORTION_BYTES = 128 * 1024
_PAUSE = Pause()


class Portion:
    """What an operation has done since it last gave way."""

    __slots__ = ("_bytes", "_items")

    def __init__(self) -> None:
        self._items = PORTION_ITEMS
        self._bytes = PORTION_BYTES

    def take(self, kv: KeyValue) -> Operation[None]:
        """Count a value that is about to be decoded; gives way before it where the portion is full."""
        return self.count(len(kv.value))

    def count(self, size: int) -> Operation[None]:
        """Count something that is about to be done to so many bytes, or characters."""
        if self._items <= 0 or self._bytes <= 0:
            self._items, self._bytes = PORTION_ITEMS, PORTION_BYTES
            yield _PAUSE
        self._items -= 1
        self._bytes -= size
