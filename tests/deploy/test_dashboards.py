"""The dashboards as files: valid by Grafana's types, made by the code beside them, and each panel says what it is."""

from __future__ import annotations

import enum
import json
import re
import subprocess
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder

with warnings.catch_warnings():
    # It would have us write version 2, which Grafanas before 13 do not read from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy/grafana"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (GRAFANA / "dashboards").glob("*.json")}
PANELS = {
    f"{name}: {panel['title']}": panel
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] not in ("row", "text")
}
#: What is made of docs/runbook.md has text and no graphs.
GRAPHS = sorted({*BOARDS} - {"runbook"})


def misfits(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Yield what is not of the type that the SDK, made from Grafana's schema, gives it."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        value = hint.from_json(value)  # the SDK leaves some as they are
    if origin in (typing.Union, types.UnionType):
        found = [list(misfits(value, part, where)) for part in parts if fits(value, part)]
        yield from min(found, key=len, default=[f"{where}: {value!r} is no {hint}"])
    elif origin in (list, dict) and isinstance(value, origin):
        for place, member in enumerate(value) if origin is list else value.items():
            yield from misfits(member, parts[-1], f"{where}[{place}]")
    elif not fits(value, hint):
        yield f"{where}: {value!r} is no {hint}"
    elif type(value).__module__.startswith("grafana_foundation_sdk.models"):
        for name, own in typing.get_type_hints(type(value)).items():
            if not isinstance(value, enum.Enum):
                yield from misfits(getattr(value, name), own, f"{where}.{name}")


def lost(before: Any, after: Any, where: str) -> Iterator[str]:
    """Yield what has not come through; what was added are defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from lost(value, after.get(name), f"{where}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{where}[{place}]")
    elif before != after:
        yield where


def fits(value: Any, hint: Any) -> bool:
    """Whether a value that has no members of its own is of a type."""
    if hint in (Any, object):
        return True
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    return isinstance(value, (int, float) if hint is float else typing.get_origin(hint) or hint)


@pytest.fixture(scope="module", autouse=True)
def known_panels() -> None:
    plugins.register_default_plugins()


class TestBoard:
    @pytest.mark.parametrize("name", BOARDS)
    def test_grafanas_types_know_every_field_and_value(self, name: str) -> None:
        board = Dashboard.from_json(BOARDS[name])
        # What they do not know is gone after there and back.
        assert list(lost(BOARDS[name], json.loads(json.dumps(board, cls=JSONEncoder)), name)) == []
        assert list(misfits(board, Dashboard, name)) == []

    @pytest.mark.parametrize("name", GRAPHS)
    def test_a_wrong_value_would_be_noticed(self, name: str) -> None:
        wrong = json.loads(json.dumps(BOARDS[name]))
        graph = next(panel for panel in wrong["panels"] if panel["type"] == "timeseries")
        graph["options"]["tooltip"]["mode"] = "all"
        graph["gridPos"]["w"] = "12"
        graph["titles"] = "there is no such field"
        board = Dashboard.from_json(wrong)
        assert len(list(lost(wrong, json.loads(json.dumps(board, cls=JSONEncoder)), name))) == 1
        found = list(misfits(board, Dashboard, name))
        assert [one.rpartition(".")[2].partition(":")[0] for one in found] == ["w", "mode"]

    @pytest.mark.parametrize("name", BOARDS)
    def test_panels_have_numbers_and_places_of_their_own(self, name: str) -> None:
        panels = BOARDS[name]["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = [
            (x, y)
            for place in (panel["gridPos"] for panel in panels)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(set(taken)) == len(taken)
        assert max(x for x, _ in taken) == 23

    @pytest.mark.parametrize("name", GRAPHS)
    def test_variables_are_described_and_used(self, name: str) -> None:
        text = json.dumps(BOARDS[name]["panels"])
        for variable in BOARDS[name]["templating"]["list"]:
            assert variable["description"]
            assert f"${variable['name']}" in text or f"${{{variable['name']}}}" in text


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_says_what_it_shows_and_what_good_looks_like(name: str) -> None:
    panel = PANELS[name]
    assert panel["title"]
    assert re.search(r"\bGood (is|rises|falls|follows)\b", panel["description"])
    unit = panel["options"]["yAxis"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]
    assert unit["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    targets = panel["targets"]
    assert targets
    assert len({target["refId"] for target in targets}) == len(targets)
    legends = [target["legendFormat"] for target in targets]
    assert all(legends)
    assert len(set(legends)) == len(legends)


class TestWayToTheRunbook:
    @pytest.mark.parametrize("name", BOARDS)
    def test_each_dashboard_leads_to_the_others_for_the_same_time_and_choice(self, name: str) -> None:
        (link,) = BOARDS[name]["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
        assert all({*link["tags"]} <= {*board["tags"]} for board in BOARDS.values())

    def test_each_alert_is_named_by_the_panels_that_show_what_it_watches(self) -> None:
        named = {
            alert
            for panel in PANELS.values()
            for listed in re.findall(r"Alerts?: (.+)", panel["description"])
            for alert in re.findall(r"\b[A-Z]\w+[a-z][A-Z]\w+", listed)
        }
        rules = (ROOT / "deploy/prometheus/rules/alerts.yml").read_text(encoding="utf-8")
        assert named == set(re.findall(r"- alert: (\w+)", rules))

    def test_the_runbook_is_there_section_by_section(self) -> None:
        page = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
        introduction, *sections = BOARDS["runbook"]["panels"]
        assert [panel["title"] for panel in sections] == re.findall(r"^## (\w+)$", page, re.MULTILINE)
        for panel in (introduction, *sections):
            assert panel["type"] == "text"
            assert panel["options"]["mode"] == "markdown"
            assert panel["options"]["content"].partition("<!--")[0][:200] in page
        assert len(sections) >= len(re.findall(r"\*\*Do:\*\*", page))


def test_the_files_are_what_the_code_makes() -> None:
    done = subprocess.run([sys.executable, str(GRAFANA / "build.py"), "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


class TestProvisioning:
    def test_the_data_source_knows_how_often_prometheus_scrapes(self) -> None:
        (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
        prometheus = read("deploy/prometheus/prometheus.yml")
        assert source["type"] == "prometheus"
        assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]

    def test_the_compose_file_puts_everything_where_grafana_looks(self) -> None:
        (provider,) = read("deploy/grafana/provisioning/dashboards/coordinator.yml")["providers"]
        services = read("docker-compose.yml")["services"]
        volumes = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
        assert volumes["./deploy/grafana/dashboards"] == provider["options"]["path"]
        assert volumes["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
        (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
        assert source["url"] == "http://prometheus:9090"
        assert "prometheus" in services


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
