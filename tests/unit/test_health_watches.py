"""Who watches health without a credential keeps no other out (43, 50)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NoReturn

import grpc
import pytest
from grpc_health.v1 import health_pb2

from coordinator.service import health
from coordinator.service.connections.callers import address_of
from coordinator.service.health import Health


class Aborted(Exception):
    """The call has ended with a status."""


class Call:
    """A watch, as gRPC makes it; its caller does not read while ``reading`` is unset."""

    def __init__(self, watched: Health, peer: str) -> None:
        self._peer = peer
        self.reading = asyncio.Event()
        self.reading.set()
        self.answered = 0
        self.ended: str | None = None
        self._task = asyncio.create_task(self._run(watched))

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: grpc.StatusCode, why: str) -> NoReturn:
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        self.ended = why
        raise Aborted

    async def _run(self, watched: Health) -> None:
        with contextlib.suppress(Aborted):
            async for answer in watched.Watch(health_pb2.HealthCheckRequest(), self):  # type: ignore[arg-type]  # it has what is needed
                assert answer.status == 1
                self.answered += 1
                await self.reading.wait()

    async def begins(self) -> bool:
        """Return whether it gets its first answer."""
        await settled()
        return self.answered == 1

    async def lost_its_place(self) -> bool:
        await settled()
        assert self.answered == 1
        return self.ended is not None and "went to another caller" in self.ended


async def settled() -> None:
    """Let all tasks have their turn."""
    for _ in range(5):
        await asyncio.sleep(0)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(clock=lambda: self.now)

    async def watch(self, *peers: str) -> list[Call]:
        calls = [Call(self.health, peer) for peer in peers]
        assert all([await call.begins() for call in calls])
        return calls


GREEDY = {
    "sixteen connections with four": [f"ipv4:10.0.0.1:{1000 + n // 4}" for n in range(64)],
    "sixty-four connections": [f"ipv4:10.0.0.1:{1000 + n}" for n in range(64)],
    "the addresses of one network": [f"ipv6:%5B2001:db8::{n + 1:x}%5D:7" for n in range(64)],
    "addresses of IPv4 and of IPv6 for them": [
        f"ipv{'6:%5B::ffff:10.0.0.1%5D' if n % 2 else '4:10.0.0.1'}:{n}" for n in range(64)
    ],
}


@pytest.mark.parametrize("greedy", GREEDY.values(), ids=GREEDY.keys())
async def test_an_address_that_has_all_places_gives_some_to_others_at_once(greedy: list[str]) -> None:
    world = World()
    calls = await world.watch(*greedy)
    others = await world.watch(
        *[f"ipv4:10.0.0.2:{n}" for n in range(8)], *[f"ipv6:%5B2001:db8:1::{n}%5D:7" for n in range(8)]
    )
    assert sum([await call.lost_its_place() for call in calls]) == 16
    assert not any([await call.lost_its_place() for call in others])
    # It comes back over and over, and takes none of theirs.
    world.now += 3600.0
    for number in range(100):
        await Call(world.health, f"ipv4:10.0.0.1:{5000 + number}").begins()
        world.now += 60.0
    assert not any([await call.lost_its_place() for call in others])


@pytest.mark.parametrize("peers", ["ipv4:10.0.0.1:{}", "ipv4:10.0.{}.1:1", "ipv6:%5B2001:db8:0:{}::1%5D:1", "unix:{}"])
async def test_equals_take_turns(peers: str) -> None:
    """As of callers behind one address, or an attacker with many addresses."""
    world = World()
    calls = await world.watch(*[peers.format(number) for number in range(32)])
    world.now = 1.0
    calls += await world.watch(*[peers.format(number) for number in range(32, 64)])
    assert not await Call(world.health, peers.format(64)).begins(), "none has had its turn"
    world.now = health._TURN_SECONDS
    for number in range(32):
        calls += await world.watch(peers.format(64 + number))
    assert [await call.lost_its_place() for call in calls] == [True] * 32 + [False] * 64
    assert not await Call(world.health, peers.format(99)).begins(), "none has had its turn"


async def test_a_connection_has_a_few_of_them_also_where_it_lost_its_places_and_reads_nothing() -> None:
    world = World()
    stuck = [Call(world.health, "ipv4:10.0.0.1:1") for _ in range(4)]
    for call in stuck:
        call.reading.clear()
    assert all([await call.begins() for call in stuck])
    assert not await Call(world.health, "ipv4:10.0.0.1:1").begins()
    await world.watch(*[f"ipv4:10.0.1.{number}:1" for number in range(60)])
    world.now = health._TURN_SECONDS
    await world.watch(*[f"ipv4:10.0.2.{number}:1" for number in range(64)])
    world.now *= 2
    assert not await Call(world.health, "ipv4:10.0.0.1:1").begins(), "its calls have not ended"
    for call in stuck:
        call.reading.set()
        assert await call.lost_its_place()
    assert await Call(world.health, "ipv4:10.0.0.1:1").begins()


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:5", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5", "::/64"),
        ("ipv6:%5B::ffff:10.1.2.3%5D:5", "10.1.2.3"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5", "fe80::/64"),
        ("unix:", "unix"),
        ("unix:/run/a b", "unix"),
        ("", ""),
        ("ipv4:nonsense", ""),
    ],
)
async def test_the_host_of_a_caller(peer: str, host: str) -> None:
    assert address_of(Call(Health(), peer)) == host  # type: ignore[arg-type]  # likewise
