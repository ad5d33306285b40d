"""Read the time index backwards, latest entries first, in pieces.

etcd reads a range forwards only. To return the last keys of a range it reads all of it, values included, and sorts
them, so a piece of a day's 50,000 entries costs as much as all of them. So the range is cut by time into windows of
about a piece each.

Invariant: there is no gap and no overlap between windows, so each entry is read once, for any distribution of entries
in time and with any keys that no coordinator has written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from coordinator.engine.layout import format_stamp
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import KeyValue, Range, RangeReply, Txn

__all__ = ["Backwards", "moment_of"]

#: A window is to hold this share of a piece, and holds at most so many, so that reading it whole for one is cheap.
_SHARE, _MOST_PIECES = 0.7, 8
#: No window is narrower: the stamps of keys have milliseconds.
_NARROWEST = timedelta(milliseconds=1)
#: By how much a window that held little is widened for the next one.
_WIDEN = 8
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Backwards:
    """How far reading has come: what lies from ``start`` up to but excluding ``end`` is left.

    ``prefix`` is what all keys of the index start with, ``latest`` about the moment of the last that is wanted, and
    ``piece`` how many are read at a time. ``left`` is how many entries are not read yet, None before any is.
    """

    prefix: bytes
    start: bytes
    end: bytes
    latest: datetime
    piece: int
    left: int | None = field(default=None, init=False)
    _width: timedelta = field(default=_NARROWEST, init=False)
    #: Between then and ``latest`` there are more than a window may hold.
    _crowded: datetime | None = field(default=None, init=False)

    def read(self) -> Operation[tuple[KeyValue, ...]]:
        """Read the next entries, latest first; none if none is left."""
        if self.left is None:
            found = yield from _range(Range(self.start, self.end, self.piece))
            if not found.more:
                return self._take(found.kvs[::-1], self.start)
            self.left = found.total
            self._width = max(self.latest - moment_of(found.kvs[0].key, self.prefix), _NARROWEST)
            self._narrow(found.total)
        while self.start < self.end:
            start = self._beginning()
            found = yield from _range(Range(start, self.end, self.piece))
            if found.total > _MOST_PIECES * self.piece and self._width > _NARROWEST:
                self._crowded = self.latest - min(self._width, self.latest - _LONG_AGO)
                self._narrow(found.total)
                continue
            if found.more:
                found = yield from _range(Range(start, self.end, self.piece, descending=True))
                return self._take(found.kvs, found.kvs[-1].key)
            self._pass_on(found.total)
            if found.kvs:
                return self._take(found.kvs[::-1], start)
            self.end = start
        return ()

    def _narrow(self, total: int) -> None:
        """Have the next window hold most of a piece, if the ``total`` of this one lie evenly."""
        self._width = max(_NARROWEST, self._width * min(1.0, _SHARE * self.piece / total))

    def _pass_on(self, total: int) -> None:
        """Go on to the window before this one, and make that wider if this one held little."""
        self.latest -= min(self._width, self.latest - _LONG_AGO)
        if total < self.piece / 2:
            self._width = min(_WIDEN * self._width, self.latest - _LONG_AGO)
        if self._crowded is not None:
            if self._crowded >= self.latest:
                self._crowded = None
            else:
                self._width = max(_NARROWEST, min(self._width, (self.latest - self._crowded) / 2))

    def _take(self, entries: tuple[KeyValue, ...], end: bytes) -> tuple[KeyValue, ...]:
        self.end = end
        self.left = max(0, (self.left or len(entries)) - len(entries))
        return entries

    def _beginning(self) -> bytes:
        """Return where the window that lies before ``end`` begins."""
        if not self.left or self.latest - _LONG_AGO <= self._width:
            return self.start
        beginning = self.prefix + format_stamp(self.latest - self._width).encode()
        return max(self.start, beginning) if beginning < self.end else self.start


def moment_of(key: bytes, prefix: bytes) -> datetime:
    """Return the moment that a key of the index stands for; one long ago for a key that no coordinator has written."""
    stamp = key.removeprefix(prefix).partition(b"/")[0].decode(errors="replace")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _range(wanted: Range) -> Operation[RangeReply]:
    return (yield from commit(Txn((), (wanted,)))).range(0)
