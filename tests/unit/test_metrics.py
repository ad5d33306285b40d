"""What is counted, and what a failure to count does: nothing."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry

from benchmarks.metrics_cost import SERIES_OF_KINDS, kind_samples, record_random_kinds
from coordinator.metrics import PrometheusRecorder, Reading, ReplicaGauges
from coordinator.metrics.prometheus import MAX_KINDS
from coordinator.metrics.window import ConvergenceWindow
from coordinator.model import Cause, DenialReason, Outcome, State
from coordinator.recorder import EndedAttempt


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class TestWindow:
    def test_nothing_counted_is_no_rate(self) -> None:
        rate = ConvergenceWindow(Clock()).rate("default")
        assert (rate.window_seconds, rate.value, rate.granted, rate.denied) == (300, None, 0, 0)

    def test_the_rate_is_what_was_denied_of_all(self) -> None:
        window = ConvergenceWindow(Clock())
        for denied in (True, True, True, False):
            window.count("default", denied=denied)
        window.count("other", denied=False)
        rate = window.rate("default")
        assert (rate.value, rate.granted, rate.denied) == (0.75, 1, 3)
        assert window.rate("other").value == 0

    def test_it_slides(self) -> None:
        clock = Clock()
        window = ConvergenceWindow(clock)
        window.count("default", denied=True)
        clock.seconds += 295
        window.count("default", denied=False)
        assert window.rate("default").value == 0.5
        clock.seconds += 5
        assert window.rate("default").value == 0
        clock.seconds += 300
        assert window.rate("default").value is None

    def test_the_fleet_heard_of_longest_ago_is_forgotten_first(self) -> None:
        window = ConvergenceWindow(Clock())
        for number in range(1000):
            window.count(f"fleet-{number}", denied=True)
        window.rate("fleet-0")
        window.count("one-more", denied=True)
        assert window.rate("fleet-0").denied == 1
        assert window.rate("fleet-1").denied == 0


class TestRecorder:
    @pytest.fixture
    def registry(self) -> CollectorRegistry:
        return CollectorRegistry()

    @pytest.fixture
    def recorder(self, registry: CollectorRegistry) -> PrometheusRecorder:
        return PrometheusRecorder(registry)

    def test_a_renewal_counts_as_a_claim_but_not_in_the_rate(
        self, registry: CollectorRegistry, recorder: PrometheusRecorder
    ) -> None:
        recorder.claim_answered("default", "task", Outcome.RENEWED, None)
        recorder.claim_answered("default", "task", Outcome.DENIED, DenialReason.HELD)
        sample = registry.get_sample_value
        assert sample("coordination_claims_total", {"kind": "task", "outcome": "renewed"}) == 1
        assert sample("coordination_denials_total", {"kind": "task", "reason": "held"}) == 1
        assert recorder.convergence_rate("default").value == 1

    def test_kinds_beyond_the_limit_are_other(self, registry: CollectorRegistry, recorder: PrometheusRecorder) -> None:
        for number in range(MAX_KINDS + 10):
            recorder.claim_answered("default", f"kind{number}", Outcome.GRANTED, None)
        recorder.claim_answered("default", "kind0", Outcome.GRANTED, None)
        sample = registry.get_sample_value
        assert sample("coordination_claims_total", {"kind": "other", "outcome": "granted"}) == 10
        assert sample("coordination_claims_total", {"kind": "kind0", "outcome": "granted"}) == 2

    def test_the_end_of_an_attempt(self, registry: CollectorRegistry, recorder: PrometheusRecorder) -> None:
        expired = EndedAttempt(
            "task", State.ABANDONED, Cause.EXPIRED, late=False, contenders=3, held_seconds=None, overdue_seconds=2.5
        )
        completed = EndedAttempt(
            "task", State.COMPLETED, None, late=True, contenders=0, held_seconds=60.0, overdue_seconds=None
        )
        for attempt in expired, completed, completed._replace(contenders=None, held_seconds=None):
            recorder.attempt_ended(attempt)
        sample = registry.get_sample_value
        assert sample("coordination_contenders_per_claim_count") == 2
        assert sample("coordination_abandonments_total", {"kind": "task", "cause": "expired"}) == 1
        assert sample("coordination_completions_total", {"kind": "task", "late": "true"}) == 2
        assert sample("coordination_contenders_per_claim_sum") == 3
        assert sample("coordination_claim_held_seconds_sum", {"kind": "task", "ended": "completed"}) == 60
        assert sample("coordination_reap_lag_seconds_sum") == 2.5

    def test_inventing_kinds_does_not_make_them_grow(
        self, registry: CollectorRegistry, recorder: PrometheusRecorder
    ) -> None:
        record_random_kinds(recorder, 3_000)
        assert sum(1 for _ in kind_samples(registry)) <= SERIES_OF_KINDS
        record_random_kinds(recorder, 97_000)
        assert sum(1 for _ in kind_samples(registry)) == SERIES_OF_KINDS
        record_random_kinds(recorder, 1_000)
        assert sum(1 for _ in kind_samples(registry)) == SERIES_OF_KINDS
        labels = {sample.labels["kind"] for sample in kind_samples(registry)}
        assert (len(labels), "other" in labels) == (MAX_KINDS + 1, True)
        # Nothing is lost by that.
        claims = (s.value for s in kind_samples(registry) if s.name == "coordination_claims_total")
        assert sum(claims) == 101_000

    def test_what_cannot_be_counted_is_logged_once_a_minute_and_raises_nothing(
        self, recorder: PrometheusRecorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                recorder.transaction_done("not a number")  # type: ignore[arg-type]  # what must not happen
        assert caplog.text.count("a metric could not be counted") == 1


class TestGauges:
    def test_one_that_cannot_be_read_or_is_not_known_is_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        registry = CollectorRegistry()
        registry.register(
            ReplicaGauges(
                Reading("one", "Known.", lambda: 1),
                Reading("two", "Not known.", lambda: None),
                Reading("three", "Broken.", lambda: 1 // 0),
                Reading("four", "Known.", lambda: 4),
            )
        )
        samples = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
        assert samples == {"coordination_one": 1, "coordination_four": 4}
        assert "a metric could not be read" in caplog.text
