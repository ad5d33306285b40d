"""A waiter: one transaction, and the caller that waits for its reply.

Invariant: a waiter gets a definite answer, an error that says that nothing was changed, or ``OutcomeUnknown``: what was
sent and may have taken effect is never reported as undone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.engine.transaction import Txn, TxnReply, only_reads
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable
from coordinator.store.etcd.errors import LeaseGone, silence

__all__ = ["Waiter"]


@dataclass(eq=False, slots=True)
class Waiter:
    """One transaction and the caller that waits for its reply.

    ``scope`` names what it contends for: two of one scope never travel together. ``deadline`` is a reading of
    ``time.monotonic()``; ``slots`` and ``depth`` are what it takes of etcd's limit on operations, in the batch's own
    lists and below them. ``followers`` is how many waited behind it for the same scope when its turn came, ``pauses``
    how many this process had had when it was put in; ``late`` is called with the reply where the caller is gone,
    and with None where there will be none although the transaction may have been applied.
    ``in_doubt`` is set where it may have been applied unseen.
    """

    txn: Txn
    scope: object
    size: int
    slots: int
    depth: int
    deadline: float
    reply: asyncio.Future[TxnReply]
    sent: bool = False
    in_doubt: bool = False
    pauses: int = 0
    followers: int = 0
    timer: asyncio.TimerHandle | None = None
    late: Callable[[TxnReply | None], None] | None = None
    silence: Callable[[], Unavailable] = silence

    def expire(self) -> None:
        """End the wait: the deadline has come."""
        if self.reply.done():
            return
        if self.sent and not only_reads(self.txn):
            self.reply.set_exception(OutcomeUnknown(f"etcd gave no definite answer in time ({self.silence()})"))
        else:
            self.reply.set_exception(self.silence())

    def give_up(self, error: CoordinatorError) -> None:
        """End the wait of what is not sent."""
        self._stop_timer()
        if not self.reply.done():
            self.reply.set_exception(error)

    def succeed(self, reply: TxnReply) -> None:
        """Hand over the reply."""
        self._stop_timer()
        reply = reply._replace(resent=True) if self.in_doubt else reply
        if not self.reply.done():
            self.reply.set_result(reply)
        elif self.late is not None:
            self.late(reply)

    def fail(self, error: Exception) -> None:
        """Hand over an error; each waiter raises one of its own."""
        self._stop_timer()
        unknown = self.in_doubt or isinstance(error, OutcomeUnknown)
        if unknown and self.late is not None and not isinstance(error, LeaseGone):
            self.late(None)
        if self.reply.done():
            return
        if isinstance(error, OutcomeUnknown) and only_reads(self.txn):
            error = self.silence()
        self.reply.set_exception(copy.copy(error))

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
