"""Which of several work keys is claimed: the first free one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from coordinator.client import Client
from coordinator.errors import InvalidInput
from coordinator.keys import parse_work_key
from coordinator.model import Claim, Denial

__all__ = ["MAX_CANDIDATES", "NothingFree", "check_candidates", "claim_first"]

#: The longest list of candidates.
MAX_CANDIDATES = 1_000


class NothingFree(NamedTuple):
    """None of the candidates could be had: the denial of each, in their order."""

    denials: tuple[Denial, ...]


def check_candidates(typed: Sequence[str]) -> list[str]:
    """Return the work keys as they were typed, each once; raise ``InvalidInput`` unless all can be claimed.

    All are looked at before any is claimed, so that a mistake further down a list is not found only once it is needed.
    """
    if not typed:
        raise InvalidInput(
            "no work key is named; at least one is needed",
            field="work_key",
            hint="coordination run KEY… -- COMMAND…, or --from FILE with one key on each line",
        )
    if len(typed) > MAX_CANDIDATES:
        raise InvalidInput(
            f"{len(typed):,} work keys are too many; at most {MAX_CANDIDATES:,} are allowed", field="work_key"
        )
    # Which spellings are one piece of work is finally decided by the coordinator, which may have more kinds of topics.
    pieces: dict[str, str] = {}
    for number, key in enumerate(typed, 1):
        try:
            pieces.setdefault(str(parse_work_key(key)), key)
        except InvalidInput as error:
            place = f" (number {number} of {len(typed)})" if len(typed) > 1 else ""
            raise InvalidInput(f"{error.message}{place}", field="work_key", hint=error.hint) from None
    return list(pieces.values())


def claim_first(client: Client, session: str, keys: Sequence[str], ttl: float) -> Claim | NothingFree:
    """Claim the first free work key; nothing was claimed where this raises, unless it is ``OutcomeUnknown``."""
    denials = []
    for key in keys:
        answer = client.try_claim(session, key, ttl, request_id=uuid.uuid4().hex)
        if isinstance(answer, Claim):
            return answer
        denials.append(answer)
    return NothingFree(tuple(denials))
