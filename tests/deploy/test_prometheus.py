"""Against a real Prometheus and a real fleet: what rules and alerts are made of is there, and says what happened."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.deploy.fleet_load import LoadedFleet
from tests.deploy.operands import operands

#: Operands that are 0 in good times: how far the reaper is behind, and what it is to be when nothing is wrong.
ZERO_IN_GOOD_TIMES = {"max(coordination_reaper_revision_lag)"}
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def seen(loaded_fleet: LoadedFleet) -> LoadedFleet:
    return loaded_fleet


def counted(seen: LoadedFleet, metric: str, *labels: str) -> Counter[tuple[str, ...]]:
    samples = seen.prometheus.query(f"sum by ({', '.join(labels)}) ({metric})")
    return Counter({tuple(sample.labels[label] for label in labels): int(sample.value) for sample in samples})


def test_the_counters_of_all_coordinators_add_up_to_what_the_sessions_were_answered(seen: LoadedFleet) -> None:
    assert counted(seen, "coordination_claims_total", "kind", "outcome") == seen.counts.claims
    assert counted(seen, "coordination_denials_total", "kind", "reason") == seen.counts.denials
    assert counted(seen, "coordination_placements_total", "kind", "place") == seen.counts.placements
    assert counted(seen, "coordination_skips_total", "kind", "reason") == seen.counts.skips
    assert counted(seen, "coordination_completions_total", "kind", "late") == seen.counts.completions
    assert counted(seen, "coordination_abandonments_total", "kind", "cause") == seen.counts.abandonments
    # Both had their share.
    assert seen.prometheus.value("count(sum by (instance) (coordination_claims_total) > 0)") == 2


def test_the_load_had_everything_in_it(seen: LoadedFleet) -> None:
    assert {outcome for _, outcome in seen.counts.claims} == {"granted", "renewed", "denied"}
    assert {reason for _, reason in seen.counts.denials} == {"held", "completed"}
    assert {late for _, late in seen.counts.completions} == {"true", "false"}
    assert {cause for _, cause in seen.counts.abandonments} == {"expired", "released", "revoked"}


def test_contenders_are_counted_by_distinct_session_when_an_attempt_ends(seen: LoadedFleet) -> None:
    assert seen.prometheus.value("sum(coordination_contenders_per_claim_count)") == seen.counts.attempts
    assert seen.prometheus.value("sum(coordination_contenders_per_claim_sum)") == seen.counts.contenders


def test_every_expiry_was_recorded_and_its_lag_observed(seen: LoadedFleet) -> None:
    expired = sum(number for (_, cause), number in seen.counts.abandonments.items() if cause == "expired")
    assert seen.prometheus.value("sum(coordination_reap_lag_seconds_count)") == expired


@pytest.mark.parametrize("window", ["5m", "1h"])
def test_the_convergence_rate_is_what_the_sessions_saw(window: str, seen: LoadedFleet) -> None:
    at, since = seen.ended, seen.since()
    (overall,) = seen.prometheus.query(f"coordination:convergence_rate:ratio_rate{window}", at)
    assert overall.value == pytest.approx(since.convergence_rate(), rel=TOLERANCE)
    by_kind = seen.prometheus.query(f"coordination_kind:convergence_rate:ratio_rate{window}", at)
    assert {sample.labels["kind"] for sample in by_kind} == {"github", "task", "blog"}
    for sample in by_kind:
        assert sample.value == pytest.approx(since.convergence_rate(sample.labels["kind"]), rel=TOLERANCE)


def test_every_rule_is_healthy_and_every_recorded_series_has_values(seen: LoadedFleet) -> None:
    rules = seen.prometheus.rules()
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert recorded
    assert [name for name in recorded if not says_something(seen.values(name))] == []


def test_both_sides_of_every_alert_have_values(seen: LoadedFleet) -> None:
    alerts = {rule["name"]: rule["query"] for rule in seen.prometheus.rules() if rule["type"] == "alerting"}
    assert alerts
    silent = {}
    for name, query in alerts.items():
        assert operands(query)
        for operand in operands(query):
            values = seen.values(operand)
            if not (says_something(values) or (operand in ZERO_IN_GOOD_TIMES and values)):
                silent[name, operand] = values[-3:]
    assert silent == {}


def test_no_alert_is_raised_for_want_of_something(seen: LoadedFleet) -> None:
    # Pending ones included: what is missing would be so from the beginning.
    of_absence = (
        "CoordinatorDown|CoordinationReaperMissing|EtcdMemberDown|EtcdWithoutQuorum|EtcdWithoutLeader"
        "|CoordinationQuotaUnknown"
    )
    raised = seen.prometheus.query(f'ALERTS{{alertname=~"{of_absence}"}}', seen.ended)
    assert [sample.labels["alertname"] for sample in raised] == []


def says_something(values: list[float]) -> bool:
    """Whether there are values, and any that is neither zero nor no number."""
    return any(value and not math.isnan(value) for value in values)
