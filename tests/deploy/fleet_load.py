"""A real fleet that is looked at: etcd, two coordinators that reap, Prometheus, and load whose answers were counted.

    with loaded_fleet(home, run_etcd, run_coordinator) as seen:
        seen.prometheus.query("sum by (kind, outcome) (coordination_claims_total)")
        seen.counts.claims  # Counter of (kind, outcome)

It takes about half a minute to begin; then the load is over, and Prometheus has scraped and evaluated all of it. Some
of it was before the first scrape, so that the counters have something to begin with and ``rate`` misses nothing.
"""

from __future__ import annotations

import asyncio
import copy
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator import AsyncClient
from coordinator.model import Similar
from coordinator.store.embedded import DEFAULT_QUOTA_BYTES, find_etcd
from demo.observability.fleet import CROWDS, Counts, FleetLoad
from tests.conftest import RunCoordinator, RunEtcd, RunningCoordinator, RunningEtcd
from tests.deploy.prometheus_running import WINDOW, RunningPrometheus, deployed_prometheus

__all__ = ["Counts", "FleetLoad", "LoadedFleet", "loaded_fleet"]

#: Rounds of work before the first scrape, enough for each coordinator to grant something of each kind; and after it.
_ROUNDS_BEFORE = 8
_ROUNDS = 72
#: Pieces of each kind that are left to expire.
_EXPIRING = 2


@dataclass(frozen=True)
class LoadedFleet:
    """``counts`` is all that was answered, ``before`` what of it was before the first scrape; times are Unix times."""

    etcd: RunningEtcd
    coordinators: tuple[RunningCoordinator, ...]
    prometheus: RunningPrometheus
    counts: Counts
    before: Counts
    began: float
    ended: float

    def since(self) -> Counts:
        """Return what was answered since the first scrape."""
        return self.counts - self.before

    def values(self, expression: str) -> list[float]:
        """Return all values that the expression had, second by second, from the load's beginning until now."""
        found = self.prometheus.query_range(expression, self.began, time.time(), 1)
        return [value for series in found for _, value in series.values]


@contextmanager
def loaded_fleet(home: Path, run_etcd: RunEtcd, run_coordinator: RunCoordinator) -> Iterator[LoadedFleet]:
    """Run all of it until the block ends; ``home`` is a directory that holds nothing of it yet."""
    with run_etcd(home / "etcd") as etcd, asyncio.Runner() as runner:
        _leave_in_the_pool(etcd)
        serve = ("serve", "--etcd", etcd.endpoint, "--etcd-quota-bytes", str(DEFAULT_QUOTA_BYTES))
        with (
            run_coordinator(*serve, COORDINATION_REAPER="yes") as one,
            # Its log cannot be written, as on a full disk.
            run_coordinator(*serve, "--log-file", "/dev/full", COORDINATION_REAPER="yes") as other,
        ):
            load = FleetLoad([one.endpoint, other.endpoint], fleet="observed")
            runner.run(load.rounds(_ROUNDS_BEFORE))
            runner.run(_claim_alike(one.endpoint, load.counts, "parser"))
            before = copy.deepcopy(load.counts)
            metrics = [one.metrics_url, other.metrics_url]
            with deployed_prometheus(home, coordinators=metrics, etcd=[etcd.endpoint]) as prometheus:
                began = time.time()
                runner.run(_drive(load))
                runner.run(_claim_alike(one.endpoint, load.counts, "scheduler"))
                _wait_until_evaluated(prometheus, load.counts)
                yield LoadedFleet(etcd, (one, other), prometheus, load.counts, before, began, time.time())


def _leave_in_the_pool(etcd: RunningEtcd) -> None:
    """Leave work in the pool, and some that has failed too often: no load submits any, and none is to be claimed."""
    etcdctl = [str(find_etcd().path.with_name("etcdctl")), "--endpoints", etcd.endpoint]
    for key in ("pool/task:waiting", "failed/task:poison"):
        command = [*etcdctl, "put", f"/coordination/v1/faulty/{key}", "{}"]
        subprocess.run(command, env=os.environ | {"ETCDCTL_API": "3"}, check=True, capture_output=True, timeout=30)


def _wait_until_evaluated(prometheus: RunningPrometheus, counts: Counts) -> None:
    """Wait until everything was scraped, and then for the rules to be evaluated after it."""
    prometheus.wait_for(f"sum(coordination_claims_total) == {sum(counts.claims.values())}")
    # The reaper counts what is stored now and then only.
    prometheus.wait_for(f"count(sum by (kind) (coordination_live_claims) > 0) >= {len(CROWDS)}")
    prometheus.wait_for(f"delta(coordination:loose_ends:sum[{WINDOW}]) > 0")
    prometheus.wait_for(f"timestamp(coordination:convergence_rate:ratio_rate5m) > {time.time():.3f}")


async def _claim_alike(endpoint: str, counts: Counts, what: str) -> None:
    """Claim two topics that only look alike, of a kind that the load has: the second claim is shown the first."""
    async with AsyncClient(endpoint, fleet="observed") as client:
        await client.set_policy("task:alike", similar=Similar.TELL)
        for title in (f"move-from-{what}-to-tables", f"move-from-tables-to-{what}"):
            claim = await client.claim("session-alike", f"task:alike/{title}")
            counts.claims["task", "granted"] += 1
        assert claim.similar


async def _drive(load: FleetLoad) -> None:
    async with load:
        # Live for as long as it is used: how long a round takes shows what else the machine does.
        await load.leave_live()
        await asyncio.gather(load.let_expire(_EXPIRING), load.rounds(_ROUNDS))
