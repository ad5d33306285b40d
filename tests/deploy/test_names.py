"""Names: whatever deploy/ and the documentation ask Prometheus for is there, and each exposed metric is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
#: What a coordinator reports, by the table that is compared with it: tests/integration/test_metrics_contract.py.
EXPOSED = dict(
    re.findall(
        r"^\| `(coordination_\w+)` \| (\w+)", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.MULTILINE
    )
)
RECORDED = set(
    re.findall(r"- record: (\S+)", (PROMETHEUS / "rules/recording.yml").read_text(encoding="utf-8"), re.MULTILINE)
)
#: The beginning of the names of metrics and of recorded series, but not of modules, attributes and hosts.
_NAME = re.compile(r"(?<![\w./-])coordination(?:_[a-z0-9_]+)?(?::[a-z0-9_]+)*(?![\w:]*\()")


def asked(text: str) -> set[str]:
    """Return the names that a text asks for, those of a matcher by name one by one."""
    text = re.sub(r"(\w+)\((\w+)\|(\w+)\)(\w+)", r"\1\2\4 \1\3\4", text)
    return {name for name in _NAME.findall(text) if "_" in name or ":" in name}


def expressions() -> Iterator[str]:
    """Yield every expression of the rules, the alerts and the dashboards."""
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from (rule["expr"] for rule in group["rules"])
    for path in (GRAFANA / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))


def known(name: str) -> bool:
    """Whether it is recorded, exposed, or a part of an exposed histogram."""
    whole = re.sub(r"_(bucket|count|sum)$", "", name)
    return name in RECORDED or name in EXPOSED or EXPOSED.get(whole) == "histogram"


def test_every_name_in_rules_alerts_and_dashboards_exists() -> None:
    names = {name for expression in expressions() for name in asked(expression)}
    assert len(names) > len(EXPOSED)
    assert {name for name in names if not known(name)} == set()


@pytest.mark.parametrize("metric", EXPOSED)
def test_every_metric_is_asked_for(metric: str) -> None:
    parts = {f"{metric}{part}" for part in ("", "_bucket", "_count", "_sum")}
    assert any(parts & asked(expression) for expression in expressions())


@pytest.mark.parametrize("page", ["docs/runbook.md", "docs/operations.md", "docs/metrics.md"])
def test_every_name_in_the_documentation_exists(page: str) -> None:
    quoted = re.findall(r"`([^`]+)`", (ROOT / page).read_text(encoding="utf-8").replace("```", ""))
    names = {name for quote in quoted for name in asked(quote)}
    # What is written as `coordination_kind:…`, and volumes of compose.
    others = {"coordination_kind", "coordination_etcd"}
    assert {name for name in names - others if not known(name)} == set()


def test_a_name_that_does_not_exist_would_be_noticed() -> None:
    assert asked('sum by (kind) (rate(coordination_none_total{kind="a"}[5m])) / coordination:none:sum') == {
        "coordination_none_total",
        "coordination:none:sum",
    }
    assert not known("coordination_none_total")
    assert not known("coordination_leases_bucket")
