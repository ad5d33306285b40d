"""What the service, the store and the reaper report to the metrics, without depending on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from coordinator.engine.steps import AttemptEnded, ClaimGranted
from coordinator.model import Cause, ConvergenceRate, DenialReason, Outcome, SkipReason, State

__all__ = ["CensusCounts", "EndedAttempt", "NullRecorder", "Place", "Recorder", "SimilarAnswer", "report"]


class Place(StrEnum):
    """Which candidate a ClaimNext was granted."""

    FIRST = "first"
    LATER = "later"
    NONE = "none"


class SimilarAnswer(StrEnum):
    """What came of a claim that similar topics were found for: at once, or later after they had been shown."""

    SHOWN = "shown"
    ASKED = "asked"
    DISTINCT = "distinct"
    COMPLETED = "completed"
    RELEASED = "released"


class EndedAttempt(NamedTuple):
    """An attempt that has ended.

    ``contenders`` is None where they were counted before, with the expiry of what is completed late; ``held_seconds``
    is how long it had been claimed; ``overdue_seconds``, for one that expired, how much later than its expiry that was
    written down.
    """

    kind: str
    ended: State
    cause: Cause | None
    late: bool
    contenders: int | None
    held_seconds: float | None
    overdue_seconds: float | None


class CensusCounts(NamedTuple):
    """How many live claims and loose ends there are, by kind, and how much of the pool is available and has failed."""

    live_claims: Mapping[str, int]
    loose_ends: Mapping[str, int]
    available: Mapping[str, int]
    failed: Mapping[str, int]


class Recorder(Protocol):
    """Receives what happened. No method raises, and none takes long: a failure of the metrics never fails a claim."""

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """A claim was granted, renewed or denied; ``reason`` is that of the denial."""

    def placed(self, fleet: str, kind: str, place: Place, skips: Mapping[tuple[str, SkipReason], int]) -> None:
        """A ClaimNext whose first choice is of this kind was answered.

        ``skips`` is how many candidates were passed over, by their kind and the reason. What was granted is reported by
        ``claim_answered`` besides.
        """

    def similar_found(self, kind: str, answer: SimilarAnswer) -> None:
        """Similar topics were found for a claim; ``answer`` says what came of it."""

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        """An attempt ended."""

    def transaction_done(self, seconds: float) -> None:
        """An etcd transaction was answered."""

    def batch_sent(self, size: int) -> None:
        """Record how many transactions went to etcd in one batch."""

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """A gRPC call was answered with the status ``code``."""

    def write_refused(self, reason: str) -> None:
        """A write was refused: a budget of bytes was used up, and ``reason`` says whose."""

    def value_damaged(self) -> None:
        """A value in etcd could not be decoded."""

    def reaping(self, *, elected: bool, revision_lag: int) -> None:
        """This replica is elected to reap or is not, and is that many revisions behind."""

    def census(self, counts: CensusCounts | None) -> None:
        """Record how much there is of each kind, in all fleets.

        Reported by the elected replica only; None where it is not elected any more.
        """

    def convergence_rate(self, fleet: str) -> ConvergenceRate:
        """Return what share of the fleet's claims this replica denied recently."""


class NullRecorder:
    """Records nothing."""

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """Do nothing."""

    def placed(self, fleet: str, kind: str, place: Place, skips: Mapping[tuple[str, SkipReason], int]) -> None:
        """Do nothing."""

    def similar_found(self, kind: str, answer: SimilarAnswer) -> None:
        """Do nothing."""

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        """Do nothing."""

    def transaction_done(self, seconds: float) -> None:
        """Do nothing."""

    def batch_sent(self, size: int) -> None:
        """Do nothing."""

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """Do nothing."""

    def write_refused(self, reason: str) -> None:
        """Do nothing."""

    def value_damaged(self) -> None:
        """Do nothing."""

    def reaping(self, *, elected: bool, revision_lag: int) -> None:
        """Do nothing."""

    def census(self, counts: CensusCounts | None) -> None:
        """Do nothing."""

    def convergence_rate(self, fleet: str) -> ConvergenceRate:  # noqa: ARG002  # the protocol has it
        """Return nothing known."""
        return ConvergenceRate(window_seconds=0.0, value=None, granted=0, denied=0)


def report(recorder: Recorder, event: AttemptEnded | ClaimGranted, clock: Callable[[], datetime]) -> None:
    """Record what an operation of the engine reports; ``clock`` returns the present time."""
    if isinstance(event, ClaimGranted):
        recorder.claim_answered(event.fleet, event.kind, Outcome.GRANTED, None)
        if event.chosen is not None:
            place = Place.LATER if event.chosen.skips else Place.FIRST
            recorder.placed(event.fleet, event.chosen.kind, place, event.chosen.skips)
        return
    held = None if event.claimed_at is None else max(0.0, (event.ended_at - event.claimed_at).total_seconds())
    overdue = None
    if event.cause is Cause.EXPIRED:
        overdue = max(0.0, (clock() - event.ended_at).total_seconds())
    recorder.attempt_ended(
        EndedAttempt(event.kind, event.ended, event.cause, event.late, event.contenders, held, overdue)
    )
