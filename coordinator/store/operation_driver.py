"""Runs the engine's operations against etcd.

Invariant: an operation is started over only if it certainly has not taken effect. A lease that has ended meanwhile is
such a case: etcd refuses a transaction whose branch names a missing lease, and writes nothing.

One that fails after it has changed something, or may have, is never said to have changed nothing: its outcome is
unknown.

An operation that was begun before a pause of this process is not continued after it: its caller is gone, or was
answered. One whose caller hangs up is not continued either, but what it has done is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TypeVar, cast

from coordinator import clock
from coordinator.engine.steps import (
    AttemptEnded,
    ClaimGranted,
    Damaged,
    Expected,
    IsWanted,
    NeedLease,
    Operation,
    Pause,
    TimeLeft,
    Trailing,
    Unfamiliar,
)
from coordinator.engine.transaction import Txn, TxnReply
from coordinator.errors import Contended, CoordinatorError, LimitExceeded, OutcomeUnknown, Refused, Unavailable
from coordinator.logs.format import log_event, said
from coordinator.process.pauses import Pauses, stood_still
from coordinator.recorder import Recorder, report
from coordinator.store.batches.group_commit import GroupCommit
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import LeaseGone
from coordinator.store.leases.pool import LeasePool
from coordinator.store.lost_replies import LostReplies
from coordinator.store.operation_state import OperationState
from coordinator.store.trailing_writes import TrailingWrites

__all__ = ["Runner"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
#: How often an operation is started over because its lease has died. A lease is handed out with at least the TTL left,
#: so that once is already rare: an operator has revoked it, or the host slept.
_STARTS = 3
#: Of many operations that go in step, how many are taken on before others have their turn: some milliseconds.
_TAKEN_ON_TOGETHER = 32
#: What an operation must wait for before it can be taken to its next transaction.
_Waits = NeedLease | TimeLeft | Pause


class Runner:
    """Drives operations: transactions go to etcd, needs of a lease to the pool, events to the recorder."""

    def __init__(
        self,
        channel: EtcdChannel,
        leases: LeasePool,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime] = clock.now,
        pauses: Pauses | None = None,
    ) -> None:
        self._pauses = pauses or Pauses()
        #: Makes the error for what etcd did not answer in time.
        self.silence = channel.silence
        self._commits = GroupCommit(channel, recorder, self._pauses)
        self._trailing = TrailingWrites(self._commits)
        self._pool = leases
        self._recorder = recorder
        self._clock = clock
        self._lost_replies = LostReplies(self._commits, self._count_found)

    def close(self) -> None:
        """Look no more for what became of changes whose replies were lost."""
        self._lost_replies.close()

    async def run(self, start: Callable[[], Operation[T]], *, deadline: float) -> T:
        """Run the operation that ``start`` makes; ``deadline`` is a reading of ``time.monotonic()``.

        Raises what the operation raises, and what ``EtcdChannel.call`` raises.
        """
        run = OperationState(start, pauses=self._pauses.count)
        reply: TxnReply | None = None
        while True:
            try:
                txn = await self._next(run, reply, deadline)
                if txn is None:
                    return cast(T, run.result)
                reply = await self._submit(run, txn, deadline)
                run.note_reply(txn, reply)
            except asyncio.CancelledError:
                self._leave(run)
                raise
            except (CoordinatorError, LeaseGone) as error:
                self._failed(run, error)
                reply = None

    async def shared(self, reading: asyncio.Future[T], *, deadline: float) -> T:
        """Wait for a reading that others wait for, too, so that no one caller's deadline ends it.

        ``deadline`` is a reading of ``time.monotonic()``. Raises what the reading raises, and at the deadline what says
        why etcd has not answered.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await asyncio.shield(reading)
        except TimeoutError:
            raise self.silence() from None

    async def run_many(self, starts: Iterable[Callable[[], Operation[T]]], *, deadline: float) -> list[T | Exception]:
        """Run several operations in step, and return for each its result or the error it ended with.

        Their transactions travel together, and cost far less than a task for each of them would.
        """
        pauses = self._pauses.count
        runs = [OperationState(start, pauses=pauses) for start in starts]
        asking: list[tuple[OperationState[T], TxnReply | None]] = [(run, None) for run in runs]
        try:
            while asking:
                asking = await self._step(asking, deadline)
        finally:
            for run in runs:
                self._leave(run)
        return [cast(T, run.result) if run.error is None else run.error for run in runs]

    async def _step(
        self, asking: list[tuple[OperationState[T], TxnReply | None]], deadline: float
    ) -> list[tuple[OperationState[T], TxnReply | None]]:
        """Take each operation to its next transaction, and return those that go on, with their replies."""
        waiting: list[tuple[OperationState[T], Txn, asyncio.Future[TxnReply]]] = []
        answered: list[tuple[OperationState[T], TxnReply | None]] = []
        for run, step in zip((run for run, _ in asking), await self._next_of_all(asking, deadline), strict=True):
            try:
                if isinstance(step, Exception):
                    raise step
                if step is not None:
                    waiting.append((run, step, self._submit(run, step, deadline)))
            except Exception as error:  # noqa: BLE001  # each operation fails for itself
                answered += self._begun_again(run, error)
        for run, txn, future in waiting:
            try:
                reply = await future
                run.note_reply(txn, reply)
                answered.append((run, reply))
            except Exception as error:  # noqa: BLE001  # likewise
                answered += self._begun_again(run, error)
        return answered

    async def _next_of_all(
        self, asking: list[tuple[OperationState[T], TxnReply | None]], deadline: float
    ) -> list[Txn | Exception | None]:
        """Take each operation to its next transaction; what must be waited for is, side by side."""
        steps: list[Txn | _Waits | Exception | None] = []
        for run, answer in asking:
            if steps and len(steps) % _TAKEN_ON_TOGETHER == 0:
                await asyncio.sleep(0)
            steps.append(self._advance_or_fail(run, answer))
        held_up = [(index, step) for index, step in enumerate(steps) if isinstance(step, _Waits)]
        past = (self._past(asking[index][0], step, deadline) for index, step in held_up)
        for (index, _), outcome in zip(held_up, await asyncio.gather(*past, return_exceptions=True), strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
            steps[index] = outcome
        return [step for step in steps if not isinstance(step, _Waits)]

    def _advance_or_fail(self, run: OperationState[T], answer: TxnReply | None) -> Txn | _Waits | Exception | None:
        try:
            return self._advance(run, answer)
        except Exception as error:  # noqa: BLE001  # each operation fails for itself
            return error

    def _submit(self, run: OperationState[T], txn: Txn, deadline: float) -> asyncio.Future[TxnReply]:
        if self._pauses.count != run.pauses:
            raise stood_still()
        future = self._commits.submit(txn, deadline=deadline, late=partial(self._conclude, run, txn))
        run.asked = (txn, future)
        return future

    def _leave(self, run: OperationState[T]) -> None:
        """End an operation from outside: what is yet to be answered is called off, what was answered is counted."""
        if run.asked is not None:
            txn, future = run.asked
            run.asked = None
            if not future.cancel() and not future.cancelled() and future.exception() is None:
                self._conclude(run, txn, future.result())

    def _begun_again(self, run: OperationState[T], error: Exception) -> list[tuple[OperationState[T], TxnReply | None]]:
        try:
            self._failed(run, error)
        except Exception as final:  # noqa: BLE001  # it is raised to the caller
            run.error = final
            return []
        return [(run, None)]

    async def _next(self, run: OperationState[T], answer: object, deadline: float) -> Txn | None:
        """Take an operation to its next transaction; None when it has ended, with its result."""
        step = self._advance(run, answer)
        return await self._past(run, step, deadline) if isinstance(step, _Waits) else step

    async def _past(self, run: OperationState[T], step: _Waits, deadline: float) -> Txn | None:
        """Answer a step that must be waited for, and take the operation to its next transaction."""
        while True:
            next_step = self._advance(run, await self._awaited(step, run, deadline))
            if not isinstance(next_step, _Waits):
                return next_step
            step = next_step

    def _advance(self, run: OperationState[T], answer: object) -> Txn | _Waits | None:
        """Take an operation to its next transaction, or to where it must wait for a lease, or gives way to others.

        None when it has ended, with its result.
        """
        expected: Expected | None = None
        run.asked = None
        try:
            while True:
                step = run.send(answer)
                if isinstance(step, Txn):
                    run.expected = expected
                    return step
                if isinstance(step, _Waits):
                    answer = self._at_hand(step, run)
                    if answer is None:
                        return step
                elif isinstance(step, IsWanted):
                    answer = self._commits.is_wanted(step.key)
                else:
                    answer = None
                    if isinstance(step, Expected):
                        expected = step
                    elif not isinstance(step, Unfamiliar):
                        self._note(step, run)
        except StopIteration as stop:
            self._give_back(run)
            run.result = stop.value
            return None

    def _at_hand(self, step: _Waits, run: OperationState[T]) -> object:
        """Answer a step that need not be waited for after all; None where it must be."""
        if isinstance(step, NeedLease):
            lease = None if step.outliving else self._pool.lease_at_hand(step.ttl_seconds)
            if lease is not None:
                run.taken.append(lease.id)
            return lease
        return self._pool.seconds_left_if_known(step.leases) if isinstance(step, TimeLeft) else None

    def _conclude(self, run: OperationState[T], txn: Txn, reply: TxnReply | None) -> None:
        """Count what a transaction has done whose reply came after its caller had gone; do not continue the operation.

        Where none comes, look for what it has done.
        """
        if reply is None:
            if run.expected is not None:
                self._lost_replies.look_for(run.expected)
            return
        run.note_reply(txn, reply)
        answer: object = reply
        try:
            while isinstance(step := run.send(answer), AttemptEnded | ClaimGranted):
                self._note(step, run)
                answer = None
        except (StopIteration, CoordinatorError):
            pass
        except Exception as error:  # noqa: BLE001  # the others of its batch are waiting
            _LOG.error("a late reply could not be interpreted", exc_info=error)
        run.operation.close()

    def _failed(self, run: OperationState[T], error: Exception) -> None:
        """Begin again if the operation failed for a lease that has died; raise the error otherwise."""
        if run.changed and isinstance(error, Contended | LimitExceeded | Unavailable):
            raise OutcomeUnknown(f"etcd gave no definite answer in time ({error.message})") from error
        if not isinstance(error, LeaseGone):
            if isinstance(error, Refused | Contended | LimitExceeded | Unavailable):
                self._give_back(run)
            raise error
        for lease in run.taken:
            self._pool.forget(lease)
        if run.starts == _STARTS:
            raise Unavailable(
                "etcd does not know the leases that it has granted for this request any more",
                hint="nothing was changed; try again; if it stays so, another program revokes leases, or etcd was "
                "restored",
                retry_after_seconds=1.0,
            ) from None
        run.begin()

    async def _awaited(self, step: _Waits, run: OperationState[T], deadline: float) -> object:
        if isinstance(step, Pause):
            await asyncio.sleep(0)
            return None
        if isinstance(step, TimeLeft):
            return await self._pool.seconds_left(step.leases, deadline=deadline)
        lease = await self._pool.lease(step.ttl_seconds, outliving=step.outliving, deadline=deadline)
        if lease.id != step.outliving:  # that one has its key
            run.taken.append(lease.id)
        return lease

    def _note(self, step: Trailing | Damaged | AttemptEnded | ClaimGranted, run: OperationState[T]) -> None:
        match step:
            case Trailing():
                self._trailing.add(step)
            case Damaged(key, problem):
                _LOG.warning("a stored value is damaged and was skipped", extra=said(key=key, problem=problem))
                self._recorder.value_damaged()
            case AttemptEnded() | ClaimGranted():
                if run.expected is not None:
                    self._lost_replies.heard(run.expected)
                self._record(step)

    def _give_back(self, run: OperationState[T]) -> None:
        for lease in run.unused:
            self._pool.give_back(lease)

    def _count_found(self, expected: Expected) -> None:
        for event in expected.events:
            self._record(event)

    def _record(self, event: AttemptEnded | ClaimGranted) -> None:
        if isinstance(event, AttemptEnded):
            log_event(
                _LOG,
                event.ended.value if event.cause is None else event.cause.value,
                fleet=event.fleet,
                work_key=event.work_key,
                session=event.session,
                attempt=event.attempt,
                late=event.late,
            )
        report(self._recorder, event, self._clock)
