"""Sessions that claim and complete while members of etcd die and hang, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from coordinator import AsyncClient, Claim, DenialReason, Record
from coordinator.engine.layout import FleetPaths
from coordinator.engine.transaction import end_of_prefix
from coordinator.errors import TryAgain
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.cluster.etcd_cluster import EtcdCluster, EtcdMember

__all__ = ["SESSIONS", "Fault", "Load", "Outcome", "check", "coordinators", "run_load"]

SESSIONS = 64
#: How many work keys are open at a time: few enough that sessions meet.
OPEN = 48
#: What a session does between two claims, in seconds: enough that the processor is not what is measured.
THINK_SECONDS = 0.15
#: How long a call may take. The coordinators have to be done with a fault long before.
CALL_SECONDS = 10.0

T = TypeVar("T")
_READY = re.compile(r"coordinator ready: grpc (\S+), ")


class Fault(NamedTuple):
    """What befalls which member, and for how many seconds; ``after`` is how long all is well before it."""

    how: str  # kill or stop
    who: str  # leader or follower
    after: float
    seconds: float
    comes_back: bool = True


class Grant(NamedTuple):
    """A claim as its session received it, and when."""

    work_key: str
    session: str
    attempt: int
    token: int
    at: float


@dataclass
class Load:
    """What the sessions were answered."""

    grants: list[Grant] = field(default_factory=list)
    completed: list[tuple[str, str]] = field(default_factory=list)
    #: Work key and the holder that was named.
    denials: list[tuple[str, str]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    faults: list[tuple[Fault, float]] = field(default_factory=list)
    started: float = 0.0
    ended: float = 0.0

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Seconds without a granted claim, and when they began, the longest first."""
        times = [self.started, *sorted(grant.at for grant in self.grants), self.ended]
        return sorted(((later - at, at) for at, later in itertools.pairwise(times)), reverse=True)


class Outcome(NamedTuple):
    """What etcd holds of a work key's one attempt."""

    session: str
    token: int
    ended: str


class _Sessions:
    """The sessions, and the work that they take turns at."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._open = list(range(OPEN))
        self._next = OPEN
        self.over = False

    async def run(self, client: AsyncClient, session: str) -> None:
        """Claim and complete until it is over; what was begun is ended."""
        load = self._load
        while not self.over:
            number = random.choice(self._open)
            key = f"task:{number:06d}"
            claiming = partial(client.try_claim, session, key, 600, request_id=uuid.uuid4().hex)
            answer = await self._until_answered(claiming)
            if isinstance(answer, Claim):
                load.grants.append(Grant(key, session, answer.attempt, answer.fencing_token, time.monotonic()))
                token, request_id = answer.fencing_token, uuid.uuid4().hex
                completing = partial(client.complete, session, key, token=token, request_id=request_id)
                record = await self._until_answered(completing)
                if isinstance(record, Record):
                    load.completed.append((key, session))
                self._close(number)
            elif answer is not None:
                load.denials.append((key, answer.holder or answer.completed_by or ""))
                if answer.own_session and answer.reason is DenialReason.HELD:
                    load.wrong.append(f"{session} was denied {key}, which it is said to hold itself")
                if answer.reason is DenialReason.COMPLETED:
                    self._close(number)
            await asyncio.sleep(random.uniform(0.5, 1.5) * THINK_SECONDS)

    async def _until_answered(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Ask, with the same request, until there is an answer; None if there is an error that must not be."""
        while True:
            try:
                return await ask()
            except TryAgain as error:
                self._load.errors[type(error).__name__] += 1
                await asyncio.sleep(0.05)
            except Exception as error:  # noqa: BLE001  # any other is what this looks for
                self._load.wrong.append(f"{type(error).__name__}: {error}")
                return None

    def _close(self, number: int) -> None:
        if number in self._open:
            self._open[self._open.index(number)] = self._next
            self._next += 1


async def run_load(
    cluster: EtcdCluster, endpoints: Sequence[str], fleet: str, faults: Sequence[Fault], *, afterwards: float
) -> Load:
    """Have the sessions claim and complete while the faults come one after the other, and ``afterwards`` seconds."""
    load = Load(started=time.monotonic())
    sessions = _Sessions(load)
    async with contextlib.AsyncExitStack() as stack:
        running = []
        for number in range(SESSIONS):
            turned = [*endpoints[number % len(endpoints) :], *endpoints[: number % len(endpoints)]]
            client = await stack.enter_async_context(AsyncClient(turned, fleet=fleet, timeout=CALL_SECONDS))
            running.append(asyncio.create_task(sessions.run(client, f"session-{number:02d}")))
        try:
            for fault in faults:
                await asyncio.sleep(fault.after)
                member = await asyncio.to_thread(_choose, cluster, fault.who)
                load.faults.append((fault, time.monotonic()))
                (member.kill if fault.how == "kill" else member.stop)()
                await asyncio.sleep(fault.seconds)
                if fault.comes_back:
                    member.go_on()
            await asyncio.sleep(afterwards)
        finally:
            load.ended = time.monotonic()
            sessions.over = True
            await asyncio.gather(*running)
    return load


def _choose(cluster: EtcdCluster, who: str) -> EtcdMember:
    cluster.await_all()
    return cluster.leader() if who == "leader" else cluster.follower()


async def check(load: Load, cluster: EtcdCluster, fleet: str) -> list[str]:
    """Compare what the sessions were answered with what etcd holds; returns what is wrong."""
    outcomes = await _outcomes(cluster, fleet)
    wrong = list(load.wrong)
    by_key: dict[str, Grant] = {}
    for grant in load.grants:
        if grant.work_key in by_key:
            wrong.append(f"{grant.work_key} was granted to {by_key[grant.work_key].session} and to {grant.session}")
        by_key[grant.work_key] = grant
        found = outcomes.get(grant.work_key)
        if found != {grant.attempt: Outcome(grant.session, grant.token, "completed")}:
            wrong.append(f"{grant} was answered, but etcd holds {found}")
    wrong += [f"etcd holds {key}, which no session was granted" for key in outcomes.keys() - by_key.keys()]
    answered_completed = dict(load.completed)
    wrong += [f"{key} was granted, but not completed" for key in by_key.keys() - answered_completed.keys()]
    for key, holder in load.denials:
        if key not in by_key or by_key[key].session != holder:
            wrong.append(f"{key} was said to be held by {holder}, but was granted to {by_key.get(key)}")
    return wrong


async def _outcomes(cluster: EtcdCluster, fleet: str) -> dict[str, dict[int, Outcome]]:
    """Read every attempt that etcd holds, by work key."""
    prefix = FleetPaths(fleet).prefix("history")
    channel = EtcdChannel(cluster.endpoints)
    try:
        request = rpc.RangeRequest(key=prefix, range_end=end_of_prefix(prefix))
        response = await channel.call(Methods.RANGE, request, deadline=time.monotonic() + 30)
    finally:
        await channel.close()
    outcomes: dict[str, dict[int, Outcome]] = {}
    for pair in response.kvs:
        key, attempt = pair.key.removeprefix(prefix).decode().split("/")
        entry = json.loads(pair.value)
        found = Outcome(entry["session"], entry["fencing_token"], entry["ended"])
        outcomes.setdefault(key, {})[int(attempt)] = found
    return outcomes


@contextlib.contextmanager
def coordinators(etcd: str, count: int = 2) -> Iterator[list[str]]:
    """Run coordinators on an etcd, each in a process of its own; yields where they are."""
    command = [str(Path(sys.executable).with_name("coordination")), "serve", "--etcd", etcd]
    command += ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    with contextlib.ExitStack() as stack:
        endpoints = []
        for _ in range(count):
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            assert process.stderr is not None
            ready = _READY.match(process.stdout.readline())
            assert ready, process.stderr.read()
            endpoints.append(ready[1])
            # What it says must be read, or it stops when the pipe is full.
            threading.Thread(target=process.stderr.read, daemon=True).start()
        yield endpoints
