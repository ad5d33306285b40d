"""Eight workers on a pool of 2,000 pieces of work, whatever happens: ``python -m tests.campaigns.pool``.

The work has priorities and dependencies, and some of it is poison: it fails, or kills its worker. Workers are killed at
random and started again, etcd is stopped for 20 s, and one host of workers, four of them, is cut off for 30 s. Both
come when each worker is at a piece that lasts longer than a claim does without renewals. Every worker notes what it is
given before it begins. Afterwards the history of each piece is looked at. Prints a table; exits 1 if a figure is not as
promised, or nothing has changed for long. Takes eight minutes, as work that has failed is offered again after one and
five, and longer on a busy machine.

`--only` leaves out some of what happens: with `--max-attempts 1 --only outage` a single attempt that counted would fail
its work, and with `--max-attempts 2 --only outage,cut` two would.
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
#: How much of the work has been given out when etcd stops, and when a host is cut off; for how long, in seconds.
OUTAGE, OUTAGE_LASTS = 0.2, 20.0
CUT, CUT_LASTS = 0.5, 30.0
#: How long each worker's piece lasts then, in seconds: it outlasts its claim, which is not renewed meanwhile.
LONG = 1.5 * TTL
#: How many attempts are begun at least between two workers that are killed.
EACH_KILL = 20
#: No worker is killed for so long after both, and grants are not compared: what expires then is due to these.
QUIET_AFTER = 16.0
#: After how many seconds without any change it is given up; what has failed is offered again after five minutes.
STALLED = 450.0
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
                    out.write(json.dumps([held.claim.work_key, held.claim.session, undone, os.getpid()]) + "\n")
                    if brief["does"] == "kills":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if brief["does"] == "fails":
                        raise LookupError("this cannot be done")
                    held.lost.wait(LONG if brief["does"] == "lasts" else random.uniform(0.3, 1.7) * seconds)
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
    #: The process ids of those that were killed at random, and whether none is to be killed now.
    killed: set[int] = field(default_factory=set)
    calm: bool = False
    #: From when to when what happened.
    times: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)

    def given_out(self) -> int:
        """Return how many attempts have been noted."""
        return self.notes.read_text().count("\n") if self.notes.exists() else 0

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
            chosen = random.choice(alive)
            self.killed.add(chosen.pid)
            chosen.kill()

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


async def run(options: argparse.Namespace, etcd_pid: int, coordinators: Sequence[str], notes: Path) -> bool:
    pieces = plan(options.count, random.Random(options.seed))
    async with AsyncExitStack() as stack:
        relay = Relay(coordinators[1])
        world = World([coordinators[0], await relay.start(stack)], notes, options.seconds)
        client = await stack.enter_async_context(AsyncClient(coordinators[0], fleet=FLEET, timeout=60))
        await client.set_policy("task", max_attempts=options.max_attempts)
        began = time.monotonic()
        await submit(client, pieces)
        print(f"submitted {len(pieces):,} pieces in {time.monotonic() - began:.1f} s", flush=True)
        stack.callback(world.stop)
        world.start_all()
        began, began_at = time.monotonic(), now()
        restarting = asyncio.create_task(restart(world, kills="kills" in options.only))
        disturbing = asyncio.create_task(disturb(world, client, pieces, etcd_pid, relay, options.only))
        ended = await until_done(client, world, disturbing)
        lasted = time.monotonic() - began
        for task in (disturbing, restarting):
            task.cancel()
        details = {piece.key: await client.get(piece.key) for piece in pieces}
        return judge(pieces, details, world, began_at, lasted, options.max_attempts) and ended


async def submit(client: AsyncClient, pieces: Sequence[Planned]) -> None:
    for start in range(0, len(pieces), 20):
        part = [
            NewWork(each.key, each.priority, json.dumps({"depends": each.depends, "does": each.does}), each.depends)
            for each in pieces[start : start + 20]
        ]
        for outcome in await client.submit_many("submitter", part):
            if isinstance(outcome, CoordinatorError):
                raise outcome


async def restart(world: World, *, kills: bool) -> None:
    """Kill a worker every few seconds, and start those again that have ended before their time.

    None is killed before others have got on: a busy machine needs long to start one.
    """
    least = 0
    while True:
        await asyncio.sleep(random.uniform(3.0, 7.0))
        world.restart()
        if kills and not world.calm and (given_out := world.given_out()) >= least:
            world.kill_one()
            least = given_out + EACH_KILL


async def disturb(
    world: World, client: AsyncClient, pieces: list[Planned], etcd_pid: int, relay: Relay, only: Sequence[str]
) -> None:
    """Stop etcd once, and cut a host off once, each when all workers are at pieces that last."""
    first = len(pieces)
    if "outage" in only:
        await until_given_out(world, int(OUTAGE * first))
        await have_long_work_begun(world, client, pieces, "outage")
        begin = now()
        os.kill(etcd_pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(OUTAGE_LASTS)
        finally:
            os.kill(etcd_pid, signal.SIGCONT)
        world.times["outage"] = begin, now()
        await asyncio.sleep(QUIET_AFTER)
        world.calm = False
    if "cut" in only:
        await until_given_out(world, int(CUT * first))
        await have_long_work_begun(world, client, pieces, "cut")
        begin = now()
        relay.fall_silent()
        await asyncio.sleep(CUT_LASTS)
        relay.resume()
        world.times["cut"] = begin, now()
        await asyncio.sleep(QUIET_AFTER)
        world.calm = False


async def until_given_out(world: World, count: int) -> None:
    while world.given_out() < count:  # noqa: ASYNC110  # other processes write there
        await asyncio.sleep(0.2)


async def have_long_work_begun(world: World, client: AsyncClient, pieces: list[Planned], why: str) -> None:
    """Submit a piece for each worker that lasts, and wait until all of them are held at once."""
    world.calm = True
    keys = []
    while True:
        keys = [f"task:{why}-{len(pieces)}-{place}" for place in range(HOSTS * WORKERS_OF_A_HOST)]
        work = [Planned(key, 50, (), "lasts") for key in keys]
        pieces += work
        await submit(client, work)
        while True:
            states = [(await client.get(key)).record.state for key in keys]
            if states == [State.CLAIMED] * len(keys):
                print(f"{why}: {len(keys)} pieces are in flight", flush=True)
                return
            if State.COMPLETED in states:
                break  # too late: one is done before all were begun
            await asyncio.sleep(0.1)


async def until_done(client: AsyncClient, world: World, disturbing: asyncio.Task[None]) -> bool:
    """Wait until nothing is left to do; returns False where nothing has changed for long."""
    seen, changed = "", time.monotonic()
    while time.monotonic() - changed < STALLED:
        try:
            answer = await client.try_claim_next("looker", explain=True)
        except CoordinatorError:
            continue
        if isinstance(answer, Denial) and answer.choice is not None:
            counts = {reason.value: count for reason, count in answer.choice.skipped_counts}
            state = f"{counts} {answer.choice.nothing_free}, {world.given_out()} attempts"
            if state != seen:
                print(f"{state}, {len(world.killed)} killed", flush=True)
                seen, changed = state, time.monotonic()
            if disturbing.done() and answer.choice.nothing_free in (NothingFree.EMPTY, NothingFree.FAILED):
                return disturbing.exception() is None
        await asyncio.sleep(5)
    return False


def judge(
    pieces: Sequence[Planned],
    details: dict[str, WorkDetails],
    world: World,
    began_at: datetime,
    lasted: float,
    max_attempts: int,
) -> bool:
    """Say what came of it; return whether that is as promised."""
    good = True

    def note(what: str, figure: object, wanted: bool = True) -> None:
        nonlocal good
        good = good and wanted
        print(f"{what:<86} {figure!s:>12}{'' if wanted else '   NOT AS PROMISED'}", flush=True)

    honest = [piece for piece in pieces if piece.does in ("works", "lasts")]
    poison = [piece for piece in pieces if piece.does in ("fails", "kills")]
    notes = [json.loads(line) for line in world.notes.read_text().splitlines()]
    ends = {piece.key: Counter(entry.ended for entry in details[piece.key].history) for piece in pieces}
    note("how long it took, s", f"{lasted:.0f}")
    note("workers killed at random", len(world.killed))
    completed = sum(ends[piece.key][State.COMPLETED] == 1 for piece in honest)
    note("pieces completed once", f"{completed} of {len(honest)}", completed == len(honest))
    again = sum(len(details[piece.key].history) > 1 for piece in honest)
    note("of these, with more than one attempt", again)
    failed = [piece.key for piece in honest if _work(details[piece.key]).state is PoolState.FAILED]
    note("of these, failed", len(failed), not failed)
    counted = Counter(failure.cause for piece in honest for failure in _work(details[piece.key]).failures)
    note("of their attempts, those that count as failed: their worker was killed, or cut off", sum(counted.values()))
    # What each of those that were killed had begun last: what it had before has ended in another way.
    last = {process: (key, session) for key, session, _, process in notes}
    killed = {last[process] for process in world.killed if process in last}
    for why, uses_none in (("outage", True), ("cut", False)):
        if why in world.times:
            expired, counting = _expired_in(world.times[why], honest, details, killed)
            note(f"attempts of these that ended by the {why}", expired, expired > 0)
            note("of these, those that count as failed", counting, not (uses_none and counting))
    for does, kind in (("fails", "poison that fails"), ("kills", "poison that kills its worker")):
        found = [_work(details[piece.key]) for piece in poison if piece.does == does]
        thrice = sum(
            each.state is PoolState.FAILED
            and each.failure_count == max_attempts
            and len({failure.session for failure in each.failures}) == max_attempts
            for each in found
        )
        note(
            f"{kind}: failed after {max_attempts} tries by different sessions",
            f"{thrice} of {len(found)}",
            thrice == len(found),
        )
    early = [key for key, _, undone, _ in notes if undone]
    note("pieces begun before what they depend on was completed", len(early), not early)
    passed = out_of_order(pieces, details, began_at, world)
    note("pieces passed over for 3 s for one of lower priority", len(passed), not passed)
    return good


def _work(found: WorkDetails):  # type: ignore[no-untyped-def]  # all of it was submitted
    assert found.work is not None
    return found.work


def _expired_in(
    between: tuple[datetime, datetime],
    pieces: Sequence[Planned],
    details: dict[str, WorkDetails],
    killed: set[tuple[str, str]],
) -> tuple[int, int]:
    """Return how many attempts have expired that were live in a time, and how many of these count as failed.

    Those of workers that were killed are left out.
    """
    expired = failed = 0
    for piece in pieces:
        failures = {failure.attempt for failure in _work(details[piece.key]).failures}
        for entry in details[piece.key].history:
            begun = entry.claimed_at
            if entry.cause is not Cause.EXPIRED or begun is None or (piece.key, entry.session) in killed:
                continue
            if begun <= between[1] and entry.ended_at >= between[0]:
                expired += 1
                failed += entry.attempt in failures
    return expired, failed


def out_of_order(
    pieces: Sequence[Planned], details: dict[str, WorkDetails], began_at: datetime, world: World
) -> list[str]:
    """Return what was free for long while another piece of lower priority was granted."""
    begin, end = world.times.get("outage", (began_at, began_at))
    outage = begin, end + timedelta(seconds=QUIET_AFTER)
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
    parser.add_argument("--max-attempts", type=int, default=3, help="after how many failures work has failed")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=["kills", "outage", "cut"],
        help="which of kills, outage and cut there are, with commas between",
    )
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
