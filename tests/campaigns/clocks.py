"""Random calls at replicas whose clocks differ: ``python -m tests.campaigns.clocks``, three minutes.

In 1,000 sequences of claim, repeat, re-claim, renew, note, get, denial and briefing, each at two replicas whose wall
clocks are 2 s, 20 s or 1 h apart, no deadline that is returned may be later than the end of the claim. A quarter of the
sequences go on until another session is granted the work; of the others the lease says when that would be. Prints how
many deadlines were compared, and exits with 1 if one was too late. A sequence is cut short if its claim has ended
before its next call because the machine was busy.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.etcd.client import EtcdChannel
from tests.cluster.skewed_replicas import AHEAD, Trial, random_trial, replicas

_AT_ONCE = 32


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the deadlines that replicas with different clocks return.")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        trials, cut = asyncio.run(_run(Path(directory), options.sequences, options.seed))
    return _report(trials, cut, time.monotonic() - started)


async def _run(directory: Path, sequences: int, seed: int) -> tuple[list[Trial], int]:
    """Return the sequences, and how many of them were cut short."""
    cut = 0
    async with EmbeddedEtcd(directory, find_etcd()) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        async with replicas(etcd.endpoint, "clocks", (0.0, *AHEAD)) as (right, *others):
            trials = [Trial(channel, "clocks", f"task:{number}") for number in range(sequences)]
            waiting = list(enumerate(trials))

            async def work() -> None:
                nonlocal cut
                while waiting:
                    number, trial = waiting.pop()
                    chance = random.Random(f"{seed}/{number}")
                    pair = (right, others[number % len(others)])
                    whole = await random_trial(trial, pair, chance, to_its_end=number // len(others) % 4 == 0)
                    cut += not whole

            await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        await channel.close()
        return trials, cut


def _report(trials: Iterable[Trial], cut: int, seconds: float) -> int:
    wrong = 0
    trials = list(trials)
    for trial in trials:
        for problem in trial.wrong:
            wrong += 1
            _say(f"{trial.key}: {problem}; {', '.join(trial.journal)}")
    promised = sum(len(trial.promises) for trial in trials)
    shown = sum(len(trial.journal) for trial in trials) - promised
    _say(
        f"{len(trials):,} sequences in {seconds:.0f} s: {promised:,} deadlines of holders and {shown:,} that were only "
        f"read; {wrong} of them too late; {cut} sequences were cut short"
    )
    return int(wrong > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
