"""Watching what happens to claims, with both clients, through coordinators that stop and connections that break."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from coordinator import AsyncClient, ClaimEvent, Client, HistoryGone, InvalidInput, LimitExceeded, Unavailable
from coordinator.engine.events import EventFilter
from coordinator.engine.layout import FleetPaths
from coordinator.recorder import NullRecorder
from coordinator.server_limits import MAX_WATCHERS_OF_A_CONNECTION
from coordinator.service.watch import queue as watch_queue
from coordinator.service.watch import watches
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Method
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.expiry_waiting import await_expiry

SECONDS = 30.0
RunCoordinator = Callable[..., contextlib.AbstractContextManager[RunningCoordinator]]


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


async def take(client: AsyncClient, events: int, **filters: Any) -> list[ClaimEvent]:
    """Return so many events."""
    found: list[ClaimEvent] = []
    async with asyncio.timeout(SECONDS), contextlib.aclosing(client.watch(**filters)) as reported:  # type: ignore[type-var]
        async for happening in reported:
            found.append(happening)
            if len(found) == events:
                return found
    raise AssertionError("the watch has ended")


def reported(happenings: Iterable[ClaimEvent]) -> list[tuple[str, str, str | None]]:
    return [(each.event.value, each.record.work_key, each.contender or each.record.session) for each in happenings]


async def some_history(client: AsyncClient) -> int:
    """Have everything happen once, and return the revision at which it begins."""
    claim = await client.claim("session-1", "task:a")
    await client.try_claim("session-2", "task:a")
    await client.try_claim("session-2", "task:a")
    await client.renew("session-1", "task:a", note="half done")
    await client.complete("session-1", "task:a", result="PR #12")
    await client.claim("session-2", "blog:b")
    await client.release("session-2", "blog:b", reason="no time")
    return claim.fencing_token


HISTORY = [
    ("granted", "task:a", "session-1"),
    ("denied", "task:a", "session-2"),
    ("renewed", "task:a", "session-1"),
    ("completed", "task:a", "session-1"),
    ("granted", "blog:b", "session-2"),
    ("abandoned", "blog:b", "session-2"),
]


class TestDelivery:
    async def test_everything_in_order(self, client: AsyncClient) -> None:
        start = await some_history(client)
        found = await take(client, len(HISTORY), start_revision=start)
        assert reported(found) == HISTORY
        assert [each.revision for each in found] == sorted(each.revision for each in found)
        assert (found[2].record.note, found[3].record.result, found[5].record.reason) == (
            "half done",
            "PR #12",
            "no time",
        )
        assert found[0].record.fencing_token == found[2].record.fencing_token == start

    async def test_38_events_have_their_times_and_denials_their_holders(self, client: AsyncClient) -> None:
        before = datetime.now(UTC)
        start = await some_history(client)
        found = await take(client, len(HISTORY), start_revision=start)
        between = datetime.now(UTC)
        again = await take(client, len(HISTORY), start_revision=start)
        assert again == found
        times = [each.at for each in found if each.at is not None]
        assert (len(times), times) == (len(found), sorted(times))
        # Times are stored in milliseconds.
        assert before - timedelta(seconds=0.001) <= min(times)
        assert max(times) <= between
        assert [each.holder for each in found] == [None, "session-1", None, None, None, None]
        assert (found[0].at, found[3].at) == (found[0].record.claimed_at, found[3].record.ended_at)
        assert times[0] < times[2]

    async def test_38_of_an_expiry_and_a_denial_after_a_new_grant(
        self, client: AsyncClient, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        start = (await client.claim("session-1", "task:a", 5)).fencing_token
        await client.renew("session-1", "task:a", 5)
        await await_expiry(etcd_channel, fleet)
        await client.claim("session-2", "task:a")
        await client.try_claim("session-3", "task:a")
        await client.try_claim("session-1", "task:a")
        found = await take(client, 6, start_revision=start)
        assert [each[0] for each in reported(found[:4])] == ["granted", "renewed", "abandoned", "granted"]
        assert [each.holder for each in found[4:]] == ["session-2", "session-2"]
        assert found[2].at == found[2].record.ended_at
        times = [each.at for each in found if each.at is not None]
        assert (len(times), times) == (6, sorted(times))
        only = await take(client, 1, start_revision=found[4].revision, session="session-3")
        assert only == [found[4]]
        details = await client.get("task:a")
        assert details.history[0].ended_at == found[2].at

    async def test_as_it_happens(self, client: AsyncClient) -> None:
        seen = (await client.list_page()).revision
        async with watching(client, seen + 1) as watch:
            for number in range(3):
                await client.claim("session-1", f"task:{number}")
                await watch.await_reported(number + 1)
        assert reported(watch.found) == [("granted", f"task:{number}", "session-1") for number in range(3)]

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({"kind": "blog"}, HISTORY[4:]),
            ({"session": "session-1"}, [HISTORY[0], HISTORY[2], HISTORY[3]]),
            ({"session": "session-2"}, [HISTORY[1], *HISTORY[4:]]),
        ],
    )
    async def test_filtered(self, client: AsyncClient, filters: dict[str, str], wanted: list[Any]) -> None:
        start = await some_history(client)
        assert reported(await take(client, len(wanted), start_revision=start, **filters)) == wanted

    async def test_claiming_what_one_holds_is_no_denial(self, client: AsyncClient) -> None:
        """It is marked as a contender for a moment, before it is known whose claim it is."""
        start = (await client.claim("session-1", "task:a")).fencing_token
        for _ in range(3):
            await client.claim("session-1", "task:a")
        later = (await client.list_page()).revision + 1
        await client.claim("session-1", "task:a")
        await client.complete("session-1", "task:a")
        everything = [("granted", "task:a", "session-1")] + [("renewed", "task:a", "session-1")] * 4
        assert reported(await take(client, 6, start_revision=start)) == [
            *everything,
            ("completed", "task:a", "session-1"),
        ]
        # Begun later, it has not seen who holds it.
        assert reported(await take(client, 2, start_revision=later))[0] == ("renewed", "task:a", "session-1")

    async def test_an_unrecorded_end_of_an_attempt_comes_before_the_next_grant(
        self, client: AsyncClient, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        claim = await client.claim("session-1", "task:a", ttl=5)
        await await_expiry(etcd_channel, fleet)
        await client.claim("session-2", "task:a")
        found = await take(client, 3, start_revision=claim.fencing_token)
        assert reported(found) == [
            ("granted", "task:a", "session-1"),
            ("abandoned", "task:a", "session-1"),
            ("granted", "task:a", "session-2"),
        ]
        assert found[1].revision == found[2].revision

    async def test_other_fleets_are_not_shown(self, client: AsyncClient, coordinator: RunningCoordinator) -> None:
        start = await some_history(client)
        async with AsyncClient(coordinator.endpoint, fleet="quite-another") as other:
            mark = await other.claim("session-9", f"task:{start}")
            await other.release("session-9", f"task:{start}")
            assert reported(await take(other, 2, start_revision=start)) == [
                ("granted", f"task:{start}", "session-9"),
                ("abandoned", f"task:{start}", "session-9"),
            ]
            assert mark.fencing_token > start

    async def test_the_synchronous_client_reports_the_same(
        self, client: AsyncClient, coordinator: RunningCoordinator, fleet: str
    ) -> None:
        start = await some_history(client)

        def watch() -> list[ClaimEvent]:
            found: list[ClaimEvent] = []
            with Client(coordinator.endpoint, fleet=fleet) as sync:
                for happening in sync.watch(start_revision=start):
                    found.append(happening)
                    if len(found) == len(HISTORY):
                        break
            return found

        assert reported(await asyncio.to_thread(watch)) == HISTORY


class TestWhatGoesWrong:
    @pytest.mark.parametrize(("wrong", "field"), [({"kind": "No Kind"}, "kind"), ({"session": "a\nb"}, "session")])
    async def test_a_bad_filter_is_refused(self, client: AsyncClient, wrong: dict[str, str], field: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            await take(client, 1, **wrong)
        assert refused.value.field == field

    async def test_a_connection_has_only_so_many(self, client: AsyncClient) -> None:
        start = await some_history(client)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MAX_WATCHERS_OF_A_CONNECTION):
                watch = await stack.enter_async_context(watching(client, start))
                await watch.await_reported(1)
            with pytest.raises(Unavailable, match=f"has {MAX_WATCHERS_OF_A_CONNECTION} watches open already"):
                await take(client, 1, start_revision=start)

    @pytest.mark.parametrize("synchronous", [False, True])
    async def test_watches_that_begin_and_break_are_not_begun_again_at_once(self, synchronous: bool) -> None:
        begun: list[float] = []

        async def watch(_: Any, context: Any) -> Any:
            begun.append(time.monotonic())
            yield pb.WatchResponse(revision=1).SerializeToString()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "it broke")

        handler = grpc.method_handlers_generic_handler(
            "coordinator.v1.CoordinatorService", {"Watch": grpc.unary_stream_rpc_method_handler(watch)}
        )
        server = grpc.aio.server(handlers=[handler])
        endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        ended = threading.Event()

        def follow() -> None:
            with Client(endpoint) as client, contextlib.suppress(InvalidInput):

                def close() -> None:
                    ended.wait()
                    client.close()

                threading.Thread(target=close, daemon=True).start()
                next(iter(client.watch()), None)

        async def follow_async() -> None:
            async with AsyncClient(endpoint) as client:
                await anext(aiter(client.watch()), None)

        following = asyncio.create_task(asyncio.to_thread(follow) if synchronous else follow_async())
        async with asyncio.timeout(SECONDS):
            while len(begun) < 6:  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.01)
        ended.set()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await server.stop(None)
        assert begun[5] - begun[0] > 5 * 0.07

    async def test_who_does_not_read_is_cut_off_and_gives_up_its_place(
        self, coordinator: RunningCoordinator, client: AsyncClient, fleet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In this process, where the limits can be lowered."""
        monkeypatch.setattr(watch_queue, "SLOW_WATCHER_SECONDS", 0.2)
        monkeypatch.setattr(watch_queue, "MAX_WAITING_EVENTS", 3)
        claim = await client.claim("session-1", "task:a")
        for number in range(8):
            await client.renew("session-1", "task:a", note=f"{number}")
        channel = EtcdChannel([coordinator.etcd])
        try:
            these = watches.Watches(channel, Runner(channel, LeasePool(channel), NullRecorder()))
            async with contextlib.aclosing(
                these.follow(FleetPaths(fleet), claim.fencing_token, EventFilter())
            ) as reported_here:
                await anext(reported_here)
                async with asyncio.timeout(SECONDS):
                    # There is no event for it: a client that does not read receives none.
                    while these.size:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                with pytest.raises(LimitExceeded, match="reads too slowly") as slow:
                    await anext(reported_here)
            revision = int(re.findall(r"from revision (\d+) on", slow.value.hint or "")[0])
            # Nothing is lost: events that were not delivered follow from there on.
            assert reported(await take(client, 1, start_revision=revision))[0][0] in ("granted", "renewed")
            assert revision <= (await client.get("task:a")).revision
        finally:
            await channel.close()

    async def test_what_is_compacted_away_is_said(
        self, run_etcd: Any, run_coordinator: RunCoordinator, tmp_path: Path
    ) -> None:
        with run_etcd(tmp_path / "etcd") as etcd, run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            async with AsyncClient(own.endpoint) as client:
                start = await some_history(client)
                await compact(etcd.endpoint, start + 3)
                with pytest.raises(HistoryGone, match="no longer available") as gone:
                    await take(client, 1, start_revision=start)
                assert "list the records" in (gone.value.hint or "")
                with pytest.raises(HistoryGone, match="does not exist yet"):
                    await take(client, 1, start_revision=start + 1_000_000)

    async def test_when_its_coordinator_stops_it_goes_on_at_another(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str
    ) -> None:
        """Stopped in good order, and killed: no event is left out or delivered twice."""
        with contextlib.ExitStack() as stack:
            coordinators = [stack.enter_context(run_coordinator("serve", "--etcd", etcd.endpoint)) for _ in range(3)]
            endpoints = [each.endpoint for each in coordinators]
            async with (
                AsyncClient(endpoints, fleet=fleet) as watcher,
                AsyncClient(endpoints[::-1], fleet=fleet) as worker,
            ):
                first = await worker.claim("session-0", "task:0")
                async with watching(watcher, first.fencing_token) as watch:
                    await watch.await_reported(1)
                    coordinators[0].process.send_signal(signal.SIGTERM)
                    await worker.claim("session-0", "task:1")
                    await watch.await_reported(2)
                    coordinators[1].process.kill()
                    await worker.claim("session-0", "task:2")
                    await watch.await_reported(3)
        assert [each.record.work_key for each in watch.found] == ["task:0", "task:1", "task:2"]

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    async def test_without_any_coordinator_it_says_so(
        self, etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str, how: signal.Signals
    ) -> None:
        """And does not hold up the end of one that stops in good order."""
        with run_coordinator("serve", "--etcd", etcd.endpoint) as own:
            async with AsyncClient(own.endpoint, fleet=fleet, timeout=2) as client:
                first = await client.claim("session-0", "task:0")
                with pytest.raises(Unavailable):
                    async with watching(client, first.fencing_token) as watch:
                        await watch.await_reported(1)
                        own.process.send_signal(how)
                        await asyncio.to_thread(own.process.wait, 8)
                        await watch.task


class Watching:
    """A watch in a task of its own."""

    def __init__(self, client: AsyncClient, start: int) -> None:
        self.found: list[ClaimEvent] = []
        self._arrived = asyncio.Condition()
        self.task = asyncio.create_task(self._watch(client, start))

    async def _watch(self, client: AsyncClient, start: int) -> None:
        async for happening in client.watch(start_revision=start):
            async with self._arrived:
                self.found.append(happening)
                self._arrived.notify_all()

    async def await_reported(self, count: int) -> None:
        """Wait until so many events have arrived."""
        async with asyncio.timeout(SECONDS), self._arrived:
            await self._arrived.wait_for(lambda: len(self.found) >= count)


@contextlib.asynccontextmanager
async def watching(client: AsyncClient, start: int) -> AsyncIterator[Watching]:
    watch = Watching(client, start)
    try:
        yield watch
    finally:
        watch.task.cancel()
        await asyncio.wait((watch.task,))


async def compact(endpoint: str, revision: int) -> None:
    channel = EtcdChannel([endpoint])
    method = Method("/etcdserverpb.KV/Compact", rpc.CompactionResponse)
    await channel.call(method, rpc.CompactionRequest(revision=revision), deadline=time.monotonic() + SECONDS)
    await channel.close()
