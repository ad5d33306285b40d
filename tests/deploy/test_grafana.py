"""Against a real Prometheus and a real fleet: every panel and every variable has something to show."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import AsyncClient, Client, InvalidInput, TryAgain
from coordinator.store.embedded import find_etcd
from tests.deploy.fleet_load import LoadedFleet
from tests.deploy.prometheus_running import WINDOW
from tests.freezing import freeze

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy/grafana/dashboards"
#: What docs/metrics.md lists, which tests/integration/test_metrics_contract.py compares with what is exposed.
METRICS = re.findall(
    r"^\| `(coordination_\w+)`", (DASHBOARDS.parents[2] / "docs/metrics.md").read_text(encoding="utf-8"), re.MULTILINE
)
#: 0 in good times and nothing that a test could bring about: a reaper that does not keep up.
ZERO_IN_GOOD_TIMES = {"Failing in the background", "Failures in the background", "Refused writes", "Revisions behind"}
#: Longer than from one scrape to the next, so that a rate has something to go by.
_PAUSE_SECONDS = 1.5
_LIMIT_SECONDS = 40.0


def panels() -> Iterator[tuple[str, str]]:
    """Yield the title of each panel's dashboard and panel, and each of its expressions."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"]


def substituted(expression: str, fleet: str, kind: str, instance: str) -> str:
    """Return the expression as Grafana sends it."""
    values = {"__rate_interval": WINDOW, "fleet": fleet, "kind": kind, "instance": instance}
    sent = re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
    assert "$" not in sent
    return sent


def chosen(*values: str) -> str:
    """Return several chosen values as Grafana writes them into a matcher, escaped for an expression's string."""
    return "(" + "|".join(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\\\1", value) for value in values) + ")"


@pytest.fixture(scope="module")
def seen(loaded_fleet: LoadedFleet) -> LoadedFleet:
    """The loaded fleet, after what does not occur while all is well: nothing that counts as a claim or its end."""
    etcdctl = [str(find_etcd().path.with_name("etcdctl")), "--endpoints", loaded_fleet.etcd.endpoint]
    subprocess.run(
        [*etcdctl, "put", "/coordination/v1/faulty/claim/task:damaged", "not a claim"],
        env=os.environ | {"ETCDCTL_API": "3"},
        check=True,
        capture_output=True,
        timeout=30,
    )
    _watch_for_a_while(loaded_fleet)
    asyncio.run(_wait_for_a_while(loaded_fleet))
    with Client(loaded_fleet.coordinators[0].endpoint, fleet="faulty", timeout=1.0) as client:
        end = time.monotonic() + _LIMIT_SECONDS
        # Twice at the least, as a rate needs; and how a call fails that etcd does not answer is a matter of moments.
        while silent(loaded_fleet) and time.monotonic() < end:
            _fail(loaded_fleet, client)
            time.sleep(_PAUSE_SECONDS)
    return loaded_fleet


def _watch_for_a_while(seen: LoadedFleet) -> None:
    """Watch for long enough to be scraped."""
    with Client(seen.coordinators[0].endpoint, fleet="observed") as client:
        watch = client.watch(start_revision=1)
        next(watch)
        seen.prometheus.wait_for("sum(coordination_watchers) > 0")


async def _wait_for_a_while(seen: LoadedFleet) -> None:
    """Wait, for long enough to be scraped, for work that does not become free: what is given up is no denial."""
    async with AsyncClient(seen.coordinators[0].endpoint, fleet="faulty") as client:
        waiting = asyncio.create_task(client.try_claim("session-waiting", "task:damaged", wait=3600))
        await asyncio.to_thread(seen.prometheus.wait_for, "sum(coordination_waiters) > 0")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def _fail(seen: LoadedFleet, client: Client) -> None:
    client.get("task:damaged")
    with pytest.raises(InvalidInput):
        client.claim("", "task:refused")
    freeze(seen.etcd.pid)
    try:
        with pytest.raises(TryAgain):
            client.get("task:damaged")
    finally:
        os.kill(seen.etcd.pid, signal.SIGCONT)


class TestPanels:
    def test_every_expression_has_something_to_show(self, seen: LoadedFleet) -> None:
        assert silent(seen) == []

    def test_so_it_has_for_what_is_chosen(self, seen: LoadedFleet) -> None:
        instances = [one.metrics_url.removeprefix("http://").removesuffix("/metrics") for one in seen.coordinators]
        assert silent(seen, fleet="default", kind=chosen("github", "task"), instance=chosen(*instances)) == []

    @pytest.mark.parametrize("variable", ["fleet", "kind", "instance"])
    def test_nothing_is_shown_of_what_is_not_chosen(self, seen: LoadedFleet, variable: str) -> None:
        everything = {"fleet": ".*", "kind": ".*", "instance": ".*"}
        of_it = [expression for _, expression in panels() if f"${variable}" in expression]
        assert of_it
        asked = [substituted(expression, **everything | {variable: "nothing"}) for expression in of_it]
        assert [expression for expression in asked if seen.prometheus.query(expression)] == []

    def test_there_is_a_panel_for_every_metric(self, seen: LoadedFleet) -> None:
        found = seen.prometheus.query('group by (__name__) ({__name__=~"coordination_[a-z_]+"})')
        names = {re.sub(r"_(bucket|count|sum)$", "", sample.labels["__name__"]) for sample in found}
        expressions = " ".join(expression for _, expression in panels())
        assert names
        assert {name for name in names if not name.endswith("_created") and not mentioned(name, expressions)} == set()

    @pytest.mark.parametrize("metric", METRICS)
    def test_without_a_metric_a_panel_would_have_nothing_to_show(self, seen: LoadedFleet, metric: str) -> None:
        """As if the code did not have it any more: the same question, of a metric that there is not."""
        of_it = [(panel, expression) for panel, expression in panels() if mentioned(metric, expression)]
        assert of_it
        empty = [
            panel
            for panel, expression in of_it
            if not shows_something(panel, seen.values(everything(renamed(metric, expression))))
        ]
        assert empty


class TestVariables:
    def test_every_query_has_values(self, seen: LoadedFleet) -> None:
        found = {}
        for path in DASHBOARDS.glob("*.json"):
            for variable in json.loads(path.read_text(encoding="utf-8"))["templating"].get("list", ()):
                if variable["type"] == "query":
                    found[path.stem, variable["name"]] = label_values(seen, variable["query"]["query"])
        kinds = {"github", "task", "blog"}
        instances = {one.metrics_url.removeprefix("http://").removesuffix("/metrics") for one in seen.coordinators}
        assert found == {
            ("fleet", "fleet"): {"default"},
            ("fleet", "kind"): kinds,
            ("service", "fleet"): {"default"},
            ("service", "instance"): instances,
        }


def silent(seen: LoadedFleet, fleet: str = ".*", kind: str = ".*", instance: str = ".*") -> list[tuple[str, str]]:
    """Return the panels, with their expressions, that had nothing to show at any time, or nothing but zero."""
    return [
        (panel, expression)
        for panel, expression in panels()
        if not shows_something(panel, seen.values(substituted(expression, fleet, kind, instance)))
    ]


def shows_something(panel: str, values: list[float]) -> bool:
    reported = [value for value in values if not math.isnan(value)]
    return any(reported) or (panel in ZERO_IN_GOOD_TIMES and bool(reported))


def label_values(seen: LoadedFleet, query: str) -> set[str]:
    """Return what Grafana's ``label_values(series, label)`` gives."""
    call = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert call
    series = substituted(call[1], fleet=".*", kind=".*", instance=".*")
    return {sample.labels[call[2]] for sample in seen.prometheus.query(f"group by ({call[2]}) ({series})")}


def everything(expression: str) -> str:
    """Return the expression as Grafana sends it where nothing is chosen."""
    return substituted(expression, fleet=".*", kind=".*", instance=".*")


def renamed(metric: str, expression: str) -> str:
    """Return an expression that asks for another metric in place of this one."""
    return re.sub(rf"\b{metric}(?=(_bucket|_count|_sum)?\b)", "no_such_metric", expression)


def mentioned(metric: str, expressions: str) -> bool:
    """Whether expressions name a metric, or one of two with a common beginning and end."""
    names = re.sub(r"(\w+)\((\w+)\|(\w+)\)(\w+)", r"\1\2\4 \1\3\4", expressions)
    return re.search(rf"\b{metric}(_bucket|_count|_sum)?\b", names) is not None
