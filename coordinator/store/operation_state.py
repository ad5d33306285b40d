"""The state of an operation while it runs: what it was handed, what it waits for, and how it ended.

Invariant: a lease that the operation was handed is either bound to a key by one of its transactions, or unused; what is
unused may be handed to others. Once a transaction of the operation has changed something, or may have, ``changed`` says
so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coordinator.engine.steps import Expected, Operation, Step, Unfamiliar
from coordinator.engine.transaction import Put, Txn, TxnReply, only_reads
from coordinator.engine.unfamiliar import carry_along
from coordinator.errors import NewerFormat

__all__ = ["OperationState"]

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class OperationState(Generic[T]):
    """One operation on its way.

    ``taken`` are the leases that it was handed, ``used`` those of them to which it has bound a key; ``starts`` is how
    often it was begun, ``pauses`` how many there were before. ``asked`` is its latest transaction and what the reply to
    that will be, until the operation has it; ``expected`` is what it brings about, if that is to be counted.
    ``changed``: one of its transactions has changed something, or was sent again, so that it may have.
    ``unfamiliar`` are the values that it has read and does not understand in full, by their keys.
    """

    start: Callable[[], Operation[T]]
    operation: Operation[T] = field(init=False)
    taken: list[int] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    starts: int = 0
    pauses: int = 0
    asked: tuple[Txn, asyncio.Future[TxnReply]] | None = None
    expected: Expected | None = None
    changed: bool = False
    unfamiliar: dict[bytes, Unfamiliar] = field(default_factory=dict)
    result: T | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin, or begin again."""
        self.operation = self.start()
        self.taken, self.used = [], set()
        self.unfamiliar = {}
        self.starts += 1

    def send(self, answer: object) -> Step:
        """Take the operation to its next step, none of which is ``Unfamiliar``.

        A transaction that would change what is not understood is answered with an error.
        """
        step = self.operation.send(answer)
        while isinstance(step, Unfamiliar) or (self.unfamiliar and isinstance(step, Txn)):
            if isinstance(step, Unfamiliar):
                self.unfamiliar[step.key] = step
                step = self.operation.send(None)
                continue
            try:
                return carry_along(step, self.unfamiliar)
            except NewerFormat as error:
                step = self.operation.send(error)
        return step

    def note_reply(self, txn: Txn, reply: TxnReply) -> None:
        """Note what a transaction has changed, and the leases to which it has bound keys."""
        if (reply.succeeded or reply.resent) and not only_reads(Txn((), txn.success)):
            self.changed = True
        if reply.succeeded and self.taken:
            self.used.update(put.lease for put in txn.success if isinstance(put, Put) and put.lease)

    @property
    def unused(self) -> list[int]:
        """The leases that it was handed and has bound nothing to."""
        return [lease for lease in self.taken if lease not in self.used]
