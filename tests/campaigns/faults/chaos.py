"""The faults, and when they come: one at random every few seconds, at most one of each group at a time.

The same seed gives the same faults at the same times, as far as the machine lets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from coordinator.clock import boot_seconds
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.campaigns.faults.clients import Worker
from tests.campaigns.faults.cluster import Coordinator, Member, Setting
from tests.campaigns.faults.notes import Notes
from tests.campaigns.faults.observer import Observer
from tests.campaigns.faults.proxies import BROKEN, CALM, NO_ANSWERS, OPEN, SILENT, Relay, Weather
from tests.campaigns.stepped_clock import stepping

__all__ = ["Chaos", "fault_names"]

#: Between two faults, and how long one lasts, in seconds.
PAUSES, LENGTHS = (1.0, 4.0), (1.0, 7.0)
#: How far wall clocks go wrong, in seconds.
_STEPS = (45, -45, 200)

Undo = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class _Kind:
    """A fault: its group, how often it comes beside the others, and the method that makes it."""

    group: str
    weight: int


class Chaos:
    """Makes faults. What a fault has done is undone when it is over, and at the end."""

    def __init__(
        self, setting: Setting, workers: list[Worker], observer: Observer, notes: Notes, seed: int, *, kills: bool
    ) -> None:
        self._setting = setting
        self._workers = workers
        self._observer = observer
        self._notes = notes
        self._chance = random.Random(f"{seed} faults")
        self._kills = kills
        self._clock: Path | None = None
        self.stepped = 0

    def step_clocks(self, library: Path) -> None:
        """Let coordinators have stepped wall clocks, by a library that is loaded into them."""
        self._clock = library

    async def run(self, until: float, only: Sequence[str]) -> None:
        """Make faults until a time."""
        busy: dict[str, asyncio.Task[None]] = {}
        kinds = {name: kind for name, kind in _KINDS.items() if not only or name in only}
        if self._setting.network is None:
            kinds = {name: kind for name, kind in kinds.items() if kind.group != "peers"}
        if not self._kills:
            kinds = {name: kind for name, kind in kinds.items() if name not in _ENDS_COORDINATORS}
        try:
            while (left := until - boot_seconds()) > 0:
                await asyncio.sleep(min(left, self._chance.uniform(*PAUSES)))
                free = {name: kind for name, kind in kinds.items() if kind.group not in busy or busy[kind.group].done()}
                if boot_seconds() >= until or not free:
                    continue
                name = self._chance.choices([*free], [kind.weight for kind in free.values()])[0]
                seconds = self._chance.uniform(*LENGTHS)
                busy[free[name].group] = asyncio.create_task(self._befall(name, seconds))
        finally:
            if busy:
                await asyncio.wait(busy.values())
        for task in busy.values():
            task.result()

    async def _befall(self, name: str, seconds: float) -> None:
        began = boot_seconds()
        details = ""
        try:
            details, undo = await getattr(self, f"_{name}")()
            if undo is not None:
                await asyncio.sleep(seconds)
                await undo()
        except (AssertionError, TimeoutError, grpc.RpcError, OSError, subprocess.SubprocessError) as error:
            # Another fault has come between: there is no leader to move, or no member to ask.
            details = f"{details} not done: {type(error).__name__}"
        self._notes.line(fault=name, at=began, until=boot_seconds(), details=details)

    def _running(self, *, leader: bool | None = None) -> list[Member]:
        members = [each for each in self._setting.cluster.members if each.alive and not each.stopped]
        found = [each for each in members if isinstance(each, Member)]
        if leader is None:
            return found
        chief = self._setting.cluster.leader()
        return [each for each in found if (each is chief) == leader]

    async def _members(self, how: str, members: list[Member]) -> tuple[str, Undo]:
        for member in members:
            await asyncio.to_thread(getattr(member, how))

        async def undo() -> None:
            for member in members:
                await asyncio.to_thread(member.go_on)
            await asyncio.to_thread(self._setting.cluster.await_all)

        return ",".join(member.log.stem for member in members), undo

    async def _one(self, how: str, *, leader: bool) -> tuple[str, Undo]:
        members = await asyncio.to_thread(lambda: self._running(leader=leader))
        return await self._members(how, [self._chance.choice(members)])

    async def _stop_leader(self) -> tuple[str, Undo]:
        return await self._one("stop", leader=True)

    async def _kill_leader(self) -> tuple[str, Undo]:
        return await self._one("kill", leader=True)

    async def _stop_follower(self) -> tuple[str, Undo]:
        return await self._one("stop", leader=False)

    async def _kill_follower(self) -> tuple[str, Undo]:
        return await self._one("kill", leader=False)

    async def _stop_majority(self) -> tuple[str, Undo]:
        return await self._members("stop", self._chance.sample(self._running(), 2))

    async def _kill_majority(self) -> tuple[str, Undo]:
        return await self._members("kill", self._chance.sample(self._running(), 2))

    async def _move_leader(self) -> tuple[str, None]:
        await asyncio.to_thread(self._setting.cluster.move_leader)
        return "", None

    async def _compact(self) -> tuple[str, None]:
        revision = self._observer.revision
        await self._ask("KV/Compact", rpc.CompactionRequest(revision=revision), rpc.CompactionResponse)
        return str(revision), None

    async def _defragment(self) -> tuple[str, None]:
        # Both messages are empty, as those are.
        await self._ask("Maintenance/Defragment", rpc.StatusRequest(), rpc.CompactionResponse)
        return "", None

    async def _full_disk(self) -> tuple[str, Undo]:
        alarm = rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, alarm=rpc.NOSPACE)
        calm = rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, alarm=rpc.NOSPACE)
        raised = await self._ask("Maintenance/Alarm", alarm, rpc.AlarmResponse)

        async def undo() -> None:
            for _ in range(100):
                with contextlib.suppress(grpc.RpcError):
                    await self._ask("Maintenance/Alarm", calm, rpc.AlarmResponse)
                    return
                await asyncio.sleep(0.3)

        return f"{len(raised.alarms)} alarms", undo

    async def _ask(self, method: str, request: Any, response: Any) -> Any:
        member = self._chance.choice(self._running())
        async with grpc.aio.insecure_channel(member.endpoint) as channel:
            call: Any = channel.unary_unary(
                f"/etcdserverpb.{method}", type(request).SerializeToString, response.FromString
            )
            return await call(request, timeout=5)

    async def _coordinators(self, how: str, chosen: list[Coordinator]) -> tuple[str, Undo]:
        for each in chosen:
            await asyncio.to_thread(getattr(each, how))

        async def undo() -> None:
            for each in chosen:
                await self._bring_back(each)

        return ",".join(each.log.stem for each in chosen), undo

    async def _bring_back(self, coordinator: Coordinator) -> None:
        """Have a coordinator run again, as soon as etcd lets it."""
        while True:
            try:
                return await asyncio.to_thread(coordinator.go_on)
            except RuntimeError:
                coordinator.process = None
                await asyncio.sleep(0.5)

    async def _stop_coordinator(self) -> tuple[str, Undo]:
        return await self._coordinators("stop", [self._chance.choice(self._setting.coordinators)])

    async def _kill_coordinator(self) -> tuple[str, Undo]:
        return await self._coordinators("kill", [self._chance.choice(self._setting.coordinators)])

    async def _stop_coordinators(self) -> tuple[str, Undo]:
        return await self._coordinators("stop", self._chance.sample(self._setting.coordinators, 2))

    async def _kill_coordinators(self) -> tuple[str, Undo]:
        return await self._coordinators("kill", self._chance.sample(self._setting.coordinators, 2))

    async def _stop_reaper(self) -> tuple[str, Undo]:
        return await self._coordinators("stop", [await self._elected()])

    async def _kill_reaper(self) -> tuple[str, Undo]:
        return await self._coordinators("kill", [await self._elected()])

    async def _step_clock(self) -> tuple[str, Undo]:
        """Start a coordinator again with a wall clock that goes wrong."""
        chosen = self._chance.choice(self._setting.coordinators)
        if self._clock is not None:
            chosen.clock = stepping(self._clock, self._clock, self._chance.choice(_STEPS))
            self.stepped += 1
        return await self._coordinators("kill", [chosen])

    async def _elected(self) -> Coordinator:
        request = rpc.RangeRequest(key=b"/coordination-meta/v1/reaper/leader")
        found = await self._ask("KV/Range", request, rpc.RangeResponse)
        name = found.kvs[0].value.decode() if found.kvs else ""
        for each in self._setting.coordinators:
            if each.endpoint in name:
                return each
        return self._chance.choice(self._setting.coordinators)

    async def _weather(self, proxies: str, weather: Weather) -> tuple[str, Undo]:
        chosen = getattr(self._setting, proxies)
        for proxy in chosen:
            proxy.weather = weather

        async def undo() -> None:
            for proxy in chosen:
                proxy.weather = CALM

        return f"{weather}", undo

    async def _lose_store_answers(self) -> tuple[str, Undo]:
        return await self._weather("store", Weather(lose_answer=self._chance.uniform(0.02, 0.3)))

    async def _delay_store(self) -> tuple[str, Undo]:
        return await self._weather("store", Weather(delay=0.5, longest_delay=self._chance.uniform(0.1, 1.5)))

    async def _copy_store_requests(self) -> tuple[str, Undo]:
        return await self._weather("store", Weather(copy=0.5, longest_delay=self._chance.uniform(0.1, 3.0)))

    async def _lose_requests(self) -> tuple[str, Undo]:
        return await self._weather("front", Weather(lose_request=self._chance.uniform(0.05, 0.5)))

    async def _lose_answers(self) -> tuple[str, Undo]:
        return await self._weather("front", Weather(lose_answer=self._chance.uniform(0.05, 0.5)))

    async def _delay_calls(self) -> tuple[str, Undo]:
        return await self._weather("front", Weather(delay=0.5, longest_delay=self._chance.uniform(0.1, 3.0)))

    async def _copy_requests(self) -> tuple[str, Undo]:
        return await self._weather("front", Weather(copy=0.5, longest_delay=self._chance.uniform(0.1, 3.0)))

    async def _cut(self, relays: list[Relay]) -> tuple[str, Undo]:
        mode = self._chance.choice((SILENT, SILENT, NO_ANSWERS, BROKEN))
        for relay in relays:
            relay.set_mode(mode)

        async def undo() -> None:
            for relay in relays:
                relay.set_mode(OPEN)

        return f"{mode}: {len(relays)} links, {','.join(relay.name for relay in relays[:4])}", undo

    async def _cut_coordinator_from_store(self) -> tuple[str, Undo]:
        name = f"r{self._chance.randrange(len(self._setting.coordinators))}"
        return await self._cut([proxy.relays[name] for proxy in self._setting.store])

    async def _cut_some_links_to_store(self) -> tuple[str, Undo]:
        every = [*itertools.chain.from_iterable(proxy.relays.values() for proxy in self._setting.store)]
        return await self._cut(self._chance.sample(every, self._chance.randint(1, 6)))

    async def _cut_coordinators_from_store(self) -> tuple[str, Undo]:
        return await self._cut([*itertools.chain.from_iterable(each.relays.values() for each in self._setting.store)])

    async def _cut_clients(self) -> tuple[str, Undo]:
        every = [*itertools.chain.from_iterable(proxy.relays.values() for proxy in self._setting.front)]
        return await self._cut(self._chance.sample(every, self._chance.randint(2, 8)))

    async def _cut_all_clients(self) -> tuple[str, Undo]:
        return await self._cut([*itertools.chain.from_iterable(each.relays.values() for each in self._setting.front)])

    async def _partition(self, cuts: list[tuple[int, int]]) -> tuple[str, Undo]:
        network = self._setting.network
        assert network is not None
        for sender, receiver in cuts:
            await asyncio.to_thread(network.cut, sender, receiver)

        async def undo() -> None:
            await asyncio.to_thread(network.heal)

        return " ".join(f"m{sender}-m{receiver}" for sender, receiver in cuts), undo

    async def _leader_alone(self) -> tuple[str, Undo]:
        members = self._setting.cluster.members
        leader = members.index(await asyncio.to_thread(self._setting.cluster.leader))
        others = [number for number in range(len(members)) if number != leader]
        return await self._partition([pair for other in others for pair in ((leader, other), (other, leader))])

    async def _ring(self) -> tuple[str, Undo]:
        """Cut one side of the triangle: each member sees a majority, and no two see the same."""
        one, other = self._chance.sample(range(len(self._setting.cluster.members)), 2)
        return await self._partition([(one, other), (other, one)])

    async def _one_way(self) -> tuple[str, Undo]:
        one = self._chance.randrange(len(self._setting.cluster.members))
        others = [number for number in range(len(self._setting.cluster.members)) if number != one]
        pairs = [(one, other) for other in others]
        return await self._partition(self._chance.choice((pairs, [(other, one) for one, other in pairs])))

    async def _stop_clients(self) -> tuple[str, Undo]:
        return await self._clients("stop")

    async def _kill_clients(self) -> tuple[str, Undo]:
        return await self._clients("kill")

    async def _clients(self, how: str) -> tuple[str, Undo]:
        worker = self._chance.choice(self._workers)
        await asyncio.to_thread(getattr(worker, how))

        async def undo() -> None:
            await asyncio.sleep(self._chance.uniform(0.0, 5.0))
            await asyncio.to_thread(worker.go_on)

        return f"w{worker.number}", undo


_KINDS = {
    "stop_leader": _Kind("members", 3),
    "kill_leader": _Kind("members", 3),
    "stop_follower": _Kind("members", 2),
    "kill_follower": _Kind("members", 2),
    "stop_majority": _Kind("members", 2),
    "kill_majority": _Kind("members", 2),
    "move_leader": _Kind("members", 2),
    "leader_alone": _Kind("peers", 2),
    "ring": _Kind("peers", 2),
    "one_way": _Kind("peers", 2),
    "compact": _Kind("space", 2),
    "defragment": _Kind("space", 2),
    "full_disk": _Kind("space", 1),
    "stop_coordinator": _Kind("coordinators", 2),
    "kill_coordinator": _Kind("coordinators", 2),
    "stop_coordinators": _Kind("coordinators", 1),
    "kill_coordinators": _Kind("coordinators", 1),
    "stop_reaper": _Kind("coordinators", 2),
    "kill_reaper": _Kind("coordinators", 2),
    "step_clock": _Kind("coordinators", 2),
    "lose_store_answers": _Kind("store", 2),
    "delay_store": _Kind("store", 2),
    "copy_store_requests": _Kind("store", 2),
    "cut_coordinator_from_store": _Kind("store links", 2),
    "cut_some_links_to_store": _Kind("store links", 2),
    "cut_coordinators_from_store": _Kind("store links", 1),
    "lose_requests": _Kind("front", 2),
    "lose_answers": _Kind("front", 2),
    "delay_calls": _Kind("front", 2),
    "copy_requests": _Kind("front", 2),
    "cut_clients": _Kind("front links", 2),
    "cut_all_clients": _Kind("front links", 1),
    "stop_clients": _Kind("clients", 2),
    "kill_clients": _Kind("clients", 2),
}
_ENDS_COORDINATORS = frozenset({"kill_coordinator", "kill_coordinators", "kill_reaper", "step_clock"})


def fault_names() -> list[str]:
    """Return the names of all faults."""
    return [*_KINDS]
