"""Work with long texts is done in portions: no other call waits until all of it is decoded, written down or sent (48).

What is looked at is how much is decoded and how often others have their turn, never how long that takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest

from coordinator import AsyncClient
from coordinator.engine.briefing.briefing import BriefingCommand, brief
from coordinator.engine.details import get
from coordinator.engine.document_codec import Document
from coordinator.engine.events import Holders, claim_events, watched_range
from coordinator.engine.hot_keys import HotCommand, hot
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import ListCommand, LogCommand, count_completed, list_records, log
from coordinator.engine.portions import PORTION_BYTES, PORTION_ITEMS
from coordinator.engine.scan import ended_claims, expired_claims, holders
from coordinator.engine.steps import Operation, Pause, commit
from coordinator.engine.transaction import KeyValue, Range, Txn
from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules, parse_work_key
from coordinator.limits import MAX_PAGE_BYTES, MAX_TEXT_BYTES
from coordinator.model import Claim, HistoryEntry, LogEntry, LogPage, Record, RecordPage, State, WorkDetails
from coordinator.recorder import NullRecorder
from coordinator.service import replies
from coordinator.service.claim_many import claim_many
from coordinator.service.next import CandidateLists
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningCoordinator

T = TypeVar("T")

LONG = "é\n" * (MAX_TEXT_BYTES // 3)
MANY = 40
NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as found:
        yield found


@pytest.fixture
async def written(client: AsyncClient) -> None:
    """Work with the longest texts: held, left, finished, and one work key with a long history."""
    for kind in ("held", "left", "done"):
        answers = await client.claim_many("s-1", [f"{kind}:{number}" for number in range(MANY)], note=LONG)
        assert all(isinstance(answer, Claim) for answer in answers)
    for number in range(MANY):
        await client.release("s-1", f"left:{number}", reason=LONG)
        await client.complete("s-1", f"done:{number}", result=LONG)
        await client.claim("s-1", "task:again", note=LONG)
        await client.try_claim("s-2", "task:again")
        await client.release("s-1", "task:again", reason=LONG)


class Meter:
    """Runs operations, and counts what is decoded between two of their steps."""

    def __init__(self, channel: EtcdChannel, patch: pytest.MonkeyPatch) -> None:
        self._runner = Runner(channel, LeasePool(channel), NullRecorder())
        self.pauses = self.most_items = self.most_bytes = self._items = self._bytes = 0
        decode = Document.decode.__func__  # type: ignore[attr-defined]  # a class method

        def counting(cls: type[Document], value: bytes) -> Document:
            self._items += 1
            self._bytes += len(value)
            return decode(cls, value)  # type: ignore[no-any-return]  # the document

        patch.setattr(Document, "decode", classmethod(counting))

    async def run(self, start: Callable[[], Operation[T]]) -> T:
        return await self._runner.run(lambda: self._metered(start()), deadline=time.monotonic() + 60)

    def _metered(self, operation: Operation[T]) -> Operation[T]:
        answer: object = None
        while True:
            try:
                step = operation.send(answer)
            except StopIteration as stop:
                self._note()
                return stop.value  # type: ignore[no-any-return]  # what the operation returns
            self._note()
            self.pauses += isinstance(step, Pause)
            answer = yield step

    def _note(self) -> None:
        self.most_items, self.most_bytes = max(self.most_items, self._items), max(self.most_bytes, self._bytes)
        self._items = self._bytes = 0


@pytest.fixture
def meter(etcd_channel: EtcdChannel, monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(etcd_channel, monkeypatch)


@contextlib.asynccontextmanager
async def counting_turns() -> AsyncIterator[list[int]]:
    """Count the turns that another task has."""
    turns = [0]

    async def other() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    yield turns
    task.cancel()


def _written(paths: FleetPaths) -> Operation[list[KeyValue]]:
    start, end = watched_range(paths)
    return list((yield from commit(Txn((), (Range(start, end, limit=400),)))).range(0).kvs)


@pytest.mark.long_but_for("briefing", "watch")
@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    "operation",
    ["briefing", "hot", "show", "expired", "ended", "holders", "watch"],
)
async def test_no_more_than_a_portion_is_decoded_before_others_have_their_turn(
    meter: Meter, fleet: str, operation: str
) -> None:
    paths, now = FleetPaths(fleet), datetime.now(UTC)
    starts: dict[str, Callable[[], Operation[Any]]] = {
        "briefing": partial(brief, BriefingCommand(now, max_characters=100_000), paths),
        "hot": partial(hot, HotCommand(now, max_age_seconds=86_400), paths),
        "show": partial(get, paths.of(parse_work_key("task:again"))),
        "expired": partial(expired_claims, paths, None),
        "ended": partial(ended_claims, paths, None, now + timedelta(days=1)),
        "holders": partial(holders, paths, None),
    }
    if operation == "watch":
        kvs = await meter.run(partial(_written, paths))
        starts["watch"] = partial(claim_events, paths, kvs, Holders())
    async with counting_turns() as turns:
        await meter.run(starts[operation])
    assert meter.most_bytes <= PORTION_BYTES + 4 * MAX_TEXT_BYTES
    assert meter.most_items <= PORTION_ITEMS + 2
    assert meter.pauses >= MANY * MAX_TEXT_BYTES / (PORTION_BYTES + 4 * MAX_TEXT_BYTES) - 1
    assert turns[0] >= meter.pauses


@pytest.mark.long_but_for("list")
@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("operation", ["list", "log", "status"])
async def test_pages_are_read_in_pieces_that_are_no_larger(meter: Meter, fleet: str, operation: str) -> None:
    paths, now = FleetPaths(fleet), datetime.now(UTC)
    starts: dict[str, Callable[[], Operation[Any]]] = {
        "list": partial(list_records, ListCommand(page_size=1000, session="nobody"), paths),
        "log": partial(log, LogCommand("nobody", now + timedelta(hours=1)), paths),
        "status": partial(count_completed, paths),
    }
    await meter.run(starts[operation])
    assert 0 < meter.most_bytes <= 32 * 3 * MAX_TEXT_BYTES
    assert meter.most_items <= 128


@pytest.mark.usefixtures("written")
async def test_a_briefing_of_long_texts_has_all_its_lines_and_a_bounded_size(client: AsyncClient) -> None:
    briefing = await client.briefing(max_characters=100_000)
    assert (len(briefing.taken), len(briefing.loose_ends), len(briefing.finished)) == (MANY, MANY + 1, MANY)
    shown: list[Any] = [*briefing.taken, *briefing.loose_ends, *briefing.finished]
    texts = [text for each in shown for text in (each.note, getattr(each, "reason", None)) if text]
    assert texts[0] == LONG
    assert texts[-1] == f"{LONG[:159]}…"
    assert sum(map(len, texts)) < MAX_PAGE_BYTES + len(texts) * 160
    assert briefing.markdown.count("note by s-1: ") == 2 * MANY + 1


async def test_many_operations_in_step_give_way_too(etcd_channel: EtcdChannel) -> None:
    runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())

    def number(which: int) -> Operation[int]:
        yield from ()
        return which

    async with counting_turns() as turns:
        found = await runner.run_many([partial(number, which) for which in range(320)], deadline=time.monotonic() + 60)
    assert found == list(range(320))
    assert turns[0] >= 9


async def test_answers_are_written_in_portions() -> None:
    record = Record("task:a", "task", State.ABANDONED, "s", 1, 7, note=LONG)
    entry = HistoryEntry(1, "s", 7, NOW, NOW, State.ABANDONED, reason=LONG)
    logged = LogEntry("task:a", 1, State.COMPLETED, None, NOW)
    async with counting_turns() as turns:
        page = await replies.list_reply(RecordPage((record,) * 320, None, 7))
        assert turns[0] >= 9
        details = await replies.work_details(WorkDetails(record, None, (), (entry,) * 96, 7))
        assert turns[0] >= 9 + 2
        reported = await replies.log_reply(LogPage("s", (logged,) * 320, None))
        assert turns[0] >= 9 + 2 + 9
    assert (len(page.records), len(details.history), len(reported.entries)) == (320, 96, 320)
    assert page.records[319] == replies.record(record)


async def test_items_of_one_call_are_read_and_answered_in_portions() -> None:
    def refuse(item: pb.ClaimItem) -> Any:
        raise InvalidInput(f"{item.work_key} is none", field="work_key")

    items = [pb.ClaimItem(work_key=f"task:{number}", request_id=str(number)) for number in range(320)]
    async with counting_turns() as turns:
        unused: Any = None
        results = await claim_many(items, refuse, unused, unused, unused, deadline=time.monotonic() + 60)
    assert [result.error.message for result in results] == [f"task:{number} is none" for number in range(320)]
    assert turns[0] >= 9


async def test_48_the_candidates_of_one_call_are_read_in_portions_and_those_of_several_one_after_the_other() -> None:
    lists = CandidateLists(KeyRules())
    # About what takes longest to read.
    hosts = [f"https://{'é.' * 60}com/{number}" for number in range(64)]
    requests = [pb.ClaimNextRequest(candidates=hosts[at:]) for at in range(3)]
    async with counting_turns() as turns:
        found = await asyncio.gather(
            *(lists.read(request, "", "", deadline=time.monotonic() + 60) for request in requests)
        )
    assert [len(each) for each in found] == [64, 63, 62]
    assert turns[0] >= 3 * 3
    again = await lists.read(requests[0], "", "", deadline=time.monotonic() + 60)
    assert again is found[0]


async def test_a_list_that_many_name_at_once_is_read_once() -> None:
    lists = CandidateLists(KeyRules())
    request = pb.ClaimNextRequest(candidates=[f"task:{number}" for number in range(64)])
    deadline = time.monotonic() + 60
    found = await asyncio.gather(*(lists.read(request, "", str(caller), deadline=deadline) for caller in range(3)))
    assert found[0] is found[1] is found[2]
