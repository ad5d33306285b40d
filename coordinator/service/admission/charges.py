"""Operations of the engine whose writes are charged to a caller's budgets.

Invariant: a transaction that a budget does not allow, or for which there is no space, is not sent. Nothing of its
operation has been written then that was not allowed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from coordinator.engine.sizes import most_written, written
from coordinator.engine.steps import Operation, Trailing
from coordinator.engine.transaction import Put, Txn, TxnReply
from coordinator.errors import LimitExceeded
from coordinator.service.admission.budgets import Payer, WriteBudgets
from coordinator.store.operation_driver import Runner
from coordinator.store.storage_quota import SpaceWatch

__all__ = ["Metered", "Metering"]

T = TypeVar("T")
#: Trailing transactions that are remembered, as many as the runner does: it leaves out what it has applied.
_KNOWN = 10_000


class Metered:
    """How one operation is counted.

    With ``keeping`` it keeps or ends what is held, and may use more of its budgets. Where there is a ``withheld``,
    which else says why not, nothing may be written. ``refusal`` is why the operation was not gone on with, if so.
    """

    def __init__(
        self,
        budgets: WriteBudgets,
        payer: Payer,
        known: OrderedDict[tuple[bytes, int], None],
        *,
        keeping: bool,
        withheld: LimitExceeded | None,
    ) -> None:
        self._budgets = budgets
        self._payer = payer
        self._known = known
        self._keeping = keeping
        self._withheld = withheld
        self.refusal: LimitExceeded | None = None

    def of(self, start: Callable[[], Operation[T]]) -> Callable[[], Operation[T]]:
        """Return what makes the operation that ``start`` makes, counted."""
        return partial(self._count, start)

    def _count(self, start: Callable[[], Operation[T]]) -> Operation[T]:
        operation = start()
        answer: object = None
        try:
            while True:
                step = operation.send(answer)
                if isinstance(step, Txn) and (size := most_written(step) + self._of_end(step)):
                    self._take(size)
                    answer = yield step
                    if isinstance(answer, TxnReply):
                        spared = size - written(step, answer) - (self._of_end(step) if answer.succeeded else 0)
                        self._budgets.give_back(self._payer, spared)
                    else:  # it was not run
                        self._budgets.give_back(self._payer, size)
                elif isinstance(step, Trailing) and not self._may_trail(step):
                    answer = None
                else:
                    answer = yield step
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            operation.close()

    def _of_end(self, txn: Txn) -> int:
        """Return what is counted for the end of what is bound to a lease: it is written down then, by no request."""
        if self._keeping:
            return 0
        return sum(len(each.key) + len(each.value) for each in txn.success if isinstance(each, Put) and each.lease)

    def _take(self, size: int) -> None:
        try:
            if self._withheld is not None and not self._keeping:
                raise self._withheld
            self._budgets.take(self._payer, size, keeping=self._keeping)
        except LimitExceeded as error:
            self.refusal = error
            raise

    def _may_trail(self, step: Trailing) -> bool:
        """Count the mark of a contender; one that cannot be afforded is left out, and the denial stands."""
        if step.known_as in self._known:
            return True
        if self._withheld is not None:
            return False
        try:
            self._budgets.take(self._payer, most_written(step.txn), keeping=False)
        except LimitExceeded:
            return False
        self._known[step.known_as] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return True


class Metering:
    """Has operations run by ``runner``, as far as ``budgets`` and ``space`` allow."""

    def __init__(self, runner: Runner, budgets: WriteBudgets, space: SpaceWatch) -> None:
        self._runner = runner
        self._budgets = budgets
        self._space = space
        self._known: OrderedDict[tuple[bytes, int], None] = OrderedDict()

    def meter(self, payer: Payer, *, keeping: bool = False, withheld: LimitExceeded | None = None) -> Metered:
        """Return how to count an operation."""
        return Metered(self._budgets, payer, self._known, keeping=keeping, withheld=withheld)

    async def run(self, start: Callable[[], Operation[T]], payer: Payer, *, keeping: bool, deadline: float) -> T:
        """Run an operation that grants nothing; raises ``LimitExceeded`` where it may not write.

        Near the quota only what is ``keeping`` may.
        """
        metered = self.meter(payer, keeping=keeping, withheld=self._space.refusal())
        return await self._runner.run(metered.of(start), deadline=deadline)

    async def run_many(
        self, starts: Sequence[tuple[Callable[[], Operation[T]], bool]], payer: Payer, *, deadline: float
    ) -> list[T | Exception]:
        """Run several such operations in step, each with whether it is ``keeping``."""
        refusal = self._space.refusal()
        metered = [self.meter(payer, keeping=keeping, withheld=refusal).of(start) for start, keeping in starts]
        return await self._runner.run_many(metered, deadline=deadline)
