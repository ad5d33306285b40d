"""Learns from a watch that an operator revokes a claim, before the next renewal would.

Invariant: nothing depends on it. If no watch can be opened, because their number is limited, the renewals learn it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from coordinator.client import Client
from coordinator.errors import CoordinatorError, NotHolder
from coordinator.model import Cause, Claim, ClaimEvent, Event, State
from coordinator.quotation import key
from coordinator.run.renewal import Lost, Revoked

__all__ = ["watch_revocation"]

#: How long to wait until a watch that ended is begun again, in seconds.
_RETRY_SECONDS = 20.0


def watch_revocation(client: Client, claim: Claim, report: Callable[[Lost | Revoked], None]) -> None:
    """Watch the claim until an operator revokes it, and report that; to be run in a thread."""
    while True:
        try:
            for claim_event in client.watch(kind=claim.kind, session=claim.session):
                found = _revocation(claim, claim_event)
                if found is not None:
                    report(found)
                    return
        except CoordinatorError:
            time.sleep(_RETRY_SECONDS)


def _revocation(claim: Claim, claim_event: ClaimEvent) -> Lost | Revoked | None:
    record = claim_event.record
    if record.fencing_token != claim.fencing_token or record.cause is not Cause.REVOKED:
        return None
    if claim_event.event is Event.ABANDONED:
        return Lost(NotHolder(f"the claim on {key(claim.work_key)} was revoked by an operator"), None)
    return Revoked(record.reason or "") if record.state is State.CLAIMED else None
