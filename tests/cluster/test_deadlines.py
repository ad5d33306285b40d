"""Real time: two coordinators as ``serve`` runs them, three members, and a leader that hands over.

`make campaign-deadlines` does the same with a hundred claims and whatever else makes etcd start its leases again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.reaper.settings import ReaperSettings
from tests.cluster.etcd_cluster import run_cluster
from tests.cluster.members_load import coordinators
from tests.cluster.reaper_deadlines import BOUND_SECONDS, live_through

GRACE_SECONDS = ReaperSettings().sweep_grace

#: Long enough that the claims are there when the leader changes; their leases last 11 and 12 s.
TTLS = [10.0 + number % 5 / 4 for number in range(20)]
#: Later than the bound: a lease that is started again then and left alone lasts longer than is allowed.
AFTER_SECONDS = 9.0


@pytest.mark.long
async def test_after_a_change_of_leader_claims_end_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    with run_cluster(tmp_path) as cluster, coordinators(cluster.etcd) as endpoints:
        lives = await live_through(cluster, endpoints, TTLS, cluster.move_leader, after_seconds=AFTER_SECONDS)
    assert lives.wrong(BOUND_SECONDS) == []
    # Not one of them was ended by etcd itself, so that the reaper was needed.
    assert lives.outlived(GRACE_SECONDS) == len(TTLS)
