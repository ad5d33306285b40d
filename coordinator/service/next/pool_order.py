"""The order in which the pool of one fleet is handed out: what is ready, what is held, and what waits for other work.

Invariants:
- Highest priority comes first, then what was submitted first.
- Work in front is found without a look at all of it: what is held or must wait is kept apart.
- What was seen at a later revision is not overwritten by what was seen at an earlier one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from coordinator.engine.documents import Pooled
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, read_work_key
from coordinator.engine.pool.dependencies import Dependency, still_done
from coordinator.engine.pool.scan import Live
from coordinator.engine.transaction import Compare, unchanged
from coordinator.model import SkipReason

__all__ = ["Piece", "PoolOrder"]

#: Highest priority first, then what was submitted first.
_Place = tuple[int, float, str]


@dataclass(slots=True)
class Piece:
    """One piece of work in the pool, as it was at ``revision``."""

    work_key: str
    kind: str
    paths: WorkPaths
    entry: Pooled
    revision: int
    place: _Place


class PoolOrder:
    """What is known of the pool of the fleet of ``paths``, in order."""

    def __init__(self, paths: FleetPaths) -> None:
        self._paths = paths
        #: Called with the work key of what may be ready now, or is another one than before; with None when anything may
        #: have changed.
        self.changed: Callable[[str | None], None] = lambda _: None
        self._clear()

    def _clear(self) -> None:
        self._pieces: dict[str, Piece] = {}
        self._held: dict[str, Live] = {}
        self._depended: dict[str, set[str]] = {}
        self._dependencies: dict[str, Dependency] = {}
        self._new: set[str] = set()
        #: The places of all that is neither held nor blocked.
        self._ready: list[_Place] = []
        self._is_ready: set[str] = set()

    def ready(self) -> Iterator[Piece]:
        """Go through what is neither held nor blocked, in order; for use before others have their turn."""
        return (self._pieces[place[2]] for place in self._ready)

    def moves(self) -> bool:
        """Return whether anything in the pool is ready, given back or held: the rest may become free by that."""
        return bool(self._ready) or any(key in self._pieces for key in self._held)

    def stuck_behind(self, failed: Iterable[str]) -> list[Piece]:
        """Return what is not held and waits for work that has failed, through whatever else it waits for."""
        found: dict[str, Piece] = {}
        behind = list(failed)
        while behind:
            for each in self._depended.get(behind.pop(), ()):
                piece = self._pieces.get(each)
                if piece is not None and each not in found and each not in self._held and not self._done(piece):
                    found[each] = piece
                    behind.append(each)
        return list(found.values())

    def overdue(self, now: datetime) -> list[Piece]:
        """Return what is held by claims that must have expired, in order: their ends are about to be recorded.

        What must wait for other work is left out, as it is among what is ready.
        """
        late = (key for key, live in self._held.items() if live.expires_at is not None and live.expires_at <= now)
        pieces = (self._pieces[key] for key in late if key in self._pieces)
        return sorted((piece for piece in pieces if self._done(piece)), key=lambda piece: piece.place)

    def everything(self) -> list[Piece]:
        """Return all that is in the pool, in no order."""
        return list(self._pieces.values())

    def why_not(self, piece: Piece) -> tuple[SkipReason | None, Live | None]:
        """Return why work is not ready, and the claim that is in its way; None for what is."""
        live = self._held.get(piece.work_key)
        if live is not None:
            return SkipReason.HELD, live
        return (None if self._done(piece) else SkipReason.BLOCKED), None

    def blocked_by(self, piece: Piece) -> list[str]:
        """Return what work depends on and is not done."""
        unknown = piece.entry.unknown
        return [each for each in piece.entry.depends if not self._is_done(each, was_unknown=each in unknown)]

    def piece(self, work_key: str) -> Piece | None:
        """Return a piece of work by its key; None where it is not in the pool."""
        return self._pieces.get(work_key)

    def knows(self, work_key: str) -> bool:
        """Return whether anything is known of work that others depend on."""
        found = self._dependencies.get(work_key)
        return found is None or found.known

    def as_seen(self, piece: Piece) -> tuple[Compare, ...]:
        """Return what compares that the work and what it depends on are as they are known here."""
        known = {each: self._dependencies[each] for each in piece.entry.depends if each in self._dependencies}
        return (unchanged(piece.paths.pool, piece.revision), *still_done(self._paths, known))

    def is_held(self, piece: Piece) -> bool:
        """Return whether a claim was on the work when it was seen last."""
        return piece.work_key in self._held

    def take(self, work_key: str, session: str, expires_at: datetime, revision: int) -> None:
        """Note that work was claimed, which the watch may not have shown yet."""
        self._hold(Live(work_key, session, expires_at, revision))

    def _hold(self, live: Live) -> None:
        held = self._held.get(live.work_key)
        if held is None or held.revision <= live.revision:
            self._held[live.work_key] = live
            self._place_again(live.work_key)

    def _put(self, work_key: str, entry: Pooled, revision: int, *, place: bool) -> None:
        before = self._pieces.get(work_key)
        if before is not None and before.revision > revision:
            return
        if before is not None:
            self._drop(before)
        found = read_work_key(encode_segment(work_key))
        if found is None:
            return
        order = (-entry.priority, entry.submitted_at.timestamp(), work_key)
        piece = self._pieces[work_key] = Piece(work_key, found.kind, self._paths.of(found), entry, revision, order)
        for each in entry.depends:
            self._depended.setdefault(each, set()).add(work_key)
            if each not in self._dependencies:
                self._new.add(each)
        if place:
            self._place(piece)
            self._place_dependents(work_key)

    def _drop(self, piece: Piece) -> None:
        self._set_ready(piece, ready=False)
        del self._pieces[piece.work_key]
        self.changed(piece.work_key)
        for each in piece.entry.depends:
            others = self._depended.get(each, set())
            others.discard(piece.work_key)
            if not others:
                self._depended.pop(each, None)
                self._dependencies.pop(each, None)

    def _place_again(self, work_key: str) -> None:
        piece = self._pieces.get(work_key)
        if piece is not None:
            self._place(piece)
        self._place_dependents(work_key)

    def _place_dependents(self, work_key: str) -> None:
        for each in self._depended.get(work_key, ()):
            if each in self._pieces:
                self._place(self._pieces[each])

    def _place(self, piece: Piece) -> None:
        self._set_ready(piece, ready=piece.work_key not in self._held and self._done(piece))

    def _set_ready(self, piece: Piece, *, ready: bool) -> None:
        if ready == (piece.work_key in self._is_ready):
            return
        if ready:
            self._is_ready.add(piece.work_key)
            insort(self._ready, piece.place)
            self.changed(piece.work_key)
        else:
            self._is_ready.discard(piece.work_key)
            del self._ready[bisect_left(self._ready, piece.place)]

    def _done(self, piece: Piece) -> bool:
        return all(self._is_done(each, was_unknown=each in piece.entry.unknown) for each in piece.entry.depends)

    def _is_done(self, work_key: str, *, was_unknown: bool) -> bool:
        found = self._dependencies.get(work_key)
        if found is None:
            return False
        # What was forgotten by retention is nowhere; what is in the pool, or has failed, is somewhere.
        return found.is_done(was_unknown=was_unknown) and (found.done or work_key not in self._pieces)
