"""The candidates that a ClaimNext has passed over: counted for the answer and the metrics; the first of them are named.

A list may have a thousand candidates, so an answer goes through them only once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from coordinator.model import Choice, NothingFree, Skipped, SkipReason
from coordinator.service.request_fields import Keyed

__all__ = ["PassedOver", "Reason", "pass_over"]

#: How many of those that were passed over are named.
_NAMED = 20


class Reason(NamedTuple):
    """Why a candidate was passed over; ``expires_at``: when its live claim or its cooldown ends, for display."""

    reason: SkipReason
    holder: str | None = None
    expires_at: datetime | None = None


@dataclass(slots=True)
class PassedOver:
    """The candidates that were passed over: the first by name, all by their kind and the reason."""

    named: list[Skipped] = field(default_factory=list)
    also_held: list[str] = field(default_factory=list)
    counts: Counter[tuple[str, SkipReason]] = field(default_factory=Counter)
    seen: int = 0

    def choice(self, place: int | None) -> Choice:
        """Return what the answer says of them; ``place`` is that of what was granted, None where none was."""
        counts: Counter[SkipReason] = Counter()
        for (_, reason), count in self.counts.items():
            counts[reason] += count
        return Choice(
            place=place,
            skipped=tuple(self.named),
            skipped_counts=tuple((reason, counts[reason]) for reason in SkipReason if counts[reason]),
            also_held=tuple(self.also_held),
        )

    def nothing_free(self) -> NothingFree:
        """Return why none of all candidates was free."""
        reasons = {reason for _, reason in self.counts}
        # One of which it is not known was taken by another at the last moment.
        if reasons & {SkipReason.HELD, SkipReason.OWN} or self.counts.total() < self.seen:
            return NothingFree.HELD
        return NothingFree.BLOCKED if reasons & {SkipReason.COOLDOWN, SkipReason.LIMIT} else NothingFree.EMPTY


def pass_over(candidates: Iterable[Keyed], why: Callable[[Keyed], Reason | None]) -> PassedOver:
    """Go through candidates that were passed over; ``why`` returns None where that is not known."""
    found = PassedOver()
    for keyed in candidates:
        found.seen += 1
        reason = why(keyed)
        if reason is None:
            continue
        found.counts[keyed.work_key.kind, reason.reason] += 1
        if len(found.named) < _NAMED:
            found.named.append(Skipped(str(keyed.work_key), *reason))
        if reason.reason is SkipReason.OWN:
            found.also_held.append(str(keyed.work_key))
    return found
