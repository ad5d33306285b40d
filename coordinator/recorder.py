"""What the service, the store and the reaper tell the metrics, without knowing them."""

from __future__ import annotations

from typing import Protocol

from coordinator.model import Cause, ConvergenceRate, DenialReason, Outcome, State

__all__ = ["NullRecorder", "Recorder"]


class Recorder(Protocol):
    """Receives what happened. No method raises, and none takes long: a failure of the metrics never fails a claim."""

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """A claim was granted, renewed or denied; ``reason`` is that of the denial."""

    def attempt_ended(
        self,
        kind: str,
        ended: State,
        cause: Cause | None,
        *,
        late: bool,
        contenders: int,
        held_seconds: float | None,
        overdue_seconds: float | None,
    ) -> None:
        """An attempt ended.

        ``held_seconds`` is how long it had been claimed; ``overdue_seconds``, for one that expired, how much later than
        its expiry that was written down.
        """

    def transaction_done(self, seconds: float) -> None:
        """An etcd transaction was answered."""

    def batch_sent(self, size: int) -> None:
        """That many transactions went to etcd as one."""

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """A gRPC call was answered with the status ``code``."""

    def value_damaged(self) -> None:
        """A value in etcd could not be decoded."""

    def convergence_rate(self, fleet: str) -> ConvergenceRate:
        """Return what share of the fleet's claims this replica denied lately."""


class NullRecorder:
    """Records nothing."""

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """Do nothing."""

    def attempt_ended(
        self,
        kind: str,
        ended: State,
        cause: Cause | None,
        *,
        late: bool,
        contenders: int,
        held_seconds: float | None,
        overdue_seconds: float | None,
    ) -> None:
        """Do nothing."""

    def transaction_done(self, seconds: float) -> None:
        """Do nothing."""

    def batch_sent(self, size: int) -> None:
        """Do nothing."""

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """Do nothing."""

    def value_damaged(self) -> None:
        """Do nothing."""

    def convergence_rate(self, fleet: str) -> ConvergenceRate:  # noqa: ARG002  # the protocol has it
        """Return nothing known."""
        return ConvergenceRate(window_seconds=0.0, value=None, granted=0, denied=0)
