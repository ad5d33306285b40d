"""Replicas of one fleet whose wall clocks differ, and what they say of the time that claims have left.

A client counts every duration that it is given from before it asked. The moment that this makes is held against the
lease that the claim is bound to when the answer is there: of a lease with ``left`` whole seconds etcd ends the claim
less than ``left + 1`` seconds later.

- What was granted or renewed is a promise: no later step may end the claim before it.
- What was only read (``get``, briefings, denials) is checked when it is read.

A machine that is busy may take longer between two calls than the claim lasts. What is said of the claim after all that
was promised is over is of no account (``TimeIsOver``); before that, it would break a promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator import AsyncClient, Claim, Denial, clock
from coordinator.clock import boot_seconds
from coordinator.engine.layout import FleetPaths
from coordinator.errors import CoordinatorError
from coordinator.keys import parse_work_key
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.foreign import ask_seconds_left

__all__ = ["AHEAD", "CALLS", "Replica", "TimeIsOver", "Trial", "random_trial", "replicas"]

#: By how much the clock of one replica is ahead of the other's, in seconds.
AHEAD = (2.0, -2.0, 20.0, -20.0, 3600.0, -3600.0)
_SECONDS = 20.0
_LOOKS_APART = 0.05
_SHORT, _ANY = (5.0, 6.0, 7.5), (5.0, 6.0, 12.0, 60.0, 600.0, 7200.0)


class TimeIsOver(Exception):
    """The claim had ended before the call was made or answered, as was promised."""


@dataclass(frozen=True)
class Replica:
    """A coordinator whose wall clock is ``ahead``, and two clients that ask only it."""

    ahead: float
    client: AsyncClient
    other: AsyncClient


@contextlib.asynccontextmanager
async def replicas(etcd: str, fleet: str, aheads: Sequence[float]) -> AsyncIterator[list[Replica]]:
    """Run a replica for each clock; the clocks of their deadlines have nothing to do with one another either."""
    servers: list[Server] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop_all, servers)
        found = []
        for number, ahead in enumerate(aheads):
            server = Server(
                ServerSettings((etcd,), "127.0.0.1:0", "127.0.0.1:0", reaper=None, grace_seconds=1),
                wall=_ahead(ahead),
                boot=lambda since=86_400.0 * number: boot_seconds() + since,  # type: ignore[misc]  # it is bound now
            )
            await server.start()
            servers.append(server)
            client, other = [AsyncClient(server.endpoint, fleet=fleet, timeout=_SECONDS) for _ in range(2)]
            stack.push_async_callback(client.aclose)
            stack.push_async_callback(other.aclose)
            found.append(Replica(ahead, client, other))
        yield found


async def _stop_all(servers: Sequence[Server]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))


def _ahead(seconds: float) -> Callable[[], datetime]:
    return lambda: clock.now() + timedelta(seconds=seconds)


@dataclass
class Trial:
    """One work key: what was promised of it and by which call, and what was found to be wrong."""

    channel: EtcdChannel
    fleet: str
    key: str
    ttl: float = 60.0
    session: str = "holder"
    token: int | None = None
    promises: list[tuple[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        return f"of-{self.key}"

    async def claim(self, replica: Replica) -> None:
        """Claim, or repeat the same request."""
        claim = await replica.client.claim(self.session, self.key, self.ttl, request_id=self.request_id)
        self.token = self.token or claim.fencing_token
        await self._promised("claim", replica, claim)

    async def claim_among_many(self, replica: Replica) -> None:
        """Repeat the request within a call for several work keys, by its token."""
        sent = boot_seconds()
        (claim,) = await replica.client.claim_many(self.session, [self.key], self.ttl, request_id=f"many-{self.key}")
        if isinstance(claim, Claim):
            await self._promised("claim_many", replica, claim)
        elif isinstance(claim, Denial):
            # Another client of the same session holds it.
            await self._shown("claim_many's denial", replica, sent, claim.retry_after_seconds)

    async def claim_again(self, replica: Replica, ttl: float | None = 5.0) -> None:
        """Claim what is held already, by its token, for less time."""
        claim = await replica.client.claim(self.session, self.key, ttl, token=self.token)
        await self._promised(f"claim again for {ttl}", replica, claim)

    async def renew(self, replica: Replica, ttl: float | None = 5.0) -> None:
        claim = await replica.client.renew(self.session, self.key, ttl, token=self.token)
        await self._promised(f"renew for {ttl}", replica, claim)

    async def note(self, replica: Replica) -> None:
        claim = await replica.client.renew(self.session, self.key, note="half way", token=self.token)
        await self._promised("note", replica, claim)

    async def get(self, replica: Replica) -> None:
        sent = boot_seconds()
        details = await replica.client.get(self.key)
        await self._shown("get", replica, sent, None if details.claim is None else details.claim.remaining_seconds)

    async def be_denied(self, replica: Replica) -> None:
        sent = boot_seconds()
        denial = await replica.other.try_claim("contender", self.key, 5)
        if not isinstance(denial, Denial):
            self._judge("a contender was granted the work")
            return
        await self._shown("denial", replica, sent, denial.retry_after_seconds)

    async def be_briefed(self, replica: Replica) -> None:
        sent = boot_seconds()
        briefing = await replica.client.briefing(max_characters=20_000)
        left = next((claim.remaining_seconds for claim in briefing.taken if claim.work_key == self.key), None)
        await self._shown("briefing", replica, sent, left)

    async def be_succeeded(self, replica: Replica) -> None:
        """Wait until another session is granted the work: nothing that was promised may last longer."""
        while True:
            answer = await replica.other.try_claim("successor", self.key, 60)
            if isinstance(answer, Claim):
                break
            await asyncio.sleep(_LOOKS_APART)
        self._compare(boot_seconds(), self.promises)

    async def _promised(self, call: str, replica: Replica, claim: Claim) -> None:
        assert claim.deadline is not None
        if claim.session != self.session or claim.fencing_token != self.token:
            self._judge(f"{call}: {claim}")
        self.promises.append((f"{call} at {replica.ahead:+g} s", claim.deadline))
        self.journal.append(f"{self.promises[-1][0]}: {claim.remaining_seconds:.1f} s")
        self._compare(await self._latest_end(), self.promises)

    async def _shown(self, call: str, replica: Replica, sent: float, left: float | None) -> None:
        if left is None:
            self._judge(f"{call} at {replica.ahead:+g} s says nothing of the claim")
            return
        self.journal.append(f"{call} at {replica.ahead:+g} s: {left:.1f} s")
        end = await self._latest_end()
        self._compare(end, [(f"{call} at {replica.ahead:+g} s", sent + left)])
        # Nor is it much too early: a caller that asked again after that would ask for nothing.
        if sent + left < end - 5:
            self.wrong.append(f"{call} at {replica.ahead:+g} s says {end - sent - left:.1f} s too little")

    @property
    def is_over(self) -> bool:
        """Whether all that was promised has passed."""
        return bool(self.promises) and boot_seconds() > max(deadline for _, deadline in self.promises)

    def _judge(self, problem: str) -> None:
        """Note what may only be after the end of the claim; raises ``TimeIsOver`` where it is."""
        if self.is_over:
            raise TimeIsOver
        self.wrong.append(problem)

    def _compare(self, end: float, reported: Sequence[tuple[str, float]]) -> None:
        self.wrong += [f"{call} is {moment - end:.2f} s too late" for call, moment in reported if moment > end]

    async def _latest_end(self) -> float:
        """Return by when etcd ends the claim, were nothing done any more."""
        deadline = time.monotonic() + _SECONDS
        key = FleetPaths(self.fleet).of(parse_work_key(self.key)).claim
        found = await self.channel.call(Methods.RANGE, rpc.RangeRequest(key=key), deadline=deadline)
        left = None
        if found.kvs:
            left = await ask_seconds_left(self.channel, found.kvs[0].lease, deadline=deadline)
        return boot_seconds() + (0.0 if left is None else left + 1)


#: Every call that says something of the time that a claim has left.
CALLS: Mapping[str, Callable[[Trial, Replica], Awaitable[None]]] = {
    "the same request": Trial.claim,
    "a claim of what is held": Trial.claim_again,
    "a claim of what is held, for its own time": lambda trial, at: trial.claim_again(at, None),
    "a claim of what is held, for longer": lambda trial, at: trial.claim_again(at, 7200.0),
    "one of many claims": Trial.claim_among_many,
    "a renewal": Trial.renew,
    "a renewal for its own time": lambda trial, at: trial.renew(at, None),
    "a renewal for longer": lambda trial, at: trial.renew(at, 7200.0),
    "a note": Trial.note,
    "get": Trial.get,
    "a denial": Trial.be_denied,
    "a briefing": Trial.be_briefed,
}


async def random_trial(trial: Trial, pair: Sequence[Replica], chance: random.Random, *, to_its_end: bool) -> bool:
    """Make random calls on one work key at two replicas, and with ``to_its_end`` have another session take it over.

    Returns whether there was time for all of them.
    """
    try:
        await _random_calls(trial, pair, chance, to_its_end=to_its_end)
    except TimeIsOver:
        return False
    except CoordinatorError:
        # A claim that has ended may be refused in several ways.
        if not trial.is_over:
            raise
        return False
    return True


async def _random_calls(trial: Trial, pair: Sequence[Replica], chance: random.Random, *, to_its_end: bool) -> None:
    trial.ttl = chance.choice(_SHORT if to_its_end else _ANY)
    await trial.claim(chance.choice(pair))
    calls = {name: call for name, call in CALLS.items() if not (to_its_end and "longer" in name)}
    for _ in range(chance.randint(2, 7)):
        await calls[chance.choice(list(calls))](trial, chance.choice(pair))
        if to_its_end:
            await asyncio.sleep(chance.uniform(0, 0.4))
    if to_its_end:
        await trial.be_succeeded(chance.choice(pair))
