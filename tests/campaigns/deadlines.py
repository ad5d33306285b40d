"""Claims live through what makes etcd start its leases again: ``python -m tests.campaigns.deadlines [FAULT …]``.

In real time, on three members and two coordinators whose reapers go by their defaults: a hundred claims are made, a
fault comes, and a watch of its own sees when the claim's keys are gone. Where everything restarts together the clock
allowance is short, so that the end of it can be awaited. Prints a table of how long after their ``expires_at`` claims
were gone; exits 1 if one ended before that or outlived it by more than the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from coordinator.reaper import ReaperSettings
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.members_load import coordinators
from tests.cluster.reaper_deadlines import BOUND_SECONDS, Lives, Replica, live_through

GRACE_SECONDS = ReaperSettings().sweep_grace

CLAIMS = 100
#: TTLs in seconds, from and to. Where everything restarts all are to be there still.
TTLS, LONG_TTLS = (20.0, 45.0), (30.0, 50.0)
#: When the fault comes, in seconds after the claims: later than the bound, so that leases which etcd starts again
#: would outlive it by themselves.
AFTER_SECONDS, LONG_AFTER_SECONDS = 12.0, 25.0
#: How long a leader is gone or hangs, and between two restarts.
DOWN_SECONDS, BETWEEN_SECONDS = 8.0, 2.0
#: How many changes of leader in a row.
CHANGES = 6
#: Where everything restarts. Signs of life of those that were killed last for some seconds, and count as clocks that
#: disagree by as much; half of the allowance is more than that.
SHORT = ReaperSettings(allowance=15.0, overdue_every=1.0, beat_every=1.0)
#: How long one pass over the claims and the end of one may take.
PASS_SECONDS = 1.0

ROW = "{:<24} {:>6} {:>15} {:>9} {:>9} {:>7} {:>5}  {}"


def move_leader(cluster: EtcdCluster) -> None:
    """Have another member lead, in good order."""
    cluster.move_leader()


def kill_leader(cluster: EtcdCluster) -> None:
    """Kill the leader, and have it come back when there has been another for a while."""
    leader = cluster.leader()
    leader.kill()
    time.sleep(DOWN_SECONDS)
    leader.go_on()
    cluster.await_all()


def lose_leaders(cluster: EtcdCluster) -> None:
    """Have one leader after the other go, some before all have come together again: each starts all leases again."""
    for number in range(CHANGES):
        leader = cluster.leader()
        if number % 3 == 2:
            leader.stop()
        else:
            leader.kill()
        cluster.leader()
        time.sleep(BETWEEN_SECONDS)
        leader.go_on()
        cluster.await_all()


def lose_quorum(cluster: EtcdCluster) -> None:
    """Kill two of three members again and again: without a majority there is no leader, and no lease ends."""
    for _ in range(CHANGES // 2):
        leader, follower = cluster.leader(), cluster.follower()
        for member in (leader, follower):
            member.kill()
        time.sleep(BETWEEN_SECONDS)
        for member in (leader, follower):
            member.go_on()
        cluster.await_all()
        time.sleep(BETWEEN_SECONDS)


def stop_leader(cluster: EtcdCluster) -> None:
    """Have the leader hang for a while."""
    leader = cluster.leader()
    leader.stop()
    time.sleep(DOWN_SECONDS)
    leader.go_on()
    cluster.await_all()


def restart_each(cluster: EtcdCluster) -> None:
    """Restart each member, as for an update; always the one that leads, if it has not been restarted yet."""
    left = list(cluster.members)
    while left:
        leader = cluster.leader()
        member = leader if leader in left else left[0]
        left.remove(member)
        member.terminate()
        member.start()
        cluster.await_all()
        time.sleep(BETWEEN_SECONDS)


def restart_everything(cluster: EtcdCluster, replicas: Sequence[Replica]) -> None:
    """Kill all members and all coordinators, and start them again."""
    for replica in replicas:
        replica.kill()
    for member in cluster.members:
        member.kill()
    for member in cluster.members:
        member.start()
    cluster.await_all()
    for replica in replicas:
        replica.start()


FAULTS: dict[str, Callable[[EtcdCluster], None]] = {
    "move-leader": move_leader,
    "kill-leader": kill_leader,
    "stop-leader": stop_leader,
    "lose-leaders": lose_leaders,
    "lose-quorum": lose_quorum,
    "restart-each": restart_each,
}
EVERYTHING = "restart-everything"


#: Where leaders go one after the other, a look at the leases or a revocation may meet the next change, too.
BOUNDS = dict.fromkeys(("lose-leaders", "lose-quorum"), GRACE_SECONDS + 7.0)


def live(cluster: EtcdCluster, fault: str) -> Lives:
    """Have claims live through a fault, with coordinators as ``serve`` runs them."""
    with coordinators(cluster.etcd) as endpoints:
        breaking = FAULTS[fault]
        return asyncio.run(
            live_through(
                cluster,
                endpoints,
                ttls(*TTLS),
                lambda: breaking(cluster),
                after_seconds=AFTER_SECONDS,
                bound_seconds=BOUNDS.get(fault, BOUND_SECONDS),
            )
        )


def live_through_everything(cluster: EtcdCluster, bound: float) -> Lives:
    """Have claims live through the restart of everything at once, with a short clock allowance."""
    with Replica.running(cluster.etcd, SHORT) as replicas:
        return asyncio.run(
            live_through(
                cluster,
                [replica.endpoint for replica in replicas],
                ttls(*LONG_TTLS),
                lambda: restart_everything(cluster, replicas),
                after_seconds=LONG_AFTER_SECONDS,
                bound_seconds=bound,
            )
        )


def ttls(least: float, most: float) -> list[float]:
    """Return one for each claim, spread evenly."""
    return [round(least + (most - least) * number / (CLAIMS - 1), 1) for number in range(CLAIMS)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Have claims live through what makes etcd start its leases again.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join([*FAULTS, EVERYTHING]))
    faults = parser.parse_args().faults or [*FAULTS, EVERYTHING]
    _say(f"three members, two coordinators, {CLAIMS} claims for each fault; seconds after expires_at")
    _say(ROW.format("fault", "claims", "kept by etcd", "earliest", "latest", "bound", "wrong", "load"))
    failed = False
    for fault in faults:
        everything = fault == EVERYTHING
        bound = SHORT.allowance + SHORT.overdue_every + PASS_SECONDS if everything else BOUNDS.get(fault, BOUND_SECONDS)
        with tempfile.TemporaryDirectory() as directory, run_cluster(Path(directory)) as cluster:
            lives = live_through_everything(cluster, bound) if everything else live(cluster, fault)
        late, wrong = lives.lateness or [float("nan")], lives.wrong(bound)
        kept = lives.outlived(GRACE_SECONDS)
        row = (fault, len(lives.answers), kept, f"{late[0]:+.2f}", f"{late[-1]:+.2f}", f"{bound:.1f}", len(wrong))
        _say(ROW.format(*row, f"{os.getloadavg()[0]:.1f}"))
        if not kept:
            wrong.append("etcd has started no lease again: nothing was tried")
        for line in wrong[:10]:
            _say(f"  wrong: {line}")
        failed = failed or bool(wrong)
    return int(failed)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
