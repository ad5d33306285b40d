"""What was asked for in the last minutes, for the convergence rate that ``status`` shows."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.model import ConvergenceRate

__all__ = ["ConvergenceWindow"]

WINDOW_SECONDS = 300.0
#: The window slides in steps of this many seconds.
_SLOT_SECONDS = 5.0
#: Fleets that are counted separately; the one that was seen longest ago is dropped first.
_FLEETS = 1000


@dataclass(slots=True)
class _Slot:
    number: int
    granted: int = 0
    denied: int = 0
    later: int = 0


@dataclass(slots=True)
class _Fleet:
    slots: deque[_Slot] = field(default_factory=deque)

    def at(self, number: int) -> _Slot:
        if not self.slots or self.slots[-1].number != number:
            self.slots.append(_Slot(number))
        oldest = number - int(WINDOW_SECONDS / _SLOT_SECONDS)
        while self.slots[0].number <= oldest:
            self.slots.popleft()
        return self.slots[-1]


class ConvergenceWindow:
    """Counts per fleet over a sliding window; ``monotonic`` is a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._fleets: OrderedDict[str, _Fleet] = OrderedDict()

    def count(self, fleet: str, *, denied: bool) -> None:
        """Count one grant or denial."""
        slot = self._slot(fleet)
        if denied:
            slot.denied += 1
        else:
            slot.granted += 1

    def contended(self, fleet: str) -> None:
        """Note that one of the grants was not of the first choice, because that was taken."""
        self._slot(fleet).later += 1

    def rate(self, fleet: str) -> ConvergenceRate:
        """Return the rate over the window."""
        if fleet not in self._fleets:
            return ConvergenceRate(WINDOW_SECONDS, None, 0, 0)
        self._slot(fleet)
        slots = self._fleets[fleet].slots
        granted, denied = sum(slot.granted for slot in slots), sum(slot.denied for slot in slots)
        contended = denied + sum(slot.later for slot in slots)
        value = min(1.0, contended / (granted + denied)) if granted + denied else None
        return ConvergenceRate(WINDOW_SECONDS, value, granted, denied)

    def _slot(self, fleet: str) -> _Slot:
        found = self._fleets.get(fleet)
        if found is None:
            if len(self._fleets) >= _FLEETS:
                self._fleets.popitem(last=False)
            found = self._fleets[fleet] = _Fleet()
        else:
            self._fleets.move_to_end(fleet)
        return found.at(int(self._monotonic() / _SLOT_SECONDS))
