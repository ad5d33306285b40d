"""Runs the engine's operations against etcd.

Invariant: an operation is started over only where it certainly has not taken effect. A lease that died under it is
such a case: etcd refuses a transaction whose branch names a missing lease, and writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from coordinator import clock
from coordinator.engine.steps import AttemptEnded, Damaged, NeedLease, Operation, Step, Trailing
from coordinator.engine.transaction import Compare, Put, Txn
from coordinator.errors import Contended, CoordinatorError, LimitExceeded, Refused, Unavailable
from coordinator.logs import said
from coordinator.model import Cause
from coordinator.recorder import Recorder
from coordinator.store.channel import EtcdChannel
from coordinator.store.failures import LeaseGone
from coordinator.store.group_commit import GroupCommit
from coordinator.store.leases import LeasePool

__all__ = ["Runner"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
#: How often an operation is started over because its lease has died. A lease is handed out with at least the TTL left,
#: so that once is already rare: an operator has revoked it, or the host slept.
_STARTS = 3
#: How many trailing transactions are remembered as applied.
_KNOWN = 10_000
#: How many of one work key are applied as one, so that other work keys still find room in the same batch.
_TRAILING_TOGETHER = 60
_TRAILING_SECONDS = 5.0


@dataclass(slots=True)
class _Leases:
    """The leases that an operation was handed, and those of them to which it has bound a key."""

    taken: list[int] = field(default_factory=list)
    used: set[int] = field(default_factory=set)


class Runner:
    """Drives operations: transactions go to etcd, needs of a lease to the pool, events to the recorder."""

    def __init__(
        self,
        channel: EtcdChannel,
        leases: LeasePool,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime] = clock.now,
    ) -> None:
        self._commits = GroupCommit(channel, recorder)
        self._pool = leases
        self._recorder = recorder
        self._clock = clock
        self._known: OrderedDict[tuple[bytes, int], None] = OrderedDict()
        #: What is yet to be applied, by the comparison that all of it starts with and by the key that it is about.
        self._trailing: dict[Compare, dict[bytes, Trailing]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, start: Callable[[], Operation[T]], *, deadline: float) -> T:
        """Run the operation that ``start`` makes; ``deadline`` is a reading of ``time.monotonic()``.

        Raises what the operation raises, and what ``EtcdChannel.call`` raises.
        """
        for _ in range(_STARTS):
            leases = _Leases()
            try:
                return await self._drive(start(), leases, deadline)
            except LeaseGone:
                for lease in leases.taken:
                    self._pool.forget(lease)
        raise Unavailable("etcd kept losing the leases of this request", retry_after_seconds=1.0)

    async def _drive(self, operation: Operation[T], leases: _Leases, deadline: float) -> T:
        answer: object = None
        try:
            while True:
                answer = await self._answer(operation.send(answer), leases, deadline)
        except StopIteration as stop:
            self._give_back(leases)
            result: T = stop.value
            return result
        except (Refused, Contended, LimitExceeded, Unavailable):
            self._give_back(leases)
            raise

    async def _answer(self, step: Step, leases: _Leases, deadline: float) -> object:
        match step:
            case Txn():
                reply = await self._commits.commit(step, deadline=deadline)
                if reply.succeeded:
                    leases.used.update(put.lease for put in step.success if isinstance(put, Put) and put.lease)
                return reply
            case NeedLease(ttl_seconds, outliving):
                lease = await self._pool.lease(ttl_seconds, outliving=outliving, deadline=deadline)
                if lease is not None:
                    leases.taken.append(lease.id)
                return lease
            case Trailing():
                self._trail(step)
            case Damaged(key, problem):
                _LOG.warning("a stored value is damaged and was skipped", extra=said(key=key, problem=problem))
                self._recorder.value_damaged()
            case AttemptEnded():
                self._record_end(step)
        return None

    def _trail(self, step: Trailing) -> None:
        """Have a transaction applied that nobody waits for, unless it is known to have been."""
        if step.known_as in self._known:
            self._known.move_to_end(step.known_as)
            return
        self._known[step.known_as] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        first = step.txn.compares[0]
        if first in self._trailing:
            self._trailing[first][step.known_as[0]] = step
            return
        self._trailing[first] = {step.known_as[0]: step}
        task = asyncio.create_task(self._apply(first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _apply(self, first: Compare) -> None:
        """Apply what trails behind one comparison, many at once: one by one they would hold up their work key."""
        steps = self._trailing[first]
        try:
            while steps:
                together = [steps.pop(key) for key in list(steps)[:_TRAILING_TOGETHER]]
                await self._apply_together(first, together)
        finally:
            del self._trailing[first]

    async def _apply_together(self, first: Compare, steps: list[Trailing]) -> None:
        txn = Txn(compares=(first,), success=tuple(step.txn for step in steps))
        try:
            await self._commits.commit(txn, deadline=time.monotonic() + _TRAILING_SECONDS)
        except CoordinatorError as error:
            for step in steps:
                self._known.pop(step.known_as, None)
            _LOG.info("a trailing transaction was not applied", extra=said(why=error.message))

    def _give_back(self, leases: _Leases) -> None:
        for lease in leases.taken:
            if lease not in leases.used:
                self._pool.give_back(lease)

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
