"""Under a plain `coordination serve`, beside an etcd that is not scraped and does not report its quota."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from coordinator import Client, Denial
from tests.conftest import RunCoordinator, RunEtcd, RunningCoordinator
from tests.deploy.operands import operands
from tests.deploy.prometheus_running import DEPLOYED, RunningPrometheus, deployed_prometheus

RUNBOOK = (DEPLOYED.parents[1] / "docs/runbook.md").read_text(encoding="utf-8")
QUOTA = 1 << 31


@pytest.mark.long
def test_the_runbook_says_which_alerts_are_silent_there(
    run_etcd: RunEtcd, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    with (
        run_etcd(tmp_path / "etcd") as etcd,
        run_coordinator("serve", "--etcd", etcd.endpoint, COORDINATION_REAPER="yes") as plain,
        deployed_prometheus(tmp_path / "seen", coordinators=[plain.metrics_url], etcd=[]) as prometheus,
    ):
        _work(plain, "task:a")
        # Rates count from the second sample on.
        prometheus.wait_for("sum(coordination_claims_total) == 3")
        _work(plain, "task:b")
        prometheus.wait_for("coordination:convergence_rate:ratio_rate5m > 0")
        prometheus.wait_for("coordination:abandonment_rate:ratio_rate1h > 0")
        prometheus.wait_for("coordination:loose_ends:sum")
        assert _silent(prometheus) == _silent_by_the_runbook()
        # That it is unknown is reported.
        prometheus.wait_for('ALERTS{alertname="CoordinationQuotaUnknown"}')
        with run_coordinator("serve", "--etcd", etcd.endpoint, "--etcd-quota-bytes", str(QUOTA)) as reported:
            _scrape(tmp_path / "seen", plain, reported)
            prometheus.wait_for(f"max(coordination_etcd_quota_bytes) == {QUOTA}")
            assert _silent(prometheus) == _silent_by_the_runbook() - {"EtcdQuotaNear"}
            raised = prometheus.query('ALERTS{alertname="CoordinationQuotaUnknown"}')
            assert [sample.labels["instance"] for sample in raised] == [_host_port(plain)]


def _work(coordinator: RunningCoordinator, key: str) -> None:
    """Have one of everything happen, except that nothing expires."""
    with Client(coordinator.endpoint, instance="") as client:
        client.claim("one", key)
        assert isinstance(client.try_claim("two", key), Denial)
        client.complete("one", key)
        client.claim("one", f"{key}-left")
        client.release("one", f"{key}-left")


def _silent(prometheus: RunningPrometheus) -> set[str]:
    """Return the alerts of whose operands none has a value; that of a histogram without observations is none."""
    alerts = {rule["name"]: rule["query"] for rule in prometheus.rules() if rule["type"] == "alerting"}
    return {
        name
        for name, query in alerts.items()
        if all(math.isnan(sample.value) for operand in operands(query) for sample in prometheus.query(operand))
    }


def _silent_by_the_runbook() -> set[str]:
    (table,) = re.findall(r"\| alert \| is silent where .*?\n\n", RUNBOOK, re.DOTALL)
    return set(re.findall(r"\w+", "".join(row.split("|")[1] for row in table.splitlines()[2:] if row)))


def _scrape(home: Path, *coordinators: RunningCoordinator) -> None:
    """Have Prometheus scrape these from now on."""
    targets = [{"targets": [_host_port(one) for one in coordinators]}]
    (home / "config/targets/coordinators.yml").write_text(json.dumps(targets), encoding="utf-8")


def _host_port(coordinator: RunningCoordinator) -> str:
    return coordinator.metrics_url.removeprefix("http://").removesuffix("/metrics")
