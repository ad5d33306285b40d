"""Keeps a claim while COMMAND runs.

Invariants:
- A deadline counts from before the renewal was sent, and only that of a renewal that was answered counts.
- A renewal that was not answered is repeated with its request_id until it is, or until COMMAND is being ended.
- Only a definite refusal means that the claim is lost. No answer, or an internal error, does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from coordinator.client import Client
from coordinator.client._renewal_schedule import HeldClaim
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, Refused
from coordinator.model import Cause, Claim, HistoryEntry, State
from coordinator.run.timing import Timing

__all__ = ["Failing", "Lost", "Renewal", "Renewed", "Revoked", "find_end", "was_ended_by_holder", "what_became"]

#: How long to wait at most until the clock is looked at: a thread's timeouts do not count while the host is suspended.
_LONGEST_WAIT_SECONDS = 5.0
#: How long to wait at least before a renewal that failed is sent again, in seconds.
_LEAST_PAUSE_SECONDS = 0.1


class Renewed(NamedTuple):
    """The claim was renewed; ``deadline`` is the new one."""

    deadline: float


class Failing(NamedTuple):
    """The claim could not be renewed for some time; it is tried again."""

    error: CoordinatorError


class Lost(NamedTuple):
    """The claim has ended; ``entry`` says how, if that could be found out."""

    error: Refused
    entry: HistoryEntry | None


class Revoked(NamedTuple):
    """An operator wants the claim to end; it is held until then."""

    reason: str


class Renewal:
    """Renews one claim of ``client``; ``report`` gets what becomes of it, from the thread that runs it.

    When it is due, and what of an answer counts, is as for the claims that a client holds (``HeldClaim``).
    """

    def __init__(
        self,
        client: Client,
        claim: Claim,
        timing: Timing,
        report: Callable[[Renewed | Failing | Lost | Revoked], None],
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._client = client
        self._timing = timing
        self._report = report
        self._clock = clock
        self._woken = threading.Event()
        self._stopped = self._paused = False
        self._held = HeldClaim(claim, announce=lambda: None)

    def run(self) -> None:
        """Renew the claim until it is lost or ``stop`` is called."""
        while not self._stopped:
            if self._woken.wait(min(max(self.due_at - self._clock(), 0.0), _LONGEST_WAIT_SECONDS)):
                self._woken.clear()
                self._held.due_at = self._clock()
            if not self._stopped and not self._paused and self._clock() >= self.due_at:
                self.run_once()

    @property
    def due_at(self) -> float:
        """When it is due next, as a reading of the clock."""
        return self._held.due_at

    def pause(self) -> None:
        """Stop renewing the claim for now; it ends at its deadline."""
        self._paused = True

    def resume(self) -> None:
        """Renew the claim now, and continue to."""
        self._paused = False
        self._woken.set()

    def stop(self) -> None:
        """Stop renewing the claim."""
        self._stopped = True
        self._woken.set()

    def run_once(self) -> None:
        """Renew the claim, and say when that is due next."""
        held, ttl = self._held, self._timing.ttl
        claim = held.claim
        try:
            renewed = self._client.renew(
                claim.session, claim.work_key, ttl, token=claim.fencing_token, request_id=held.request_id
            )
        except Refused as error:
            if not self._stopped:
                self._report(what_became(self._client, claim, error))
            self._stopped = True
        except CoordinatorError as error:
            now = self._clock()
            held.failed(error, now)
            # Also after its deadline, by which COMMAND is to be gone.
            held.due_at = max(held.due_at, now + _LEAST_PAUSE_SECONDS)
            if now > held.deadline - ttl / 2:
                self._report(Failing(error))
        else:
            held.renewed(renewed)
            self._report(Renewed(held.deadline))


def what_became(client: Client, claim: Claim, refusal: Refused) -> Lost | Revoked:
    """Return what the failure of a renewal means for the claim."""
    try:
        details = client.get(claim.work_key)
    except CoordinatorError:
        return Lost(refusal, None)
    if details.claim is not None and details.claim.fencing_token == claim.fencing_token:
        return Revoked(details.record.reason or "")
    return Lost(refusal, _entry_of(claim, details.history))


def find_end(client: Client, claim: Claim) -> HistoryEntry | None:
    """Return how a claim has ended, None if that cannot be found out."""
    try:
        history = client.get(claim.work_key).history
    except CoordinatorError:
        return None
    return _entry_of(claim, history)


def _entry_of(claim: Claim, history: Iterable[HistoryEntry]) -> HistoryEntry | None:
    return next((entry for entry in history if entry.fencing_token == claim.fencing_token), None)


def was_ended_by_holder(claim: Claim, entry: HistoryEntry | None) -> bool:
    """Return whether the holder itself has completed or released a claim: then COMMAND has done so."""
    if entry is None or entry.session != claim.session:
        return False
    return entry.ended is State.COMPLETED or entry.cause is Cause.RELEASED
