"""Runs the engine's operations against etcd.

Invariant: an operation is started over only where it certainly has not taken effect. A lease that died under it is
such a case: etcd refuses a transaction whose branch names a missing lease, and writes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from coordinator.engine.steps import AttemptEnded, Damaged, NeedLease, Operation
from coordinator.engine.transaction import Put, Txn, TxnReply
from coordinator.errors import Contended, Refused, Unavailable
from coordinator.model import Cause
from coordinator.recorder import Recorder
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.codec import decode_txn, encode_txn
from coordinator.store.failures import LeaseGone
from coordinator.store.leases import LeasePool

__all__ = ["Runner"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
#: How often an operation is started over because its lease has died. A lease is handed out with at least the TTL left,
#: so that once is already rare: an operator has revoked it, or the host slept.
_STARTS = 3


class Runner:
    """Drives operations: transactions go to etcd, needs of a lease to the pool, events to the recorder."""

    def __init__(
        self,
        channel: EtcdChannel,
        leases: LeasePool,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._channel = channel
        self._leases = leases
        self._recorder = recorder
        self._clock = clock

    async def run(self, start: Callable[[], Operation[T]], *, deadline: float) -> T:
        """Run the operation that ``start`` makes; ``deadline`` is a reading of ``time.monotonic()``.

        Raises what the operation raises, and what ``EtcdChannel.call`` raises.
        """
        for _ in range(_STARTS):
            taken: list[int] = []
            try:
                return await self._drive(start(), taken, deadline)
            except LeaseGone:
                for lease in taken:
                    self._leases.forget(lease)
        raise Unavailable("etcd kept losing the leases of this request", retry_after_seconds=1.0)

    async def _drive(self, operation: Operation[T], taken: list[int], deadline: float) -> T:
        answer: object = None
        used: set[int] = set()
        while True:
            try:
                step = operation.send(answer)
            except StopIteration as stop:
                self._give_back(taken, used)
                result: T = stop.value
                return result
            except (Refused, Contended):
                self._give_back(taken, used)
                raise
            answer = None
            match step:
                case Txn():
                    reply = await self._commit(step, deadline)
                    if reply.succeeded:
                        used.update(put.lease for put in step.success if isinstance(put, Put) and put.lease)
                    answer = reply
                case NeedLease(ttl_seconds, outliving):
                    lease = await self._leases.lease(ttl_seconds, outliving=outliving, deadline=deadline)
                    if lease is not None:
                        taken.append(lease.id)
                    answer = lease
                case Damaged(key, problem):
                    _LOG.warning("a stored value is damaged and was skipped", extra={"key": key, "problem": problem})
                    self._recorder.value_damaged()
                case AttemptEnded():
                    self._record_end(step)

    async def _commit(self, txn: Txn, deadline: float) -> TxnReply:
        started = time.perf_counter()
        response = await self._channel.call(Methods.TXN, encode_txn(txn), deadline=deadline)
        self._recorder.transaction_done(time.perf_counter() - started)
        return decode_txn(response)

    def _give_back(self, taken: list[int], used: set[int]) -> None:
        for lease in taken:
            if lease not in used:
                self._leases.give_back(lease)

    def _record_end(self, event: AttemptEnded) -> None:
        held = None if event.claimed_at is None else max(0.0, (event.ended_at - event.claimed_at).total_seconds())
        overdue = None
        if event.cause is Cause.EXPIRED:
            overdue = max(0.0, (self._clock() - event.ended_at).total_seconds())
        self._recorder.attempt_ended(
            event.kind,
            event.ended,
            event.cause,
            late=event.late,
            contenders=event.contenders,
            held_seconds=held,
            overdue_seconds=overdue,
        )
