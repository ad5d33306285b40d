"""Alternatives: what a session that was denied could do instead, of the same kind.

They are work that was abandoned and that no session holds. Denials are many where sessions converge, so that what is
there is read once for all of them.

Invariants:
- A denial names other work, and never a way around itself.
- Sessions that are denied together are led to different work, as far as there is any.
- A denial is never late or lost because no alternatives could be read: it has none then.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import loose_keys
from coordinator.errors import CoordinatorError
from coordinator.service.request_fields import Keyed
from coordinator.store.operation_driver import Runner

__all__ = ["Alternatives"]

#: How many are named, and of how many they are taken.
_NAMED = 3
_READ = 10
#: How long what was read is used, and how long to wait for it at most, in seconds.
_FRESH_SECONDS = 2.0
_PATIENCE_SECONDS = 0.25
_READING_SECONDS = 5.0
#: Fleets and kinds that are remembered; the one that was asked for longest ago is forgotten first.
_KINDS = 256


@dataclass(eq=False, slots=True)
class _OfKind:
    keys: tuple[str, ...] = ()
    fresh_until: float = 0.0
    reading: asyncio.Task[None] | None = field(default=None)


class Alternatives:
    """Finds alternatives with ``runner``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._kinds: OrderedDict[tuple[str, str], _OfKind] = OrderedDict()

    async def to(self, keyed: Keyed, session: str, *, deadline: float) -> tuple[str, ...]:
        """Return up to three work keys that ``session`` could claim instead of one that it was denied.

        ``deadline`` is a reading of ``time.monotonic()``.
        """
        known = self._of_kind(keyed.fleet, keyed.work_key.kind)
        if time.monotonic() >= known.fresh_until:
            if known.reading is None:
                known.reading = asyncio.create_task(self._read(keyed.fleet, keyed.work_key.kind, known))
            # It is shared; one who has no time for it is answered without.
            patience = min(_PATIENCE_SECONDS, deadline - time.monotonic())
            await asyncio.wait([known.reading], timeout=max(0.0, patience))
        others = [key for key in known.keys if key != str(keyed.work_key)]
        start = zlib.crc32(session.encode()) % len(others) if others else 0
        return tuple((others[start:] + others[:start])[:_NAMED])

    def _of_kind(self, fleet: str, kind: str) -> _OfKind:
        known = self._kinds.setdefault((fleet, kind), _OfKind())
        self._kinds.move_to_end((fleet, kind))
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return known

    async def _read(self, fleet: str, kind: str, known: _OfKind) -> None:
        try:
            start = partial(loose_keys, FleetPaths(fleet), kind, _READ)
            known.keys = await self._runner.run(start, deadline=time.monotonic() + _READING_SECONDS)
        except CoordinatorError:
            known.keys = ()
        finally:
            known.fresh_until = time.monotonic() + _FRESH_SECONDS
            known.reading = None
