"""Which fleets are new: the name of one in which nothing is stored may be mistyped.

Invariants:
- The default fleet is never new, as its name is not typed. A fleet is looked up before a claim, once for each
  replica: from when something was seen in it, or granted in it, no claim costs anything more.
- Of the claims that begin while nothing is stored, several may be answered that the fleet is new.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from coordinator.engine.layout import FleetPaths
from coordinator.engine.scan import is_empty_fleet
from coordinator.model import Claim, Denial
from coordinator.names import DEFAULT_FLEET
from coordinator.store.operation_driver import Runner

__all__ = ["NewFleets"]

#: How many fleets a replica remembers to be in use, the latest; some 150 bytes each.
_REMEMBERED = 4_096


class NewFleets:
    """Says which fleets had nothing stored before a claim."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._in_use: OrderedDict[str, None] = OrderedDict()

    async def is_empty(self, fleet: str, *, deadline: float) -> bool:
        """Return whether nothing is stored of a fleet; to be asked before a claim."""
        if fleet == DEFAULT_FLEET or fleet in self._in_use:
            return False
        empty = await self._runner.run(partial(is_empty_fleet, FleetPaths(fleet)), deadline=deadline)
        if not empty:
            self._note(fleet)
        return empty

    def answered(self, fleet: str, answer: Claim | Denial, *, was_empty: bool) -> bool:
        """Note what a claim was answered; return whether it is the first in its fleet."""
        if not was_empty:
            return False
        self._note(fleet)
        return isinstance(answer, Claim)

    def _note(self, fleet: str) -> None:
        self._in_use[fleet] = None
        if len(self._in_use) > _REMEMBERED:
            self._in_use.popitem(last=False)
