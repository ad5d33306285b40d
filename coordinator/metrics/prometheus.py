"""The recorder that counts for Prometheus.

Invariants: nothing here raises into its caller; kinds, the only part of a work key that becomes a label, are bounded in
number, so that inventing kinds cannot make the metrics grow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from prometheus_client import CollectorRegistry

from coordinator.metrics.families import OfClaims, OfService
from coordinator.metrics.gauges import CensusGauges
from coordinator.metrics.window import WINDOW_SECONDS, ConvergenceWindow
from coordinator.model import ConvergenceRate, DenialReason, Outcome, SkipReason, State
from coordinator.recorder import CensusCounts, EndedAttempt, Place, SimilarAnswer

__all__ = ["PrometheusRecorder"]

_LOG = logging.getLogger(__name__)

MAX_KINDS = 64
OTHER_KIND = "other"
#: How often a metric that cannot be counted is written of in the log: it may fail with every claim.
_SECONDS_PER_COMPLAINT = 60.0


class PrometheusRecorder:
    """Counts into ``registry``."""

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._never_raising = _NeverRaising()
        self._window = ConvergenceWindow(monotonic)
        self._kinds: set[str] = set()
        self._of_claims = OfClaims(registry)
        self._of_service = OfService(registry)
        self._census = CensusGauges(self._bounded, OTHER_KIND)
        registry.register(self._census)

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """Count an answer to a claim."""
        with self._never_raising:
            kind = self._bounded(kind)
            self._of_claims.claims(kind, outcome.value).inc()
            if reason is not None:
                self._of_claims.denials(kind, reason.value).inc()
            if outcome is not Outcome.RENEWED:
                self._window.count(fleet, denied=outcome is Outcome.DENIED)

    def placed(self, fleet: str, kind: str, place: Place, skips: Mapping[tuple[str, SkipReason], int]) -> None:
        """Count an answer to a ClaimNext."""
        with self._never_raising:
            self._of_claims.placements(self._bounded(kind), place.value).inc()
            for (skipped, reason), count in skips.items():
                self._of_claims.skips(self._bounded(skipped), reason.value).inc(count)
            if place is Place.LATER:
                self._window.contended(fleet)
            elif place is Place.NONE:
                self._window.count(fleet, denied=True)

    def similar_found(self, kind: str, answer: SimilarAnswer) -> None:
        """Count a claim that similar topics were found for, or what became of one."""
        with self._never_raising:
            self._of_claims.similar(self._bounded(kind), answer.value).inc()

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        """Count the end of an attempt."""
        with self._never_raising:
            kind = self._bounded(attempt.kind)
            if attempt.ended is State.COMPLETED:
                self._of_claims.completions(kind, str(attempt.late).lower()).inc()
            else:
                self._of_claims.abandonments(kind, attempt.cause.value if attempt.cause else "").inc()
            if attempt.contenders is not None:
                self._of_claims.contenders.observe(attempt.contenders)
            if attempt.held_seconds is not None:
                self._of_claims.held(kind, attempt.ended.value).observe(attempt.held_seconds)
            if attempt.overdue_seconds is not None:
                self._of_claims.reap_lag.observe(attempt.overdue_seconds)

    def transaction_done(self, seconds: float) -> None:
        """Observe an etcd transaction."""
        with self._never_raising:
            self._of_service.transactions.observe(seconds)

    def batch_sent(self, size: int) -> None:
        """Observe a batch."""
        with self._never_raising:
            self._of_service.batches.observe(size)

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """Observe a call."""
        with self._never_raising:
            self._of_service.calls(method, code).observe(seconds)

    def write_refused(self, reason: str) -> None:
        """Count a refused write."""
        with self._never_raising:
            self._of_service.refused_writes(reason).inc()

    def value_damaged(self) -> None:
        """Count a damaged value."""
        with self._never_raising:
            self._of_service.damaged.inc()

    def reaping(self, *, elected: bool, revision_lag: int) -> None:
        """Show how the reaper is."""
        with self._never_raising:
            self._of_service.elected.set(elected)
            self._of_service.lag.set(revision_lag)

    def census(self, counts: CensusCounts | None) -> None:
        """Show what the elected replica has counted."""
        with self._never_raising:
            self._census.show(counts)

    def convergence_rate(self, fleet: str) -> ConvergenceRate:
        """Return the share of the fleet's asks at this replica that were contended in the last five minutes."""
        with self._never_raising:
            return self._window.rate(fleet)
        return ConvergenceRate(WINDOW_SECONDS, None, 0, 0)

    def _bounded(self, kind: str) -> str:
        if kind in self._kinds:
            return kind
        if len(self._kinds) >= MAX_KINDS:
            return OTHER_KIND
        self._kinds.add(kind)
        return kind


class _NeverRaising:
    """Logs what goes wrong in its block, once a minute, and goes on."""

    def __init__(self) -> None:
        self._complain_at = 0.0

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow whatever an ordinary fault has raised: a failure of the metrics never fails a claim."""
        if error is None or not isinstance(error, Exception):
            return False
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _SECONDS_PER_COMPLAINT
            _LOG.error("a metric could not be counted", exc_info=error)
        return True
