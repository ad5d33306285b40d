"""The ids of requests whose outcome an agent does not know, so that the same call again is the same request.

Invariants:
- A call whose arguments are those of one without a known outcome carries its id, and so takes effect once.
- Of several such calls at a time only the first does. Sub-agents have one server and often one list: the others ask for
  themselves.
- An id is kept for as long as what it made may last without a renewal, and no longer: later, the same call is new work.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable

from coordinator.clock import boot_seconds

__all__ = ["Repeats"]

#: How many are kept.
_MOST = 100


class Repeats:
    """Request ids by what was asked; ``seconds`` is how long each is kept."""

    def __init__(self, seconds: float, clock: Callable[[], float] = boot_seconds) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[str, float]] = OrderedDict()

    def take(self, asked: Hashable) -> str:
        """Return the id that a call is to carry: that of the same call without a known outcome, or a new one."""
        request_id, until = self._kept.pop(asked, ("", 0.0))
        return request_id if self._clock() < until else uuid.uuid4().hex

    def keep(self, asked: Hashable, request_id: str) -> None:
        """Note that the outcome of a call is not known."""
        self._kept[asked] = request_id, self._clock() + self._seconds
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
