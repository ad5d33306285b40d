"""A reaper in this process on an etcd of its own, and a look at what it has written."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from coordinator import clock
from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.details import get
from coordinator.engine.documents import StoredHistory
from coordinator.engine.election import LEADER, MARK, Mark, read_mark
from coordinator.engine.finish import FinishCommand, complete
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Delete, Put, Txn, end_of_prefix, is_absent
from coordinator.keys import parse_work_key
from coordinator.model import Cause, Claim, Denial, Record, WorkDetails
from coordinator.process.tasks import Task, Tasks
from coordinator.reaper import Reaper, ReaperSettings
from coordinator.reaper.reconciliation import Reconciliation
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.listing import PoolLeases
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner

__all__ = ["FollowingReaper", "World", "check_recorded_once", "make_backlog", "opened", "until"]

T = TypeVar("T")
SECONDS = 30.0


@dataclass
class World:
    """An etcd, and operations on one fleet in it."""

    channel: EtcdChannel
    runner: Runner
    fleet: str

    def paths(self, work_key: str) -> WorkPaths:
        return FleetPaths(self.fleet).of(parse_work_key(work_key))

    async def run(self, start: Callable[[], Operation[T]]) -> T:
        return await self.runner.run(start, deadline=time.monotonic() + SECONDS)

    async def claim(
        self, work_key: str, ttl: float, session: str = "session-1", note: str = "", request_id: str = ""
    ) -> Claim | Denial:
        return (await self.claim_all([work_key], ttl, session, note, request_id))[0]

    async def claim_all(
        self, work_keys: Iterable[str], ttl: float, session: str = "session-1", note: str = "", request_id: str = ""
    ) -> list[Claim | Denial]:
        """Claim all of them, and return the answers."""
        claims = [
            partial(
                claim,
                ClaimCommand(
                    session=session,
                    request_id=request_id or f"{session} {work_key} {clock.now()}",
                    now=clock.now(),
                    ttl_seconds=ttl,
                    note=note,
                ),
                self.paths(work_key),
            )
            for work_key in work_keys
        ]
        answers: list[Claim | Denial] = []
        for start in range(0, len(claims), 500):
            for answer in await self.runner.run_many(claims[start : start + 500], deadline=time.monotonic() + SECONDS):
                if isinstance(answer, Exception):
                    raise answer
                answers.append(answer)
        return answers

    async def complete(self, work_key: str, session: str = "session-1") -> Record:
        command = FinishCommand(session=session, request_id=f"complete {clock.now()}", now=clock.now())
        return await self.run(partial(complete, command, self.paths(work_key)))

    async def details(self, work_key: str) -> WorkDetails:
        return await self.run(lambda: get(self.paths(work_key)))

    async def count(self, table: str) -> int:
        """Count the keys of a table, linearizably."""
        prefix = FleetPaths(self.fleet).prefix(table)
        request = rpc.RangeRequest(key=prefix, range_end=end_of_prefix(prefix), count_only=True)
        count: int = (await self.channel.call(Methods.RANGE, request, deadline=time.monotonic() + SECONDS)).count
        return count

    async def histories(self) -> list[tuple[str, StoredHistory]]:
        """Return all history entries with their keys."""
        prefix = FleetPaths(self.fleet).prefix("history")
        found: list[tuple[str, StoredHistory]] = []
        cursor = prefix
        while True:
            request = rpc.RangeRequest(key=cursor, range_end=end_of_prefix(prefix), limit=500)
            page = await self.channel.call(Methods.RANGE, request, deadline=time.monotonic() + SECONDS)
            found += [(kv.key.decode(), StoredHistory.decode(kv.value)) for kv in page.kvs]
            if not page.more:
                return found
            cursor = page.kvs[-1].key + b"\0"

    async def expire_all(self) -> None:
        """End all of the pool's leases, as etcd does when their time is up: to the reaper it looks the same."""
        leases = PoolLeases(self.channel)
        for lease in await leases.present():
            await leases.revoke(lease)

    async def claim_and_end(self, work_key: str) -> None:
        """Claim it and have etcd end the claim, as when its time is up; there must be no others."""
        await self.claim(work_key, 60)
        await self.expire_all()
        assert await self.count("claim") == 0

    async def expire_all_of(self, work_key: str) -> None:
        """End all leases that are to end as soon as a work key's does, give or take a minute."""
        leases = PoolLeases(self.channel)
        request = rpc.RangeRequest(key=self.paths(work_key).claim)
        found = await self.channel.call(Methods.RANGE, request, deadline=time.monotonic() + SECONDS)
        bound = (await leases.seconds_left(found.kvs[0].lease) or 0.0) + 60
        for lease in await leases.present():
            if (await leases.seconds_left(lease) or 0.0) <= bound:
                await leases.revoke(lease)

    async def end_election(self) -> None:
        """Take the election away from the elected replica, as if its lease had run out."""
        await self.run(lambda: commit(Txn((is_absent(b"/none"),), (Delete(LEADER),))))

    async def mark_now(self) -> Mark:
        """Return the mark of a reaper that has seen everything until now."""
        request = rpc.RangeRequest(key=b"/none")
        header = (await self.channel.call(Methods.RANGE, request, deadline=time.monotonic() + SECONDS)).header
        return Mark(revision=header.revision, cluster=f"{header.cluster_id:x}")

    async def compact(self) -> None:
        """Have etcd forget everything but the present."""
        compact = Method("/etcdserverpb.KV/Compact", rpc.CompactionResponse)
        request = rpc.CompactionRequest(revision=(await self.mark_now()).revision)
        await self.channel.call(compact, request, deadline=time.monotonic() + SECONDS)

    async def await_mark(self, revision: int = 1) -> None:
        """Wait until the reaper's mark is at that revision at least.

        One that has begun without a mark then follows what is deleted, and has gone through what is stored.
        """
        async with asyncio.timeout(SECONDS):
            while (mark := await self.run(read_mark)) is None or mark.revision < revision:  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.02)

    async def put_mark(self, mark: Mark) -> None:
        """Set the reaper's mark."""
        await self.run(lambda: commit(Txn((is_absent(b"/none"),), (Put(MARK, mark.encode()),))))

    async def await_count(self, table: str, wanted: int, seconds: float = 60.0) -> None:
        """Wait until a table has so many keys: look again whenever something of it changes."""
        await self._await_count(table, str(wanted), lambda count: count == wanted, seconds)

    async def await_count_above(self, table: str, bound: int, seconds: float = 60.0) -> None:
        """Wait until a table has more keys than that."""
        await self._await_count(table, f"more than {bound}", lambda count: count > bound, seconds)

    async def _await_count(self, table: str, wanted: str, enough: Callable[[int], bool], seconds: float) -> None:
        prefix = FleetPaths(self.fleet).prefix(table)
        call = self.channel.stream(Methods.WATCH)
        try:
            create = rpc.WatchCreateRequest(key=prefix, range_end=end_of_prefix(prefix))
            await call.write(rpc.WatchRequest(create_request=create))
            async with asyncio.timeout(seconds):
                while True:
                    await call.read()
                    if enough(await self.count(table)):
                        return
        except TimeoutError:
            raise AssertionError(
                f"{await self.count(table)} keys in {table}, not {wanted}, after {seconds} s"
            ) from None
        finally:
            call.cancel()

    @contextlib.asynccontextmanager
    async def reaping(
        self,
        name: str = "reaper-1",
        *,
        settings: ReaperSettings | None = None,
        tasks: Tasks | None = None,
        now: Callable[[], datetime] = clock.now,
        before_reaping: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncIterator[Reaper]:
        """Run a reaper while the block runs."""
        reaper = Reaper(
            self.channel, self.runner, NullRecorder(), name, settings, tasks, clock=now, before_reaping=before_reaping
        )
        async with running(reaper):
            yield reaper

    @contextlib.asynccontextmanager
    async def following(self, name: str = "reaper-1") -> AsyncIterator[FollowingReaper]:
        """Run a reaper that does not go through the records unasked while the block runs."""
        reaper = FollowingReaper(self, name)
        async with running(reaper):
            yield reaper


class CountingReconciliation(Reconciliation):
    """Counts how often the records have been gone through."""

    runs = 0

    async def run(self, task: Task) -> int:
        reaped = await super().run(task)
        self.runs += 1
        return reaped


class FollowingReaper(Reaper):
    """A whole reaper, but for one thing: it does not go through the records when a term begins, nor every hour.

    So it records what etcd reports, and goes through the records only where following finds that etcd cannot report:
    ``reconciliation`` counts how often.
    """

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.channel, world.runner, NullRecorder(), name, ReaperSettings(mark_every=0.0))
        self._reconciliation = self.reconciliation = CountingReconciliation(world.runner, clock.now, self._policies)

    async def _every(self, name: str, seconds: float, duty: Callable[[], Awaitable[object]]) -> None:
        if name == "reconciliation":
            await asyncio.Event().wait()
        await super()._every(name, seconds, duty)


@contextlib.asynccontextmanager
async def running(reaper: Reaper) -> AsyncIterator[None]:
    """Have a reaper run while the block runs."""
    task = asyncio.create_task(reaper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def make_backlog(world: World, batches: int) -> tuple[int, int]:
    """Delete so many keys among the claims, one by one, that are no claims; returns the first and last revision."""
    prefix = FleetPaths(world.fleet).prefix("claim") + b"nothing/"
    keys = [prefix + b"%d" % number for number in range(batches)]
    for start in range(0, batches, 100):
        request = rpc.TxnRequest()
        for key in keys[start : start + 100]:
            request.success.add().request_put.key = key
        await world.channel.call(Methods.TXN, request, deadline=time.monotonic() + SECONDS)

    async def delete(key: bytes) -> int:
        request = rpc.TxnRequest()
        request.success.add().request_delete_range.key = key
        response = await world.channel.call(Methods.TXN, request, deadline=time.monotonic() + SECONDS)
        revision: int = response.header.revision
        return revision

    revisions: list[int] = []
    for start in range(0, batches, 50):
        revisions += await asyncio.gather(*(delete(key) for key in keys[start : start + 50]))
    return min(revisions), max(revisions)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition that has no event when it comes true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.02)


async def check_recorded_once(world: World, claims: int) -> None:
    """Check that so many claims expired and are recorded once each, in every place."""
    histories = await world.histories()
    work_keys = [key.rsplit("/", 2)[1] for key, _ in histories]
    assert len(histories) == len(set(work_keys)) == claims
    assert {(entry.attempt, entry.cause) for _, entry in histories} == {(1, Cause.EXPIRED)}
    tables = {table: await world.count(table) for table in ("record", "ended", "loose", "claim", "contender")}
    assert tables == {"record": claims, "ended": claims, "loose": claims, "claim": 0, "contender": 0}


@contextlib.asynccontextmanager
async def opened(endpoint: str, fleet: str = "default") -> AsyncIterator[World]:
    """Open the etcd at ``endpoint``."""
    channel = EtcdChannel(endpoint.split(","))
    try:
        yield World(channel, Runner(channel, LeasePool(channel), NullRecorder()), fleet)
    finally:
        await channel.close()
