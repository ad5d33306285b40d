"""Eight workers on a pool of 2,000 pieces of work, whatever happens: ``python -m tests.campaigns.pool``.

The work has priorities and dependencies, and some of it is poison: it fails, or kills its worker. Workers are killed at
random and started again, etcd is stopped for 20 s, and one host of workers, four of them, is cut off for 30 s. Every
worker notes what it is given before it begins. Afterwards the history of each piece is looked at. Prints a table; exits
1 if a figure is not as promised. Takes eight minutes, as work that has failed is offered again after one and five.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from coordinator import AsyncClient, Cause, ClaimDenied, ClaimLost, Client, CoordinatorError, NewWork, NothingFree
from coordinator.clock import now
from coordinator.model import Denial, PoolState, State, WorkDetails
from tests.campaigns.silent_relay import Relay
from tests.conftest import _run_coordinator, _run_etcd

FLEET = "campaign"
HOSTS, WORKERS_OF_A_HOST = 2, 4
TTL, WAIT = 10.0, 20.0
REAPING = {"COORDINATION_REAPER": "yes"}
#: So many pieces that follow one another may depend on each other: no piece may depend on more than 100 in all.
_LINKED = 50
#: How many pieces fail, and how many kill their worker; they come first.
FAILING, KILLING = 10, 5
#: When etcd stops and for how long, when a host is cut off and for how long, in seconds from the begin.
OUTAGE, OUTAGE_LASTS = 45.0, 20.0
CUT, CUT_LASTS = 105.0, 30.0
#: No worker is killed for so long before the outage and the cut, and after them: what expires then is due to these.
QUIET_BEFORE, QUIET_AFTER = 14.0, 16.0
#: How long work must have been free before and after another piece was granted for that to have been out of order.
#: Until an expiry is seen a claim lasts for its window and until etcd looks.
_MARGIN, _EXPIRING = timedelta(seconds=3), timedelta(seconds=10)


@dataclass(frozen=True)
class Planned:
    """One piece of work."""

    key: str
    priority: int
    depends: tuple[str, ...]
    does: str


def plan(count: int, random_source: random.Random) -> list[Planned]:
    """Plan the work: what it depends on comes before it, and nothing depends on poison."""
    found: list[Planned] = []
    poison = ["fails"] * FAILING + ["kills"] * KILLING
    for number, does in enumerate(poison):
        found.append(Planned(f"task:poison-{number}", 100, (), does))
    for number in range(count - len(poison)):
        before = range(number - number % _LINKED, number)
        many = min(random_source.choice((0, 0, 1, 2, 3)), len(before))
        depends = tuple(f"task:w-{each}" for each in sorted(random_source.sample(before, many)))
        found.append(Planned(f"task:w-{number}", random_source.randint(-5, 5), depends, "works"))
    return found


def work(endpoint: str, notes: Path, seconds: float) -> None:
    """Work until there is nothing more to do, as one worker process."""
    with Client(endpoint, fleet=FLEET, timeout=5) as client, notes.open("a", buffering=1) as out:
        while True:
            try:
                with client.hold_next(None, ttl=TTL, wait=WAIT) as held:
                    brief = json.loads(held.claim.brief or "{}")
                    undone = [key for key in brief["depends"] if client.get(key).record.state is not State.COMPLETED]
                    out.write(json.dumps([held.claim.work_key, held.claim.session, undone]) + "\n")
                    if brief["does"] == "kills":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if brief["does"] == "fails":
                        raise LookupError("this cannot be done")
                    held.lost.wait(random.uniform(0.3, 1.7) * seconds)
            except ClaimDenied as denied:
                choice = denied.denial.choice
                if choice is not None and choice.nothing_free in (NothingFree.EMPTY, NothingFree.FAILED):
                    return
            except (ClaimLost, LookupError):
                continue
            except CoordinatorError:
                time.sleep(0.5)


@dataclass
class World:
    """The processes of the campaign; ``endpoints`` are those of the hosts."""

    endpoints: Sequence[str]
    notes: Path
    seconds: float
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: int = 0

    def start(self, place: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.campaigns.pool", "--work", self.endpoints[place // WORKERS_OF_A_HOST]]
        return subprocess.Popen([*command, "--notes", str(self.notes), "--seconds", str(self.seconds)])

    def start_all(self) -> None:
        self.workers = [self.start(place) for place in range(HOSTS * WORKERS_OF_A_HOST)]

    def restart(self) -> None:
        """Start those again that were killed, by what they did or by us."""
        for place, worker in enumerate(self.workers):
            if worker.poll() not in (None, 0):
                self.workers[place] = self.start(place)

    def kill_one(self) -> None:
        alive = [worker for worker in self.workers if worker.poll() is None]
        if alive:
            random.choice(alive).kill()
            self.killed += 1

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


async def run(options: argparse.Namespace, etcd_pid: int, coordinators: Sequence[str], notes: Path) -> bool:
    pieces = plan(options.count, random.Random(options.seed))
    async with AsyncExitStack() as stack:
        relay = Relay(coordinators[1])
        world = World([coordinators[0], await relay.start(stack)], notes, options.seconds)
        client = await stack.enter_async_context(AsyncClient(coordinators[0], fleet=FLEET, timeout=30))
        began = time.monotonic()
        await submit(client, pieces)
        print(f"submitted {len(pieces):,} pieces in {time.monotonic() - began:.1f} s", flush=True)
        stack.callback(world.stop)
        world.start_all()
        began, began_at = time.monotonic(), now()
        disturbing = asyncio.create_task(disturb(world, etcd_pid, relay, began))
        await until_done(client, world, began + options.limit)
        lasted = time.monotonic() - began
        disturbing.cancel()
        details = {piece.key: await client.get(piece.key) for piece in pieces}
        return judge(pieces, details, world, began_at, lasted)


async def submit(client: AsyncClient, pieces: Sequence[Planned]) -> None:
    for start in range(0, len(pieces), 200):
        part = [
            NewWork(each.key, each.priority, json.dumps({"depends": each.depends, "does": each.does}), each.depends)
            for each in pieces[start : start + 200]
        ]
        for outcome in await client.submit_many("submitter", part):
            if isinstance(outcome, CoordinatorError):
                raise outcome


async def disturb(world: World, etcd_pid: int, relay: Relay, began: float) -> None:
    """Kill workers at random, stop etcd once, and cut a host off once."""

    def elapsed() -> float:
        return time.monotonic() - began

    async def outage() -> None:
        await asyncio.sleep(OUTAGE)
        os.kill(etcd_pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(OUTAGE_LASTS)
        finally:
            os.kill(etcd_pid, signal.SIGCONT)

    async def cut() -> None:
        await asyncio.sleep(CUT)
        relay.fall_silent()
        await asyncio.sleep(CUT_LASTS)
        relay.resume()

    async def kill() -> None:
        while True:
            await asyncio.sleep(random.uniform(3.0, 7.0))
            world.restart()
            if not any(
                begin - QUIET_BEFORE < elapsed() < begin + lasts + QUIET_AFTER
                for begin, lasts in ((OUTAGE, OUTAGE_LASTS), (CUT, CUT_LASTS))
            ):
                world.kill_one()

    await asyncio.gather(outage(), cut(), kill())


async def until_done(client: AsyncClient, world: World, latest: float) -> None:
    while time.monotonic() < latest:
        try:
            answer = await client.try_claim_next("looker", explain=True)
        except CoordinatorError:
            continue
        if isinstance(answer, Denial) and answer.choice is not None:
            counts = {reason.value: count for reason, count in answer.choice.skipped_counts}
            print(f"{counts} {answer.choice.nothing_free}, {world.killed} killed", flush=True)
            if answer.choice.nothing_free in (NothingFree.EMPTY, NothingFree.FAILED):
                return
        await asyncio.sleep(5)


def judge(
    pieces: Sequence[Planned], details: dict[str, WorkDetails], world: World, began_at: datetime, lasted: float
) -> bool:
    """Say what came of it; return whether that is as promised."""
    good = True

    def note(what: str, figure: object, wanted: bool = True) -> None:
        nonlocal good
        good = good and wanted
        print(f"{what:<86} {figure!s:>10}{'' if wanted else '   NOT AS PROMISED'}", flush=True)

    honest = [piece for piece in pieces if piece.does == "works"]
    poison = [piece for piece in pieces if piece.does != "works"]
    ends = {piece.key: Counter(entry.ended for entry in details[piece.key].history) for piece in pieces}
    note("how long it took, s", f"{lasted:.0f}")
    note("workers killed at random", world.killed)
    completed = sum(ends[piece.key][State.COMPLETED] == 1 for piece in honest)
    note("pieces completed once", f"{completed} of {len(honest)}", completed == len(honest))
    again = sum(len(details[piece.key].history) > 1 for piece in honest)
    note("of these, with more than one attempt", again)
    failed = [piece.key for piece in honest if _work(details[piece.key]).state is PoolState.FAILED]
    note("of these, failed", len(failed), not failed)
    counted = Counter(failure.cause for piece in honest for failure in _work(details[piece.key]).failures)
    note("of their attempts, those that count as failed: their worker was killed, or cut off", sum(counted.values()))
    outage = began_at + timedelta(seconds=OUTAGE), began_at + timedelta(seconds=OUTAGE + OUTAGE_LASTS + QUIET_AFTER)
    by_outage = _expired_in(outage, honest, details)
    note("attempts of these that ended by the outage, and that count as failed", _said(by_outage), by_outage[1] == 0)
    cut = began_at + timedelta(seconds=CUT), began_at + timedelta(seconds=CUT + CUT_LASTS)
    note("attempts of these that ended by the cut, and that count as failed", _said(_expired_in(cut, honest, details)))
    for does, kind in (("fails", "poison that fails"), ("kills", "poison that kills its worker")):
        found = [_work(details[piece.key]) for piece in poison if piece.does == does]
        thrice = sum(
            each.state is PoolState.FAILED
            and each.failure_count == 3
            and len({failure.session for failure in each.failures}) == 3
            for each in found
        )
        note(
            f"{kind}: failed after three tries by different sessions", f"{thrice} of {len(found)}", thrice == len(found)
        )
    notes = [json.loads(line) for line in world.notes.read_text().splitlines()]
    early = [key for key, _, undone in notes if undone]
    note("pieces begun before what they depend on was completed", len(early), not early)
    passed = out_of_order(pieces, details, began_at)
    note("pieces passed over for 3 s for one of lower priority", len(passed), not passed)
    return good


def _work(found: WorkDetails):  # type: ignore[no-untyped-def]  # all of it was submitted
    assert found.work is not None
    return found.work


def _said(counts: tuple[int, int]) -> str:
    return f"{counts[0]}, {counts[1]}"


def _expired_in(
    between: tuple[datetime, datetime], pieces: Sequence[Planned], details: dict[str, WorkDetails]
) -> tuple[int, int]:
    """Return how many attempts have expired in a time, and how many of these count as failed."""
    expired = failed = 0
    for piece in pieces:
        failures = {failure.attempt for failure in _work(details[piece.key]).failures}
        for entry in details[piece.key].history:
            if entry.cause is Cause.EXPIRED and between[0] <= entry.ended_at <= between[1]:
                expired += 1
                failed += entry.attempt in failures
    return expired, failed


def out_of_order(pieces: Sequence[Planned], details: dict[str, WorkDetails], began_at: datetime) -> list[str]:
    """Return what was free for long while another piece of lower priority was granted."""
    outage = began_at + timedelta(seconds=OUTAGE), began_at + timedelta(seconds=OUTAGE + OUTAGE_LASTS + QUIET_AFTER)
    grants = sorted(
        (entry.claimed_at, piece.priority)
        for piece in pieces
        for entry in details[piece.key].history
        if entry.claimed_at is not None and not outage[0] <= entry.claimed_at <= outage[1]
    )
    found = []
    for piece in pieces:
        if piece.does != "works":
            continue
        done = [entry.ended_at for key in piece.depends for entry in details[key].history if entry.cause is None]
        free_from = max([began_at, *done])
        for entry in details[piece.key].history:
            until = entry.claimed_at
            if until is not None and any(
                free_from + _MARGIN <= at <= until - _MARGIN and priority < piece.priority for at, priority in grants
            ):
                found.append(piece.key)
            free_from = entry.ended_at + _EXPIRING
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Have eight workers work through a pool.")
    parser.add_argument("--count", type=int, default=2_000, help="how many pieces of work there are")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long one takes on average")
    parser.add_argument("--limit", type=float, default=560.0, help="after how many seconds it is given up")
    parser.add_argument("--seed", type=int, default=1, help="of the plan")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--notes", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.notes, options.seconds)
        return 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        etcd = stack.enter_context(_run_etcd(directory / "etcd"))
        coordinators = [
            stack.enter_context(_run_coordinator("serve", "--etcd", etcd.endpoint, **REAPING)) for _ in range(2)
        ]
        endpoints = [each.endpoint for each in coordinators]
        return 0 if asyncio.run(run(options, etcd.pid, endpoints, directory / "notes")) else 1


if __name__ == "__main__":
    sys.exit(main())
