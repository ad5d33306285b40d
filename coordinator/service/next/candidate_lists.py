"""The candidates of a ClaimNext, read from its request.

A list may have a thousand work keys, and to read one of them may take a millisecond. Invariant: lists are read one at a
time, in turn between callers, and other tasks run after every few keys. A list that was read recently is remembered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules
from coordinator.limits import MAX_CANDIDATES
from coordinator.service.admission.turns import Turns
from coordinator.service.request_fields import Keyed
from coordinator.v1 import service_pb2 as pb

__all__ = ["CandidateLists"]

#: How many lists are kept as they were read, the latest ones: some 2 MiB each at most.
_LISTS_KEPT = 16
#: How many work keys are read before others have their turn.
_PORTION = 4


class CandidateLists:
    """Reads lists of candidates."""

    def __init__(self, key_rules: KeyRules) -> None:
        self._key_rules = key_rules
        self._turns = Turns(1)
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], Sequence[Keyed]] = OrderedDict()

    async def read(
        self, request: pb.ClaimNextRequest, credential: str, connection: str, *, deadline: float
    ) -> Sequence[Keyed]:
        """Return each work key once, where it stands first; ``deadline`` is a reading of ``time.monotonic()``.

        Raises ``InvalidInput`` for what is no list of work keys, and ``LimitExceeded`` if it cannot be read in time.
        """
        if not 1 <= len(request.candidates) <= MAX_CANDIDATES:
            raise InvalidInput(
                f"{len(request.candidates)} candidates; allowed are 1 to {MAX_CANDIDATES}",
                field="candidates",
                hint="name the work keys to choose from, the most wanted first",
            )
        fleet, typed = whole = request.fleet, tuple(request.candidates)
        found = self._kept.get(whole)
        if found is None:
            async with self._turns.turn(credential, connection, deadline=deadline):
                # Many that ask at once often have the same list, and it was read meanwhile.
                found = self._kept.get(whole)
                if found is None:
                    found = self._kept[whole] = await self._read(fleet, typed)
            if len(self._kept) > _LISTS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(whole)
        return found

    async def _read(self, fleet: str, candidates: Sequence[str]) -> Sequence[Keyed]:
        found: dict[bytes, Keyed] = {}
        for number, typed in enumerate(candidates, 1):
            if number % _PORTION == 0:
                await asyncio.sleep(0)
            try:
                keyed = Keyed.read(fleet, typed, self._key_rules)
            except InvalidInput as error:
                if error.field != "work_key":
                    raise
                raise InvalidInput(
                    f"candidate {number} is no work key: {error.message}", hint=error.hint, field="candidates"
                ) from None
            found.setdefault(keyed.paths.claim, keyed)
        return tuple(found.values())
