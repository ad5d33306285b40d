"""The recorder that counts for Prometheus.

Invariants: nothing here raises into its caller; kinds, the only part of a work key that becomes a label, are bounded in
number, so that inventing kinds cannot make the metrics grow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from coordinator._version import __version__
from coordinator.metrics.window import ConvergenceWindow
from coordinator.model import Cause, ConvergenceRate, DenialReason, Outcome, State

__all__ = ["PrometheusRecorder"]

_LOG = logging.getLogger(__name__)
_M = TypeVar("_M", Counter, Histogram)

MAX_KINDS = 64
OTHER_KIND = "other"

_CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HELD_BUCKETS = (1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)
_CONTENDER_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
_LAG_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400)


class PrometheusRecorder:
    """Counts into ``registry``."""

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._window = ConvergenceWindow(monotonic)
        self._kinds: set[str] = set()
        self._claims = _by_labels(
            Counter("coordination_claims_total", "Claims answered, by outcome.", ["kind", "outcome"], registry=registry)
        )
        self._denials = _by_labels(
            Counter("coordination_denials_total", "Claims denied, by reason.", ["kind", "reason"], registry=registry)
        )
        self._completions = _by_labels(
            Counter("coordination_completions_total", "Attempts completed.", ["kind", "late"], registry=registry)
        )
        self._abandonments = _by_labels(
            Counter(
                "coordination_abandonments_total", "Attempts abandoned, by cause.", ["kind", "cause"], registry=registry
            )
        )
        self._contenders = Histogram(
            "coordination_contenders_per_claim",
            "Distinct sessions that were denied while an attempt was live: duplicates that did not happen.",
            buckets=_CONTENDER_BUCKETS,
            registry=registry,
        )
        self._held = _by_labels(
            Histogram(
                "coordination_claim_held_seconds",
                "From claim to end of an attempt, in seconds.",
                ["kind", "ended"],
                buckets=_HELD_BUCKETS,
                registry=registry,
            )
        )
        self._reap_lag = Histogram(
            "coordination_reap_lag_seconds",
            "From a claim's expiry to its record, in seconds.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._calls = _by_labels(
            Histogram(
                "coordination_rpc_seconds",
                "gRPC calls answered, in seconds.",
                ["method", "code"],
                buckets=_CALL_BUCKETS,
                registry=registry,
            )
        )
        self._transactions = Histogram(
            "coordination_etcd_transaction_seconds",
            "etcd transactions answered, retries included, in seconds.",
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "coordination_batch_size",
            "Transactions that went to etcd as one.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self._damaged = Counter(
            "coordination_damaged_values_total", "Values in etcd that could not be decoded.", registry=registry
        )
        Gauge("coordination_build_info", "The version that runs; always 1.", ["version"], registry=registry).labels(
            __version__
        ).set(1)

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:
        """Count an answer to a claim."""
        with _never_raising:
            kind = self._bounded(kind)
            self._claims(kind, outcome.value).inc()
            if reason is not None:
                self._denials(kind, reason.value).inc()
            if outcome is not Outcome.RENEWED:
                self._window.count(fleet, denied=outcome is Outcome.DENIED)

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
        """Count the end of an attempt."""
        with _never_raising:
            kind = self._bounded(kind)
            if ended is State.COMPLETED:
                self._completions(kind, str(late).lower()).inc()
            else:
                self._abandonments(kind, cause.value if cause else "").inc()
            self._contenders.observe(contenders)
            if held_seconds is not None:
                self._held(kind, ended.value).observe(held_seconds)
            if overdue_seconds is not None:
                self._reap_lag.observe(overdue_seconds)

    def transaction_done(self, seconds: float) -> None:
        """Observe an etcd transaction."""
        with _never_raising:
            self._transactions.observe(seconds)

    def batch_sent(self, size: int) -> None:
        """Observe a batch."""
        with _never_raising:
            self._batches.observe(size)

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """Observe a call."""
        with _never_raising:
            self._calls(method, code).observe(seconds)

    def value_damaged(self) -> None:
        """Count a damaged value."""
        with _never_raising:
            self._damaged.inc()

    def convergence_rate(self, fleet: str) -> ConvergenceRate:
        """Return what share of the fleet's claims this replica denied in the last five minutes."""
        return self._window.rate(fleet)

    def _bounded(self, kind: str) -> str:
        if kind in self._kinds:
            return kind
        if len(self._kinds) >= MAX_KINDS:
            return OTHER_KIND
        self._kinds.add(kind)
        return kind


class _NeverRaising:
    """Logs what goes wrong in its block, and goes on."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow whatever an ordinary fault has raised: a failure of the metrics never fails a claim."""
        if error is None or not isinstance(error, Exception):
            return False
        _LOG.error("a metric could not be counted", exc_info=error)
        return True


_never_raising = _NeverRaising()


def _by_labels(metric: _M) -> Callable[..., _M]:
    """Return ``metric.labels`` with a memory: the labels are few, and looking them up in the metric takes a lock."""
    return cache(metric.labels)
