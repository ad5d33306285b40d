"""A batch queue: transactions wait in it for their turn and are then sent together.

A lone transaction is sent at once. While a batch is under way the next one fills; it is sent when the one before it has
been answered, the event loop has come to rest, and as many wait as went last time: callers that were answered then are
likely to ask again. If fewer come, it is sent after a millisecond without a new one. That makes batches large under
load, when requests are read while a batch waits, and a lone caller never waits for a timer. A second batch is sent
beside the first only when it is full.

Invariants:
- Every waiter gets a definite answer, an error that says that nothing was changed, or ``OutcomeUnknown``, before its
  deadline; the answer depends only on what happened to its own transaction.
- Of the transactions on one work key at most one is under way, and they go in the order in which they came.
- A transaction is not sent if its deadline has passed, or if it was added before a pause of this process.
- What waits is bounded: beyond that, callers are refused before memory grows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from coordinator.engine.shared_reply import answer_from
from coordinator.engine.transaction import Txn, TxnReply, only_reads
from coordinator.errors import CoordinatorError, InternalError, LimitExceeded, Unavailable
from coordinator.process.pauses import Pauses, stood_still
from coordinator.store.batches.waiter import Waiter
from coordinator.store.batches.weight import MAX_BATCH_BYTES, MAX_OPERATIONS, has_put
from coordinator.store.etcd.errors import LeaseGone, NoSpace, silence
from coordinator.store.etcd.no_space_outcome import reply_without_space

__all__ = ["BatchQueue"]

_LOG = logging.getLogger(__name__)

#: Most transactions that wait in one queue. At 5,000 a second they would wait for two seconds.
MAX_WAITING = 10_000
MAX_UNDER_WAY = 2
#: How long a batch may go on filling while the event loop is busy or more keep coming. A loop that is never idle has
#: its callers wait far longer than this for the processor.
FILL_SECONDS = 0.02
#: A turn of the event loop that takes less than this has done nothing: an empty one takes 2 to 5 microseconds, one that
#: reads or answers a request a hundred or more.
IDLE_TURN_SECONDS = 50e-6
#: How long no transaction must have come before a batch is sent that is smaller than the last, in seconds.
QUIET_SECONDS = 0.001
#: A batch this large is sent only when it is quiet, even where it is as large as the last: among many callers more are
#: on their way, and a millisecond is little beside what each of them waits.
MANY = 8


Send = Callable[[Sequence[Waiter], float], Awaitable[Sequence[TxnReply]]]
Read = Callable[[Txn, float], Awaitable[TxnReply]]


class BatchQueue:
    """Sends what is put in, in batches. ``send`` sends one batch and returns a reply for each of its transactions.

    ``read`` sends a transaction that only reads, alone. ``silence`` makes the error for what was not answered in time.
    """

    def __init__(self, send: Send, read: Read, pauses: Pauses, silence: Callable[[], Unavailable] = silence) -> None:
        self._send = send
        self._read = read
        self._silence = silence
        self._pauses = pauses
        self._queues: dict[object, deque[Waiter]] = {}
        #: Scopes with something to send and nothing under way, in the order of their turn.
        self._turn: deque[object] = deque()
        self._busy: set[object] = set()
        self._waiting = 0
        self._scheduled = False
        self._arrived = 0
        #: How many went in the last batch, or waited to be answered along with it.
        self._last = 1
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, waiter: Waiter) -> asyncio.Future[TxnReply]:
        """Have a transaction wait for its turn; what is returned must be awaited or cancelled."""
        if self._waiting >= MAX_WAITING:
            raise LimitExceeded(
                f"{MAX_WAITING} transactions wait for etcd already",
                hint="nothing was changed; try again, and see with `coordination doctor` whether etcd is slow",
                retry_after_seconds=1.0,
            )
        loop = asyncio.get_running_loop()
        waiter.pauses, waiter.silence = self._pauses.count, self._silence
        waiter.timer = loop.call_later(max(0.0, waiter.deadline - time.monotonic()), waiter.expire)
        queue = self._queues.get(waiter.scope)
        if queue is None:
            queue = self._queues[waiter.scope] = deque()
            if waiter.scope not in self._busy:
                self._turn.append(waiter.scope)
        queue.append(waiter)
        self._waiting += 1
        self._arrived += 1
        self._schedule(loop)
        return waiter.reply

    def is_wanted(self, scope: object) -> bool:
        """Return whether transactions of a scope wait or are under way."""
        return scope in self._queues

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and self._turn and self._may_send():
            self._scheduled = True
            now = time.perf_counter()
            loop.call_soon(self._settle, loop, now, now + FILL_SECONDS)

    def _settle(self, loop: asyncio.AbstractEventLoop, before: float, latest: float) -> None:
        """Send once the loop has had an idle turn and as many have come as last time, or no more come."""
        now = time.perf_counter()
        if len(self._turn) >= MAX_OPERATIONS or now >= latest:
            self._pump()
        elif now - before > IDLE_TURN_SECONDS:
            loop.call_soon(self._settle, loop, now, latest)
        elif self._last <= self._waiting < MANY:
            self._pump()
        else:
            loop.call_later(QUIET_SECONDS, self._quiet, loop, self._arrived, latest)

    def _quiet(self, loop: asyncio.AbstractEventLoop, arrived: int, latest: float) -> None:
        if self._arrived == arrived:
            self._pump()
        else:
            self._settle(loop, time.perf_counter(), latest)

    def _may_send(self) -> bool:
        under_way = len(self._tasks)
        return not under_way or (under_way < MAX_UNDER_WAY and len(self._turn) >= MAX_OPERATIONS)

    def _pump(self) -> None:
        self._scheduled = False
        while self._turn and self._may_send():
            batch = self._take()
            if not batch:
                return
            self._last = sum(1 + waiter.followers for waiter in batch)
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._schedule(task.get_loop())
        if not task.cancelled():
            task.result()

    def _take(self) -> list[Waiter]:
        """Take the next batch: of each scope the first in its queue, as long as etcd's limits allow."""
        batch: list[Waiter] = []
        size = slots = depth = 0
        while self._turn:
            scope = self._turn[0]
            queue = self._queues[scope]
            self._drop_done(queue)
            if not queue:
                self._turn.popleft()
                del self._queues[scope]
                continue
            first = queue[0]
            size, slots, depth = size + first.size, slots + first.slots, max(depth, first.depth)
            if batch and (size > MAX_BATCH_BYTES or slots + depth > MAX_OPERATIONS):
                break
            self._turn.popleft()
            self._busy.add(scope)
            self._waiting -= 1
            queue.popleft()
            # Only who waits already is answered along: its reply must be of a moment after it asked.
            first.followers = len(queue)
            batch.append(first)
        return batch

    def _drop_done(self, queue: deque[Waiter]) -> None:
        while queue and queue[0].reply.done():
            queue.popleft()
            self._waiting -= 1

    async def _run(self, batch: list[Waiter]) -> None:
        try:
            await self._deliver(batch)
        finally:
            for waiter in batch:
                # For those left when it was ended from outside; the others have been answered.
                waiter.expire()
                self._release(waiter)

    async def _deliver(self, batch: list[Waiter]) -> None:
        """Send a batch and answer its waiters. One that etcd refuses is split, so that valid transactions succeed."""
        self._drop_late(batch)
        # A caller that has given up by now got the error that nothing was changed, or is gone.
        batch = [waiter for waiter in batch if not waiter.reply.done()]
        if not batch:
            return
        for waiter in batch:
            waiter.sent = True
        try:
            replies = await self._send(batch, max(waiter.deadline for waiter in batch))
            answered = list(zip(batch, replies, strict=True))
        except Exception as error:  # noqa: BLE001  # whatever it is, no caller must be left waiting
            await self._deliver_refused(batch, error)
        else:
            for waiter, reply in answered:
                waiter.succeed(reply)
                self._answer_along(waiter, reply)

    def _drop_late(self, batch: list[Waiter]) -> None:
        """Give up what waited too long: timers may be late themselves, after a pause or where the loop is busy."""
        now, pauses = time.monotonic(), self._pauses.count
        for waiter in batch:
            if waiter.sent:
                continue
            if waiter.pauses != pauses:
                waiter.give_up(stood_still())
            elif waiter.deadline <= now:
                waiter.give_up(self._silence())

    async def _deliver_refused(self, batch: list[Waiter], error: Exception) -> None:
        """Fail those who are to blame for an error, and deliver the others."""
        if isinstance(error, LimitExceeded):
            spared = _spared(batch)
            await asyncio.gather(*(self._fail(waiter, error) for waiter in batch if waiter not in spared))
            await self._deliver(spared)
        elif isinstance(error, CoordinatorError) and not isinstance(error, InternalError):
            for waiter in batch:
                waiter.fail(error)
        elif len(batch) > 1:
            # One that was refused as a whole was not applied; after our own fault the comparisons let it apply once.
            for waiter in batch:
                waiter.in_doubt = waiter.in_doubt or not isinstance(error, LeaseGone)
            await self._deliver(batch[: len(batch) // 2])
            await self._deliver(batch[len(batch) // 2 :])
        else:
            if not isinstance(error, LeaseGone | InternalError):
                _LOG.error("a transaction failed because of an internal error", exc_info=error)
                error = InternalError("the transaction failed inside the coordinator; its log says why")
            batch[0].fail(error)

    async def _fail(self, waiter: Waiter, error: LimitExceeded) -> None:
        """Fail one that etcd has refused; one that it says it has no space for may have been applied all the same."""
        outcome: TxnReply | CoordinatorError = error
        if isinstance(error, NoSpace) and not only_reads(waiter.txn):
            outcome = await reply_without_space(waiter.txn, error, lambda txn: self._read(txn, waiter.deadline))
        if isinstance(outcome, TxnReply):
            waiter.in_doubt = True
            waiter.succeed(outcome)
        else:
            waiter.fail(outcome)

    def _answer_along(self, leader: Waiter, reply: TxnReply) -> None:
        """Answer from a reply those that waited behind it for the same work key, up to the first that must be sent."""
        queue = self._queues[leader.scope]
        for _ in range(leader.followers):
            follower = queue[0]
            if not follower.reply.done():
                shared = answer_from(leader.txn, reply, follower.txn)
                if shared is None:
                    return
                follower.succeed(shared)
            queue.popleft()
            self._waiting -= 1

    def _release(self, waiter: Waiter) -> None:
        """Give the next of the scope its turn."""
        self._busy.discard(waiter.scope)
        queue = self._queues.get(waiter.scope)
        if queue:
            self._turn.append(waiter.scope)
        elif queue is not None:
            del self._queues[waiter.scope]


def _spared(batch: Sequence[Waiter]) -> list[Waiter]:
    """Return those that a full etcd serves still: what does not put, or else what only reads; not the whole batch."""
    for harmless in (_never_puts, only_reads):
        spared = [waiter for waiter in batch if harmless(waiter.txn)]
        if len(spared) < len(batch):
            return spared
    return []


def _never_puts(txn: Txn) -> bool:
    return not has_put(txn)
