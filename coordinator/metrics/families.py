"""What is counted and observed: names, help texts, labels and buckets. docs/metrics.md has the same as a table.

Invariant: every label has a bounded number of values, so that nothing that callers send makes the metrics grow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from coordinator._version import __version__
from coordinator.limits import MAX_TTL_SECONDS

__all__ = ["OfClaims", "OfService"]

_M = TypeVar("_M", Counter, Histogram)

_CALL_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HELD_BUCKETS = (1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400, MAX_TTL_SECONDS)
_CONTENDER_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
_LAG_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400)

# Otherwise each series has a second one with the time when it was begun.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations

#: The kinds of owners of budgets. All are reported from the start, so that the first refusal shows in a rate.
BUDGETS = ("credential", "session", "caller", "fleet", "coordinator")


class OfClaims:
    """What becomes of claims."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, histogram = partial(Counter, registry=registry), partial(Histogram, registry=registry)
        self.claims = _by_labels(
            counter(
                "coordination_claims_total",
                "Claims answered, by outcome; every denial counts, also a repeated one of the same session.",
                ["kind", "outcome"],
            )
        )
        self.denials = _by_labels(
            counter("coordination_denials_total", "Claims denied, by reason.", ["kind", "reason"])
        )
        self.placements = _by_labels(
            counter(
                "coordination_placements_total",
                "Calls of ClaimNext answered, by what was granted: the first choice, a later one, or none.",
                ["kind", "place"],
            )
        )
        self.skips = _by_labels(
            counter(
                "coordination_skips_total",
                "Candidates that a ClaimNext has passed over, by reason.",
                ["kind", "reason"],
            )
        )
        self.similar = _by_labels(
            counter(
                "coordination_similar_found_total",
                "Claims that similar topics were found for, by what came of it: they were shown, or the claimant was "
                "asked first, has said that the work is distinct, or has later completed or released the work.",
                ["kind", "answer"],
            )
        )
        self.completions = _by_labels(
            counter(
                "coordination_completions_total",
                "Attempts completed, by whether that was late: after the claim had expired.",
                ["kind", "late"],
            )
        )
        self.abandonments = _by_labels(
            counter("coordination_abandonments_total", "Attempts abandoned, by cause.", ["kind", "cause"])
        )
        self.contenders = histogram(
            "coordination_contenders_per_claim",
            "Distinct sessions that were denied while an attempt was live, counted when it ends: duplicates that did "
            "not happen.",
            buckets=_CONTENDER_BUCKETS,
        )
        self.held = _by_labels(
            histogram(
                "coordination_claim_held_seconds",
                "From claim to end of an attempt, in seconds.",
                ["kind", "ended"],
                buckets=_HELD_BUCKETS,
            )
        )
        self.reap_lag = histogram(
            "coordination_reap_lag_seconds", "From a claim's expiry to its record, in seconds.", buckets=_LAG_BUCKETS
        )


class OfService:
    """How the service, its store and its reaper do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        histogram, gauge = partial(Histogram, registry=registry), partial(Gauge, registry=registry)
        self.calls = _by_labels(
            histogram(
                "coordination_rpc_seconds",
                "Calls of gRPC answered, by method and status code, in seconds; for Watch, how long the stream lasted.",
                ["method", "code"],
                buckets=_CALL_BUCKETS,
            )
        )
        self.transactions = histogram(
            "coordination_etcd_transaction_seconds",
            "Transactions that etcd has answered, retries included, in seconds.",
            buckets=_CALL_BUCKETS,
        )
        self.batches = histogram(
            "coordination_batch_size", "Transactions sent to etcd in one batch.", buckets=_BATCH_BUCKETS
        )
        self.refused_writes = _by_labels(
            Counter(
                "coordination_refused_writes_total",
                "Writes refused because a budget was used up, by the owner of the budget.",
                ["budget"],
                registry=registry,
            )
        )
        for budget in BUDGETS:
            self.refused_writes(budget)
        self.damaged = Counter(
            "coordination_damaged_values_total", "Values in etcd that could not be decoded.", registry=registry
        )
        self.elected = gauge("coordination_reaper_is_leader", "Whether this replica is elected to reap: 1 or 0.")
        self.lag = gauge(
            "coordination_reaper_revision_lag",
            "By how many store revisions the reaper of this replica is behind; 0 while it is not elected.",
        )
        gauge("coordination_build_info", "The running version; always 1.", ["version"]).labels(__version__).set(1)


def _by_labels(metric: _M) -> Callable[..., _M]:
    """Return ``metric.labels`` with a memory: the labels are few, and looking them up in the metric takes a lock."""
    return cache(metric.labels)
