"""Attack coordinators as unauthenticated clients can: ``python -m tests.campaigns.attack``, about ten minutes.

Each attack has a coordinator of its own, beside an etcd that they share, and a normal client that claims every 20 ms.
Prints a table of memory and of how long the normal client's claims took. Exits with 1 if a coordinator ended, had more
than 200 MiB in memory, refused a normal client's claim, or answered half of them later than 5 times the quiet p99 (and
later than 50 ms). ``--share`` sends less, ``--only`` tries some of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from tests.attack.attacks import ATTACKS, judge, judge_latency
from tests.attack.target import Outcome, measure, running

_ROW = "{:<18} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of what is sent at full strength")
    parser.add_argument("--only", default="", metavar="NAME,…", help="some of them, such as silent_tls,unfinished")
    parser.add_argument("--command", default=None, help="another `coordination` to attack")
    arguments = parser.parse_args()
    short = {name.rpartition(".")[2]: name for name in ATTACKS}
    wanted = [short.get(name, name) for name in arguments.only.split(",") if name] or list(ATTACKS)
    print(_ROW.format("attack", "MiB", "peak", "quiet99", "p50", "p99", "max", "new", "what was sent; times in ms"))
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        import asyncio

        wrong = asyncio.run(_attack_all(Path(scratch), wanted, arguments.share, arguments.command))
    for each in wrong:
        print(each)
    return 1 if wrong else 0


async def _attack_all(scratch: Path, wanted: list[str], share: float, command: str | None) -> list[str]:
    import asyncio

    wrong: list[str] = []
    async with EmbeddedEtcd(scratch / "etcd", find_etcd(None)) as etcd:
        for name in wanted:
            outcome = await asyncio.to_thread(_attack, scratch / name, etcd.endpoint, name, share, command)
            found = judge(outcome) + judge_latency(outcome)
            print(_row(outcome) + ("" if not found else "  WRONG"), flush=True)
            wrong += [f"{name}: {each}" for each in found]
    return wrong


def _attack(directory: Path, etcd: str, name: str, share: float, command: str | None) -> Outcome:
    module = ATTACKS[name]
    try:
        with running(directory, etcd, module.SETTING, command=command) as target:
            return measure(name, target, module.attack, share, quiet_seconds=4.0)
    except Exception as error:  # noqa: BLE001  # one that ended in the middle is an outcome too
        return Outcome(name, sent=repr(error)[:150])


def _row(outcome: Outcome) -> str:
    times = (
        outcome.quiet_p99,
        outcome.attacked_p50,
        outcome.attacked_p99,
        max(outcome.attacked, default=0.0),
        outcome.fresh,
    )
    figures = [f"{each * 1000:.1f}" for each in times]
    return _ROW.format(outcome.attack.rpartition(".")[2], outcome.quiet_mib, outcome.peak_mib, *figures, outcome.sent)


if __name__ == "__main__":
    sys.exit(main())
