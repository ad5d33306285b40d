"""Completes or releases a claim once no process of COMMAND is alive.

Invariant: it is one request, however often it is sent: all tries have the same request_id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from coordinator.client import Client
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, NotPermitted, Refused
from coordinator.model import Claim, Record

__all__ = ["complete", "release"]

#: How long to wait between tries, in seconds; an attempt to connect that is refused ends at once.
_RETRY_SECONDS = 0.5


def complete(client: Client, claim: Claim, until: float, waiting: Callable[[CoordinatorError], None]) -> Record:
    """Mark the work as finished; tried until ``until``, a reading of the boot clock.

    ``waiting`` gets the first error after which it is tried again.
    """
    request_id = uuid.uuid4().hex
    return _repeat(
        lambda: client.complete(claim.session, claim.work_key, token=claim.fencing_token, request_id=request_id),
        until,
        waiting,
    )


def release(client: Client, claim: Claim, reason: str, until: float, *, failed: bool = False) -> Record:
    """Release the work with a reason; tried until ``until``, a reading of the boot clock.

    ``failed``: the attempt counts as a failure of the work.
    """
    request_id = uuid.uuid4().hex
    return _repeat(
        lambda: client.release(
            claim.session,
            claim.work_key,
            reason=reason,
            failed=failed,
            token=claim.fencing_token,
            request_id=request_id,
        ),
        until,
        lambda _error: None,
    )


def _repeat(call: Callable[[], Record], until: float, waiting: Callable[[CoordinatorError], None]) -> Record:
    said = False
    while True:
        try:
            return call()
        except (Refused, NotPermitted):
            raise
        except CoordinatorError as error:
            if boot_seconds() + _RETRY_SECONDS > until:
                raise
            if not said:
                said = True
                waiting(error)
            time.sleep(_RETRY_SECONDS)
