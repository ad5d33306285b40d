"""ClaimNext over two coordinators while work is released, finished and expires: no key twice, no vain denial.

What was free at every moment of a call is judged by what callers see: a claim may be there from when it was asked for
until its end was confirmed, and work is never free again once its completion was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, NotHolder
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningEtcd
from tests.lossy_proxy import BREAK, losing_answers

#: How many calls are made, and how many answers of ClaimNext are lost; `make test-long` has more.
CALLS = int(os.environ.get("COORDINATION_NEXT_CALLS", "600"))
LOST = int(os.environ.get("COORDINATION_LOST_REPLIES", "40"))
SESSIONS, KEYS, LISTED = 24, 16, 6
TTL = 5.0
#: How much longer than its TTL a claim may last: the window of its lease, and what etcd takes to end it.
LATEST_END = TTL + 30.0


@contextlib.asynccontextmanager
async def two_servers(etcd: RunningEtcd) -> AsyncIterator[list[Server]]:
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for _ in range(2):
            settings = ServerSettings(
                etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None
            )
            server = Server(settings)
            await server.start()
            stack.push_async_callback(server.stop)
            servers.append(server)
        yield servers


@dataclass
class Story:
    """What was seen of one work key: when it may have been taken, and when it certainly was."""

    maybe: list[tuple[float, float]] = field(default_factory=list)
    certain: list[tuple[float, float, int]] = field(default_factory=list)

    def was_free(self, begin: float, end: float) -> bool:
        return all(until < begin or since > end for since, until in self.maybe)


@dataclass
class Watched:
    """All calls, by when they began and ended."""

    keys: list[str] = field(default_factory=lambda: [f"task:k-{number}" for number in range(KEYS)])
    stories: dict[str, Story] = field(default_factory=lambda: defaultdict(Story))
    denials: list[tuple[float, float, list[str]]] = field(default_factory=list)
    calls: int = 0
    made: int = KEYS

    def replace(self, key: str) -> None:
        """Have new work in the place of what is finished."""
        if key in self.keys:
            self.keys[self.keys.index(key)] = f"task:k-{self.made}"
            self.made += 1


async def _work(name: str, client: AsyncClient, seen: Watched, chance: random.Random) -> None:
    while seen.calls < CALLS:
        seen.calls += 1
        candidates = chance.sample(seen.keys, LISTED)
        begin = time.monotonic()
        answer = await client.try_claim_next(name, candidates, ttl=TTL)
        granted = time.monotonic()
        if not isinstance(answer, Claim):
            seen.denials.append((begin, granted, candidates))
            continue
        story = seen.stories[answer.work_key]
        place = len(story.maybe)
        story.maybe.append((begin, granted + LATEST_END))
        assert answer.work_key in candidates
        await asyncio.sleep(chance.random() * 0.02)
        ending = time.monotonic()
        story.certain.append((granted, min(ending, answer.deadline or ending), answer.fencing_token))
        what = chance.random()
        # On a busy machine it may have expired, which the rest is left to.
        with contextlib.suppress(NotHolder):
            if what < 0.55:
                await client.release(name, answer.work_key)
                story.maybe[place] = (begin, time.monotonic())
            elif what < 0.95:
                seen.replace(answer.work_key)
                await client.complete(name, answer.work_key)


@pytest.mark.timeout(300)
async def test_no_session_is_denied_while_something_was_free_and_no_key_is_granted_twice(
    etcd: RunningEtcd, fleet: str
) -> None:
    seen, chance = Watched(), random.Random(14)
    async with two_servers(etcd) as servers, contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(servers[number % 2].endpoint, fleet=fleet, timeout=60))
            for number in range(SESSIONS)
        ]
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(_work(f"s-{number}", client, seen, random.Random(chance.random())))
    in_vain = [
        (key, begin, end)
        for begin, end, candidates in seen.denials
        for key in candidates
        if key in seen.stories and seen.stories[key].was_free(begin, end)
    ]
    never_held = [key for _, _, candidates in seen.denials for key in candidates if key not in seen.stories]
    assert (in_vain, never_held) == ([], [])
    for key, story in seen.stories.items():
        held = sorted(story.certain)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(held)), key
        tokens = [token for _, _, token in held]
        assert tokens == sorted(set(tokens)), key
    assert seen.denials, "the sessions were more than the work"


@pytest.mark.timeout(300)
async def test_a_lost_answer_is_repeated_elsewhere_and_gives_the_same_claim(etcd: RunningEtcd, fleet: str) -> None:
    """An earlier candidate becomes free between the try whose answer is lost and the one that repeats it."""
    lost: set[str] = set()
    freed: list[asyncio.Task[Any]] = []

    async with two_servers(etcd) as servers, contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(AsyncClient(servers[0].endpoint, fleet=fleet, timeout=60))

        def choose(path: str, request: bytes, _: bytes) -> str | None:
            if not path.endswith("/ClaimNext"):
                return None
            asked = pb.ClaimNextRequest.FromString(request)
            if asked.request_id in lost:
                return None
            lost.add(asked.request_id)
            freed.append(asyncio.ensure_future(direct.release("holder", asked.candidates[0])))
            return BREAK

        proxies = [await stack.enter_async_context(losing_answers(server.endpoint, choose)) for server in servers]
        for number in range(LOST):
            keys = [f"task:{number}-{place}" for place in range(3)]
            await direct.claim("holder", keys[0])
            endpoints = [proxy.endpoint for proxy in proxies]
            async with AsyncClient(endpoints, fleet=fleet, timeout=60) as client:
                claim = await client.claim_next(f"s-{number}", keys, ttl=600)
            await asyncio.gather(*freed)
            held = [key for key in keys if (await direct.get(key)).claim is not None]
            assert held == [claim.work_key] == [keys[1]]
            details = await direct.get(keys[1])
            assert details.claim is not None
            assert (details.claim.fencing_token, details.record.attempt) == (claim.fencing_token, 1)
    assert len(lost) == LOST
