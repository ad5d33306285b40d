"""Which of several work keys is claimed: the first free one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from coordinator.client import Client
from coordinator.errors import InvalidInput
from coordinator.keys import parse_work_key
from coordinator.limits import MAX_CANDIDATES
from coordinator.model import Claim, Denial

__all__ = ["check_candidates", "claim_first"]


def check_candidates(typed: Sequence[str]) -> list[str]:
    """Return the work keys as they were typed, each once; raise ``InvalidInput`` unless all can be claimed.

    All are checked before any is claimed, so that a mistake in any line of a list is reported at once.
    """
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


def claim_first(
    client: Client, session: str, keys: Sequence[str], ttl: float, repeat_after: float | None = None
) -> Claim | Denial:
    """Claim the first free work key in one call.

    ``repeat_after``: completed work is free again so many seconds later; None leaves that to its policy.
    """
    request_id = uuid.uuid4().hex
    if len(keys) == 1:
        # A denial names the holder then.
        return client.try_claim(session, keys[0], ttl, repeat_after=repeat_after, request_id=request_id)
    return client.try_claim_next(session, keys, ttl, repeat_after=repeat_after, request_id=request_id)
