"""What `/metrics` of a coordinator reports: all that was promised, under those names, and what docs/metrics.md says."""

from __future__ import annotations

import asyncio
import random
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.metrics_cost import SERIES_OF_KINDS
from coordinator import AsyncClient, Claim, Client, InvalidInput, errors
from coordinator.metrics.prometheus import MAX_KINDS
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningEtcd
from tests.integration.server_running import RunCoordinator

PAGE = (Path(__file__).parent.parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
SECONDS = 30
#: One claim that is live and one loose end.
COUNTED = {"other": 0, "task": 1}
#: Buckets, sum and count.
PER_HISTOGRAM_OF_CALLS = 17
#: So many claims are made over gRPC, each of a kind of its own, by so many callers at a time.
CLAIMS, CALLERS = 5_000, 128

#: The contract: dashboards and alerts of others are built on these. None may be renamed, or lose or gain a label.
PROMISED = {
    "claims_total": ("counter", {"kind", "outcome"}),
    "denials_total": ("counter", {"kind", "reason"}),
    "placements_total": ("counter", {"kind", "place"}),
    "skips_total": ("counter", {"kind", "reason"}),
    "similar_found_total": ("counter", {"kind", "answer"}),
    "completions_total": ("counter", {"kind", "late"}),
    "abandonments_total": ("counter", {"kind", "cause"}),
    "live_claims": ("gauge", {"kind"}),
    "loose_ends": ("gauge", {"kind"}),
    "available": ("gauge", {"kind"}),
    "failed": ("gauge", {"kind"}),
    "contenders_per_claim": ("histogram", set()),
    "claim_held_seconds": ("histogram", {"kind", "ended"}),
    "reap_lag_seconds": ("histogram", set()),
    "reaper_is_leader": ("gauge", set()),
    "reaper_revision_lag": ("gauge", set()),
    "rpc_seconds": ("histogram", {"method", "code"}),
    "etcd_transaction_seconds": ("histogram", set()),
    "batch_size": ("histogram", set()),
    "leases": ("gauge", set()),
    "build_info": ("gauge", {"version"}),
    # Not in the design; alerts need them.
    "damaged_values_total": ("counter", set()),
    "refused_writes_total": ("counter", {"budget"}),
    "waiters": ("gauge", set()),
    "watchers": ("gauge", set()),
    "etcd_has_leader": ("gauge", set()),
    "etcd_db_size_bytes": ("gauge", set()),
    "etcd_used_bytes": ("gauge", set()),
    "etcd_quota_bytes": ("gauge", set()),
    "log_lines_dropped_total": ("counter", set()),
    "background_task_failing": ("gauge", {"task"}),
    "background_task_failures_total": ("counter", {"task"}),
}


class Family(NamedTuple):
    """A metric as the page of a coordinator reports it."""

    kind: str
    labels: frozenset[str]
    help: str
    samples: dict[str, float]


def read(url: str) -> dict[str, Family]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # the address of our own coordinator
        page = response.read().decode()
    found = {}
    for family in text_string_to_metric_families(page):
        name = family.name.removeprefix("coordination_") + ("_total" if family.type == "counter" else "")
        assert family.name.startswith("coordination_"), family.name
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        samples = {
            ",".join(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in family.samples
        }
        found[name] = Family(family.type, labels, family.documentation, samples)
    return found


@pytest.fixture(scope="module")
def exposed(run_coordinator: RunCoordinator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Family]]:
    """What a coordinator reports after one of everything has happened."""
    on = ("--data-dir", str(tmp_path_factory.mktemp("up")))
    with run_coordinator("up", *on, COORDINATION_REAPER="yes") as own:
        with Client(own.endpoint, timeout=SECONDS, instance="") as client:
            client.claim("one", "task:a")
            client.try_claim("two", "task:a")
            client.try_claim_next("two", ["task:a"])
            client.complete("one", "task:a")
            client.claim("one", "blog:convergent work")
            client.try_claim("two", "blog:on converging works")
            client.complete("one", "blog:convergent work")
            client.claim("one", "task:b")
            client.release("one", "task:b")
            client.claim("one", "task:c")
        # It may have counted while this was done, and counts again.
        until = time.monotonic() + 2 * SECONDS
        while not all(
            (found := read(own.metrics_url))[name].samples == COUNTED for name in ("live_claims", "loose_ends")
        ):
            assert time.monotonic() < until, (found["live_claims"], found["loose_ends"])
            time.sleep(0.2)
        yield found


def test_the_metrics_are_those_that_were_promised_and_no_more(exposed: dict[str, Family]) -> None:
    assert {name: (each.kind, set(each.labels)) for name, each in exposed.items()} == PROMISED


def test_the_gauges_say_what_is_there(exposed: dict[str, Family]) -> None:
    assert (exposed["live_claims"].samples, exposed["loose_ends"].samples) == (COUNTED, COUNTED)
    assert exposed["reaper_is_leader"].samples == {"": 1}
    assert exposed["leases"].samples[""] >= 1
    assert exposed["etcd_has_leader"].samples == {"": 1}
    assert exposed["etcd_quota_bytes"].samples == {"": 4 * 1024**3}
    assert 0 < exposed["etcd_used_bytes"].samples[""] <= exposed["etcd_db_size_bytes"].samples[""]


def test_the_page_has_them_in_a_table(exposed: dict[str, Family]) -> None:
    """The rows are made from the exposed metrics; if this fails, put its left side into docs/metrics.md."""
    rows = [
        f"| `coordination_{name}` | {each.kind} | {', '.join(f'`{label}`' for label in sorted(each.labels)) or 'none'} "
        f"| {each.help} |"
        for name, each in ((name, exposed[name]) for name in PROMISED)
    ]
    assert rows == re.findall(r"^\| `coordination_.*\|$", PAGE, re.MULTILINE)


def test_help_texts_are_sentences_and_name_the_unit(exposed: dict[str, Family]) -> None:
    for name, each in exposed.items():
        assert each.help[0].isupper(), name
        assert each.help.endswith("."), name
        for unit in ("seconds", "bytes"):
            assert (unit in each.help) == name.endswith(unit), name


def test_the_page_says_how_many_series_there_can_be(exposed: dict[str, Family]) -> None:
    text = " ".join(PAGE.split())
    gauges = 4 * (MAX_KINDS + 1)
    assert f"{MAX_KINDS} kinds" in text
    assert f"at most {SERIES_OF_KINDS + gauges:,} series" in text
    methods = len(pb.DESCRIPTOR.services_by_name["CoordinatorService"].methods)
    codes = {getattr(errors, name).code for name in errors.__all__ if hasattr(getattr(errors, name), "code")}
    assert f"{methods} methods and {len(codes) + 2} codes" in text
    assert f"{methods * (len(codes) + 2) * PER_HISTOGRAM_OF_CALLS:,} series" in text


def test_lines_of_the_log_that_were_dropped_are_counted(etcd: RunningEtcd, run_coordinator: RunCoordinator) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--log-file", "/dev/full") as own:
        until = time.monotonic() + SECONDS
        # It says at its start what it runs on.
        while not (dropped := read(own.metrics_url)["log_lines_dropped_total"].samples[""]):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert dropped >= 1


@pytest.mark.long_but_for("1000")
@pytest.mark.parametrize("count", [1_000, CLAIMS])
async def test_thousands_of_claims_of_invented_kinds_do_not_make_them_grow(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str, count: int
) -> None:
    numbers = random.Random(5)
    keys = [f"k{numbers.getrandbits(64):x}:work" for _ in range(count)]
    waiting = iter(keys)

    async def ask(client: AsyncClient) -> None:
        for key in waiting:
            assert isinstance(await client.claim("session", key, 600), Claim)

    with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
        before = count_series(own.metrics_url)
        async with AsyncClient(own.endpoint, fleet=fleet, timeout=SECONDS) as client:
            await asyncio.gather(*(ask(client) for _ in range(CALLERS)))
            after = count_series(own.metrics_url)
            # Each kind can be granted, and all calls were Claim and OK.
            assert after == before + MAX_KINDS + 1 + PER_HISTOGRAM_OF_CALLS
            page = " ".join(PAGE.split())
            assert f"{CLAIMS:,} claims over gRPC" in page
            assert f"{after - before} series more" in page
            again = await client.claim_many("session", keys[:500], 600)
            assert all(isinstance(each, Claim) for each in again)
            with pytest.raises(InvalidInput):
                await client.claim("session", "Not A Kind:work!" + "x" * 600)
        claims = read(own.metrics_url)["claims_total"].samples
        granted = {kind: value for kind, value in claims.items() if kind.endswith(",granted")}
        assert len(granted) == MAX_KINDS + 1
        assert sum(granted.values()) == count
        assert granted["other,granted"] == count - MAX_KINDS
        # The renewals of claims by ClaimMany, whose call and the refused one have histograms of their own.
        renewed = len(claims) - len(granted)
        assert renewed <= MAX_KINDS + 1
        assert count_series(own.metrics_url) == after + renewed + 2 * PER_HISTOGRAM_OF_CALLS


def count_series(url: str) -> int:
    """Count what a coordinator reports, but for gauges: some of those are known only after a while."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # as above
        page = response.read().decode()
    families = (family for family in text_string_to_metric_families(page) if family.type != "gauge")
    return sum(len(family.samples) for family in families)
