"""How transactions travel: alone at once, together under load, and what becomes of them when etcd does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.details import get
from coordinator.engine.finish import FinishCommand, complete
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.snapshot import read
from coordinator.engine.transaction import Put, Range, Txn, TxnReply, is_absent
from coordinator.errors import InternalError, LimitExceeded, OutcomeUnknown, Unavailable
from coordinator.keys import WorkKey
from coordinator.model import Claim, Denial, DenialReason, Record, State, WorkDetails
from coordinator.recorder import NullRecorder
from coordinator.store.batches import queue as batch_queue
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.batches.queue import BatchQueue
from coordinator.store.embedded import EmbeddedEtcd, find_etcd
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import RunningEtcd
from tests.freezing import freeze

#: The window of a lease for this TTL is 5 s wide: one that was granted before a test still serves it.
TTL = 600.0
MANY = 200


RunEtcd = Callable[[Path], AbstractContextManager[RunningEtcd]]


class Heard(NullRecorder):
    """Hears how many travelled together, and how often etcd answered."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.answered = 0
        self.sent = asyncio.Event()

    def batch_sent(self, size: int) -> None:
        self.batches.append(size)
        self.sent.set()

    def transaction_done(self, seconds: float) -> None:  # noqa: ARG002  # the protocol has it
        self.answered += 1


class Replica:
    """What one coordinator has between its callers and etcd."""

    def __init__(self, channel: EtcdChannel, fleet: str) -> None:
        self.heard = Heard()
        self.pool = LeasePool(channel)
        self.runner = Runner(channel, self.pool, self.heard)
        self.commits: GroupCommit = self.runner._commits
        self._fleet = FleetPaths(fleet)

    def paths(self, work: str) -> WorkPaths:
        return self._fleet.of(WorkKey("task", work))

    async def claim(self, work: str, session: str, request: str = "", *, within: float = 20.0) -> Claim | Denial:
        command = ClaimCommand(session, request or f"request-of-{session}", datetime.now(UTC), TTL)
        return await self.runner.run(partial(claim, command, self.paths(work)), deadline=time.monotonic() + within)

    async def complete(self, work: str, session: str) -> Record:
        command = FinishCommand(session, f"completion-by-{session}", datetime.now(UTC))
        return await self.runner.run(partial(complete, command, self.paths(work)), deadline=soon())

    async def get(self, work: str) -> WorkDetails:
        return await self.runner.run(partial(get, self.paths(work)), deadline=soon())

    def claim_txn(self, work: str, value: bytes) -> Txn:
        """A transaction that takes a key, or reads who has it."""
        key = self.paths(work).claim
        return Txn((is_absent(key),), (Put(key, value),), (Range(key),))

    async def commit(self, txn: Txn) -> TxnReply:
        return await self.commits.commit(txn, deadline=soon())

    async def sent(self) -> None:
        """Wait until a batch is under way."""
        self.heard.sent.clear()
        await self.heard.sent.wait()

    async def assert_idle(self) -> None:
        for idle in (self.commits._writes, self.commits._reads):
            assert isinstance(idle, BatchQueue)
            # Callers have their answers a moment before the batch is cleared away.
            await asyncio.gather(*idle._tasks)
            await asyncio.sleep(0)
            assert (idle._waiting, idle._queues, list(idle._turn), idle._busy, idle._tasks) == (0, {}, [], set(), set())


@pytest.fixture
def replica(etcd_channel: EtcdChannel, fleet: str) -> Replica:
    return Replica(etcd_channel, fleet)


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def settle(*coroutines: Any) -> list[Any]:
    """Run them at once; an error takes the place of a result."""
    return await asyncio.gather(*coroutines, return_exceptions=True)


class TestBatches:
    async def test_a_lone_transaction_is_sent_alone_and_at_once(self, replica: Replica) -> None:
        committing = asyncio.create_task(replica.commit(replica.claim_txn("lone", b"mine")))
        # Into the queue, out of it, and into a task: there is no timer in its way.
        for _ in range(4):
            await asyncio.sleep(0)
        assert replica.heard.batches == [1]
        assert (await committing).succeeded
        await replica.assert_idle()

    async def test_many_on_different_keys_travel_in_few_batches(self, replica: Replica) -> None:
        replies = await asyncio.gather(*(replica.commit(replica.claim_txn(f"work-{n}", b"")) for n in range(64)))
        assert all(reply.succeeded for reply in replies)
        assert sum(replica.heard.batches) == 64
        assert len(replica.heard.batches) <= 2

    async def test_no_batch_is_larger_than_etcd_takes(self, replica: Replica) -> None:
        replies = await asyncio.gather(*(replica.commit(replica.claim_txn(f"work-{n}", b"")) for n in range(1000)))
        assert all(reply.succeeded for reply in replies)
        assert max(replica.heard.batches) == 127
        assert len(replica.heard.batches) == replica.heard.answered == 8

    async def test_of_one_key_they_go_one_by_one_in_their_order(self, replica: Replica) -> None:
        key = replica.paths("one").claim
        txns = [Txn((is_absent(key + b"/%d" % n),), (), (Put(key, b"%d" % n), Put(key + b"/0", b""))) for n in range(5)]
        txns = [txn._replace(compares=(is_absent(key), *txn.compares)) for txn in txns]
        replies = await asyncio.gather(*(replica.commit(txn) for txn in txns))
        assert replica.heard.batches == [1] * 5
        assert sorted(replies, key=lambda reply: reply.revision) == replies

    async def test_reads_travel_together_too(self, replica: Replica) -> None:
        all_details = await asyncio.gather(*(replica.get("nothing") for _ in range(8)))
        counts = [Txn((), (Range(replica.paths("nothing").claim), Range(b"/", b"0", count_only=True)))] * 40
        before = replica.heard.answered
        replies = await asyncio.gather(*(replica.commit(txn) for txn in counts))
        assert all(details.record.state is State.AVAILABLE for details in all_details)
        assert len({reply.range(1).total for reply in replies}) == 1
        assert replica.heard.answered - before == 1


class TestHotKey:
    async def test_one_is_granted_and_all_others_are_denied_with_its_name(self, replica: Replica) -> None:
        answers = await asyncio.gather(*(replica.claim("hot", f"session-{n}") for n in range(MANY)))
        (granted,) = [answer for answer in answers if isinstance(answer, Claim)]
        denials = [answer for answer in answers if isinstance(answer, Denial)]
        assert len(denials) == MANY - 1
        assert {(denial.reason, denial.holder) for denial in denials} == {(DenialReason.HELD, granted.session)}

        all_others = {f"session-{n}" for n in range(MANY)} - {granted.session}
        await asyncio.gather(*replica.runner._trailing._tasks)
        assert set((await replica.get("hot")).contenders) == all_others
        assert sum(replica.heard.batches) < 10
        await replica.assert_idle()

    async def test_those_that_were_denied_do_not_hold_up_the_holder(self, replica: Replica) -> None:
        answers = await asyncio.gather(*(replica.claim("hot", f"session-{n}") for n in range(MANY)))
        (granted,) = [answer for answer in answers if isinstance(answer, Claim)]
        before = replica.heard.answered
        record = await replica.complete("hot", granted.session)
        assert record.state is State.COMPLETED
        assert replica.heard.answered - before < 10
        assert (await replica.get("hot")).contenders == ()

    async def test_a_denial_that_is_repeated_costs_no_note(self, replica: Replica) -> None:
        await replica.claim("hot", "holder")
        for _ in range(3):
            await asyncio.gather(*(replica.claim("hot", f"session-{n}") for n in range(20)))
            await asyncio.gather(*replica.runner._trailing._tasks)
        before = len(replica.heard.batches)
        denials = await asyncio.gather(*(replica.claim("hot", f"session-{n}") for n in range(20)))
        assert all(isinstance(denial, Denial) for denial in denials)
        await asyncio.gather(*replica.runner._trailing._tasks)
        assert len(replica.heard.batches) - before == 1

    async def test_many_who_read_it_for_a_change_are_answered_together(self, replica: Replica) -> None:
        paths = replica.paths("hot")
        reading = (replica.runner.run(partial(read, paths), deadline=soon()) for _ in range(MANY))
        assert len(set(await asyncio.gather(*reading))) == 1
        assert replica.heard.batches == [1]

    async def test_who_asks_after_the_send_is_not_answered_along(self, replica: Replica) -> None:
        first = asyncio.create_task(replica.commit(replica.claim_txn("hot", b"first")))
        await replica.sent()
        second = asyncio.create_task(replica.commit(replica.claim_txn("hot", b"second")))
        assert (await first).succeeded
        assert not (await second).succeeded
        assert replica.heard.batches == [1, 1]


class TestBackPressure:
    async def test_beyond_the_limit_callers_are_refused_and_nothing_leaks(
        self, replica: Replica, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await replica.claim("before", "session")
        monkeypatch.setattr(batch_queue, "MAX_WAITING", 8)
        answers = await settle(*(replica.claim(f"work-{n}", "session") for n in range(20)))
        refused = [answer for answer in answers if isinstance(answer, LimitExceeded)]
        assert sum(isinstance(answer, Claim) for answer in answers) == 8
        assert len(refused) == 12
        assert "8 transactions wait" in refused[0].message
        assert refused[0].retry_after_seconds == 1.0
        await replica.assert_idle()
        assert sum(pooled.keys for pooled in replica.pool._open) == 1 + 8
        assert isinstance(await replica.claim("work-19", "session"), Claim)

    async def test_those_who_gave_up_make_room_again(self, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batch_queue, "MAX_WAITING", 8)
        waiting = [asyncio.create_task(replica.commit(replica.claim_txn("hot", b"%d" % n))) for n in range(7)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await settle(*waiting)
        await replica.commit(replica.claim_txn("next", b""))  # once it was sent, so was all that waited before it
        replies = await settle(*(replica.commit(replica.claim_txn(f"work-{n}", b"")) for n in range(8)))
        assert all(isinstance(reply, TxnReply) and reply.succeeded for reply in replies)
        await replica.assert_idle()


class TestGivingUp:
    async def test_a_caller_that_gives_up_while_waiting_harms_no_other(self, replica: Replica) -> None:
        first = asyncio.create_task(replica.commit(replica.claim_txn("hot", b"first")))
        await replica.sent()
        waiting = [asyncio.create_task(replica.commit(replica.claim_txn("hot", b"%d" % n))) for n in range(5)]
        elsewhere = asyncio.create_task(replica.commit(replica.claim_txn("cold", b"elsewhere")))
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[3].cancel()
        answers = await settle(first, *waiting, elsewhere)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers[1:6]] == [
            True,
            False,
            False,
            True,
            False,
        ]
        assert answers[0].succeeded
        assert answers[6].succeeded
        assert {answers[n].range(0).kvs[0].value for n in (2, 3, 5)} == {b"first"}
        await replica.assert_idle()

    async def test_a_caller_that_gives_up_while_it_is_under_way_harms_no_other(self, replica: Replica) -> None:
        tasks = [asyncio.create_task(replica.commit(replica.claim_txn("hot", b"%d" % n))) for n in range(5)]
        beside = asyncio.create_task(replica.commit(replica.claim_txn("cold", b"beside")))
        await replica.sent()
        tasks[0].cancel()
        answers = await settle(*tasks, beside)
        assert isinstance(answers[0], asyncio.CancelledError)
        # It had been sent, and took effect; those behind it get that error.
        assert {answer.range(0).kvs[0].value for answer in answers[1:5]} == {b"0"}
        assert answers[5].succeeded
        assert replica.heard.batches == [2]
        await replica.assert_idle()

    async def test_what_is_said_to_have_changed_nothing_is_never_sent(self, replica: Replica) -> None:
        txn = replica.claim_txn("late", b"too late")
        late = replica.commits.commit(txn, deadline=time.monotonic() - 1)
        answers = await settle(late, replica.commit(replica.claim_txn("beside", b"")))
        assert isinstance(answers[0], Unavailable)
        assert answers[1].succeeded
        assert (await replica.get("late")).claim is None
        assert (await replica.commit(txn)).succeeded

    async def test_what_cannot_be_encoded_fails_alone(self, replica: Replica, caplog: pytest.LogCaptureFixture) -> None:
        broken = Txn((is_absent(b"/broken"),), (Put(b"/broken", b"", lease=1 << 70),))
        txns = [replica.claim_txn(f"work-{n}", b"") for n in range(6)]
        answers = await settle(*(replica.commit(txn) for txn in (*txns[:3], broken, *txns[3:])))
        assert isinstance(answers.pop(3), InternalError)
        assert all(answer.succeeded for answer in answers)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        await replica.assert_idle()


@asynccontextmanager
async def replica_of(endpoint: str) -> AsyncIterator[Replica]:
    channel = EtcdChannel([endpoint])
    try:
        yield Replica(channel, "default")
    finally:
        await channel.close()


class TestEtcdDoesNotAnswer:
    @pytest.mark.alone
    async def test_frozen_it_fails_each_call_by_its_own_deadline(self, run_etcd: RunEtcd, tmp_path: Path) -> None:
        with run_etcd(tmp_path) as etcd:
            async with replica_of(etcd.endpoint) as replica:
                await replica.claim("before", "session")
                freeze(etcd.pid)
                try:
                    await self._freeze(replica)
                finally:
                    os.kill(etcd.pid, signal.SIGCONT)
                answers = await asyncio.gather(
                    replica.claim("short", "short"), replica.claim("long", "long"), replica.claim("queued", "queued")
                )
                assert [answer.attempt for answer in answers if isinstance(answer, Claim)] == [1, 1, 1]
                for work, answer in zip(("short", "long", "queued"), answers, strict=True):
                    details = await replica.get(work)
                    assert details.history == ()
                    assert details.claim is not None
                    assert isinstance(answer, Claim)
                    assert (details.claim.session, details.claim.fencing_token) == (work, answer.fencing_token)
                await replica.assert_idle()

    @staticmethod
    async def _freeze(replica: Replica) -> None:
        took: dict[str, float] = {}

        async def failing(work: str, within: float) -> Exception:
            started = time.monotonic()
            with pytest.raises((OutcomeUnknown, Unavailable)) as caught:
                await replica.claim(work, work, within=within)
            took[work] = time.monotonic() - started
            return caught.value

        under_way = [asyncio.create_task(failing(work, within)) for work, within in (("short", 0.3), ("long", 1.5))]
        await replica.sent()
        queued = await failing("queued", 0.6)
        errors = await asyncio.gather(*under_way)
        assert [type(error) for error in errors] == [OutcomeUnknown, OutcomeUnknown]
        assert type(queued) is Unavailable
        assert 0.3 <= took["short"] < 0.6 <= took["queued"] < 1.5 <= took["long"] < 2.5

    @pytest.mark.long_but_for("3")
    @pytest.mark.parametrize("turns", [0, 3, 30])
    async def test_killed_under_load_it_grants_each_key_once(self, tmp_path: Path, turns: int) -> None:
        etcd = EmbeddedEtcd(tmp_path, find_etcd())
        await etcd.start()
        async with replica_of(etcd.endpoint) as replica:
            await replica.claim("before", "session")
            claims = asyncio.gather(
                *(replica.claim(f"work-{n}", f"session-{n}", within=1.0) for n in range(MANY)), return_exceptions=True
            )
            await replica.sent()
            for _ in range(turns):
                await asyncio.sleep(0)
            os.kill(etcd.pid, signal.SIGKILL)
            first = await claims
            await etcd.wait()
            await etcd.stop()
            assert all(isinstance(answer, Claim | OutcomeUnknown | Unavailable) for answer in first)
            assert turns or any(isinstance(answer, OutcomeUnknown) for answer in first)

            async with EmbeddedEtcd(tmp_path, find_etcd()):
                retried = await asyncio.gather(*(replica.claim(f"work-{n}", f"session-{n}") for n in range(MANY)))
                all_details = await asyncio.gather(*(replica.get(f"work-{n}") for n in range(MANY)))
        for number, (before, answer, details) in enumerate(zip(first, retried, all_details, strict=True)):
            assert isinstance(answer, Claim)
            assert (answer.session, answer.attempt) == (f"session-{number}", 1)
            if isinstance(before, Claim):
                assert answer.fencing_token == before.fencing_token
            assert details.claim is not None
            assert (details.claim.session, details.claim.fencing_token) == (answer.session, answer.fencing_token)
            assert (details.history, details.contenders) == ((), ())
