"""Members of an etcd cluster are killed and stopped under load: ``python -m tests.campaigns.members``.

For leaders and followers, killed and stopped, 64 sessions claim and complete for a minute through two coordinators
while that befalls one of three members again and again. Prints a table; exits 1 if an answer was wrong, an error was
not of a retryable kind, or there was no granted claim for 3 s.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.cluster.etcd_cluster import run_cluster
from tests.cluster.members_load import SESSIONS, Fault, check, coordinators, run_load

#: The longest time without service that is allowed, in seconds.
LONGEST_GAP_SECONDS = 3.0
#: How long all is well before a fault, how long it lasts, and what remains after the last.
AFTER_SECONDS, FAULT_SECONDS, AFTERWARDS_SECONDS = 5.0, 7.0, 3.0

ROW = "{:<6} {:<9} {:>7} {:>8} {:>10} {:>8}  {:<24} {:>11}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill and stop members of an etcd cluster under load.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each of the four runs takes")
    seconds = parser.parse_args().seconds
    rounds = max(1, int((seconds - AFTERWARDS_SECONDS) / (AFTER_SECONDS + FAULT_SECONDS)))
    _say(f"{SESSIONS} sessions, two coordinators, three members, {seconds:.0f} s each")
    _say(ROW.format("fault", "member", "faults", "granted", "completed", "denied", "errors", "longest gap", "wrong"))
    failed = False
    for how in ("kill", "stop"):
        for who in ("leader", "follower"):
            faults = [Fault(how, who, AFTER_SECONDS, FAULT_SECONDS)] * rounds
            with (
                tempfile.TemporaryDirectory() as directory,
                run_cluster(Path(directory)) as cluster,
                coordinators(cluster.etcd) as endpoints,
            ):
                load = asyncio.run(run_load(cluster, endpoints, "campaign", faults, afterwards=AFTERWARDS_SECONDS))
                cluster.await_all()
                wrong = asyncio.run(check(load, cluster, "campaign"))
            gap = load.gaps[0][0]
            errors = ", ".join(f"{name} {count}" for name, count in sorted(load.errors.items())) or "none"
            row = (how, who, len(load.faults), len(load.grants), len(load.completed), len(load.denials), errors)
            _say(ROW.format(*row, f"{gap:.2f} s", len(wrong)))
            for line in wrong[:10]:
                _say(f"  wrong: {line}")
            failed = failed or bool(wrong) or gap > LONGEST_GAP_SECONDS
    return int(failed)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
