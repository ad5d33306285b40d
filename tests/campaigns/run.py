"""Commands under ``coordination run`` end before their claims: ``python -m tests.campaigns.run [FAULT …]``.

In each round a command and its processes write down the time every 20 ms, a fault comes, and an observer outside claims
the work as another session until it is granted. Then none of the processes may be alive, and none may have written a
time later than when the grant was asked for. Rounds run beside one another, at the shortest TTL but for a bit. Prints a
table; exits 1 if any process was seen alive, or a command ended in another way than it should.

The clock of the host is stepped for ``run`` and all that it starts, by an hour forward or back, by a library that is
loaded before the C library (this host's own clock is left alone, since others use it).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from coordinator import AsyncClient
from coordinator.errors import CoordinatorError
from coordinator.model import Cause, Claim
from tests.campaigns.silent_relay import Relay
from tests.campaigns.stepped_clock import build_library, stepping
from tests.campaigns.watched_command import COUNTS, TREE, beats, boot, is_alive, marked
from tests.conftest import COMMAND
from tests.integration.server_running import environment, logging_to

ROUNDS, PARALLEL = 100, 16
TTL, GRACE = "6.6s", "0.2s"
#: When the fault comes, in seconds after the command has begun: before, amid and after the first renewals.
AFTER_SECONDS = (0.0, 5.0)
#: How often the observer asks, and how long a round may take, in seconds.
ASK_SECONDS, LONGEST_SECONDS = 0.05, 180.0
#: How often a round is begun again where the command did not begin.
MOST_STARTS = 5
#: How long a command goes on with a clock that was stepped: longer than its TTL.
STEPPED_SECONDS = 9.0
ROW = "{:<10} {:>6} {:>6} {:>14} {:>14} {:>14}  {}"


class _NotBegun(Exception):
    """The command could not be begun in time."""


class Seen(NamedTuple):
    """What the observer saw of a round; durations in seconds."""

    #: Between the last that a process of the command wrote and the moment at which the work was free.
    slack: float
    #: Between the fault and that request.
    taken_over: float
    alive: int
    exit_code: int | None
    problem: str


class Round:
    """One command, its fault, and the observer."""

    def __init__(self, client: AsyncClient, endpoint: str, directory: Path, key: str, shim: Path) -> None:
        self.client = client
        self.endpoint = endpoint
        self.directory = directory
        self.key = key
        self.shim = shim
        self.relay: Relay | None = None
        self.process: subprocess.Popen[bytes]

    async def play(self, fault: str) -> Seen:
        """Play it; returns what was seen."""
        tree, strike, wants_relay = FAULTS[fault]
        self.directory.mkdir()
        async with contextlib.AsyncExitStack() as stack:
            endpoint, more = self.endpoint, {}
            if wants_relay:
                self.relay = Relay(self.endpoint)
                endpoint = await self.relay.start(stack)
            if fault == "clock":
                more = stepping(self.shim, self.directory / "stepped", random.choice((3600, -3600)))
            program = (sys.executable, "-I", "-S", "-c", TREE, str(self.directory), tree)
            self.process = subprocess.Popen(  # noqa: ASYNC220  # takes a millisecond, and is waited for in a thread
                [COMMAND, "run", "--ttl", TTL, "--grace", GRACE, self.key, "--", *program],
                env=environment(COORDINATION_ENDPOINT=endpoint, COORDINATION_TIMEOUT="30", **more),
                stdin=subprocess.DEVNULL,
                stderr=(self.directory.parent / f"{self.directory.name}.log").open("wb"),
            )
            stack.callback(self._clean_up)
            async with asyncio.timeout(LONGEST_SECONDS):
                while len(beats(self.directory)) < COUNTS[tree]:
                    if self.process.poll() is not None:
                        raise _NotBegun("the command did not begin")
                    await asyncio.sleep(0.02)
                await asyncio.sleep(random.uniform(*AFTER_SECONDS))
                problem = await strike(self) or ""
                return await self._observe(problem)

    async def _observe(self, problem: str) -> Seen:
        struck = boot()
        while True:
            sent = boot()
            answer = await self.client.try_claim("successor", self.key, 60)
            if isinstance(answer, Claim):
                break
            await asyncio.sleep(ASK_SECONDS)
        last = beats(self.directory)
        alive = sum(is_alive(pid) for _, pid in last) + len(marked(str(self.directory)))
        slack = _free_at(answer, sent) - max(when for when, _ in last)
        self.process.send_signal(signal.SIGCONT)
        code = await asyncio.to_thread(self.process.wait, LONGEST_SECONDS)
        return Seen(slack, sent - struck, alive, code, problem)

    def _clean_up(self) -> None:
        self.process.kill()
        self.process.wait()
        for pid in marked(str(self.directory)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _free_at(successor: Claim, sent: float) -> float:
    """Return from when on the work was free, or a moment before.

    A claim is granted after the coordinator has begun with it, which on a busy host is long after it was sent, but
    maybe only just after ``run`` has freed the work. Then it is the moment at which the coordinator was asked to: it is
    on this host, so that wall clocks can be compared.
    """
    previous = successor.previous
    if previous is None or previous.ended_at is None or previous.cause is Cause.EXPIRED:
        begun = successor.claimed_at
    else:
        begun = previous.ended_at
    return begun.timestamp() - time.time() + boot() if begun else sent


async def stop(of: Round) -> None:
    of.process.send_signal(signal.SIGSTOP)


async def kill(of: Round) -> None:
    of.process.kill()


async def cut_off(of: Round) -> None:
    assert of.relay is not None
    of.relay.fall_silent()


async def revoke(of: Round) -> None:
    await of.client.revoke(of.key, reason="the campaign")


async def either(of: Round) -> None:
    await random.choice((stop, kill))(of)


async def step_clock(of: Round) -> str:
    """Step the clock, see that the claim is kept all the same, and stop the wrapper."""
    (of.directory / "stepped").touch()
    until = boot() + STEPPED_SECONDS
    while boot() < until:
        if isinstance(await of.client.try_claim("successor", of.key, 60), Claim):
            return "it was lost"
        if of.process.poll() is not None:
            return "it ended"
        await asyncio.sleep(ASK_SECONDS)
    await stop(of)
    return ""


#: What the processes of the command are like, what happens, and whether a relay stands in between.
FAULTS: dict[str, tuple[str, Callable[[Round], Awaitable[str | None]], bool]] = {
    "stopped": ("plain", stop, False),
    "killed": ("plain", kill, False),
    "cut-off": ("plain", cut_off, True),
    "revoked": ("plain", revoke, False),
    "stubborn": ("stubborn", cut_off, True),
    "daemons": ("daemons", either, False),
    "clock": ("plain", step_clock, False),
}
#: How ``run`` may end.
CODES = {"killed": {-signal.SIGKILL, 124}, "daemons": {-signal.SIGKILL, 124}}


async def play_all(fault: str, endpoint: str, directory: Path, rounds: int, parallel: int) -> list[Seen]:
    """Play the rounds of one fault."""
    places = asyncio.Semaphore(parallel)
    shim = directory / "shim.so"

    async with AsyncClient(endpoint, timeout=30) as client:

        async def play(number: int) -> Seen:
            async with places:
                problem = ""
                for _ in range(MOST_STARTS):
                    name = f"{fault}-{number}-{os.urandom(3).hex()}"
                    try:
                        return await Round(client, endpoint, directory / name, f"task:{name}", shim).play(fault)
                    except _NotBegun as error:
                        # On a machine that is too busy for so short a TTL; it says nothing about what is looked for.
                        problem = str(error)
                    except (CoordinatorError, TimeoutError) as error:
                        problem = f"{type(error).__name__}: {error}"
                        break
                return Seen(0.0, 0.0, 0, None, problem)

        return await asyncio.gather(*(play(number) for number in range(rounds)))


def describe(fault: str, seen: list[Seen]) -> tuple[str, bool]:
    """Return the row of a fault, and whether all is well."""
    allowed = CODES.get(fault, {124})
    played = [each for each in seen if each.exit_code is not None]
    slacks = sorted(each.slack for each in played) or [0.0]
    alive = sum(1 for each in played if each.alive or each.slack <= 0)
    codes = Counter(each.exit_code for each in played)
    problems = Counter(each.problem for each in seen if each.problem)
    row = ROW.format(
        fault,
        len(played),
        alive,
        f"{slacks[0]:.2f} s",
        f"{statistics.median(slacks):.2f} s",
        f"{statistics.median([each.taken_over for each in played] or [0.0]):.2f} s",
        ", ".join(f"{code} ({times})" for code, times in codes.items())
        + "".join(f"; {problem} ({times})" for problem, times in problems.items()),
    )
    return row, not alive and not problems and {*codes} <= allowed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; by default all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    given = parser.parse_args()
    faults = given.faults or [*FAULTS]
    well = True
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if "clock" in faults:
            build_library(directory / "shim.so")
        up = ("up", "--data-dir", str(directory / "data"))
        with logging_to(directory / "log", *up) as endpoint:  # a round that fails raises nothing
            print(f"{given.rounds} rounds of each fault, {given.parallel} at a time, ttl {TTL}, grace {GRACE}")
            print(ROW.format("fault", "rounds", "alive", "least slack", "median slack", "taken over", "exit codes"))
            for fault in faults:
                seen = asyncio.run(play_all(fault, endpoint, directory, given.rounds, given.parallel))
                row, fine = describe(fault, seen)
                well = well and fine
                print(row, flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
