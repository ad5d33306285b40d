"""How the engine asks for what it cannot do itself.

An operation of the engine is a generator. It yields a step, is sent the step's answer, and returns its result; it does
no I/O and reads no clock. The steps, in the order of ``Step``:

- ``Txn``: run this transaction; answered by its ``TxnReply``, or by the ``NewerFormat`` for which it is not run.
- ``NeedLease``: a lease for a TTL is needed; answered by a ``Lease`` of this replica's own, the one named as
  ``outliving`` if that is one and lasts longer.
- ``TimeLeft``: how long do these leases last; answered by seconds for each, at most.
- ``IsWanted``: do other transactions wait for their turn at this key, at this replica; answered by yes or no.
- ``Trailing``: this transaction may be applied later than the answer is given; answered by None, at once.
- ``Damaged``: this value could not be decoded (for the log); answered by None.
- ``Unfamiliar``: this value has something that only a newer coordinator knows; answered by None. Transactions that
  follow keep it, or fail (``unfamiliar.py``).
- ``AttemptEnded``: the transaction that ended an attempt has succeeded (for the metrics); answered by None.
- ``ClaimGranted``: the transaction that made a claim has succeeded (for the metrics); answered by None.
- ``Expected``: the next transaction brings these events about, and leaves these traces by which that can be seen if its
  reply is lost; answered by None.
- ``Pause``: much was done since the last step; answered by None once others have had their turn.

``coordinator.store.operation_driver`` drives operations against etcd. In a test a list of answers does.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

from coordinator.engine.document_codec import Document, OfNewerVersion, Undecodable
from coordinator.engine.transaction import KeyValue, Txn, TxnReply
from coordinator.errors import NewerFormat
from coordinator.model import Cause, SkipReason, State

__all__ = [
    "AttemptEnded",
    "Chosen",
    "ClaimGranted",
    "Damaged",
    "Expected",
    "IsWanted",
    "Lease",
    "NeedLease",
    "Operation",
    "Pause",
    "Step",
    "TimeLeft",
    "Trace",
    "Trailing",
    "Unfamiliar",
    "commit",
    "decode",
    "is_wanted",
    "lease_for",
    "read_value",
    "time_left",
]

T = TypeVar("T")
D = TypeVar("D", bound=Document)


class NeedLease(NamedTuple):
    """A lease is needed that lasts ``ttl_seconds`` from now, and no shorter than the lease ``outliving`` (0: none).

    That one itself is the answer where this replica has granted it and it lasts long enough; for 0 seconds it does
    whatever it has left.
    """

    ttl_seconds: float
    outliving: int = 0


class Lease(NamedTuple):
    """A lease to bind a claim to, which this replica has granted itself.

    ``seconds`` is how long it certainly lasts from when it was handed out, counted on this replica's boot-time clock
    from before the grant was sent; ``expires_at`` is the same by its wall clock, for display.
    """

    id: int
    expires_at: datetime
    seconds: float


class TimeLeft(NamedTuple):
    """How long ``leases`` still last, granted by any replica: at most as long as etcd says (0 where it knows none).

    Nothing that a holder relies on: a lease that etcd has started again is ended earlier than etcd says.
    """

    leases: tuple[int, ...]


class IsWanted(NamedTuple):
    """Whether other transactions wait for their turn at ``key``, or are having it, at this replica."""

    key: bytes


class Trailing(NamedTuple):
    """A transaction that may be applied later than the answer is given; ``known_as`` names what it brings about.

    It is left out where the runner knows that an earlier one of the same name was applied.
    """

    txn: Txn
    known_as: tuple[bytes, int]


class Damaged(NamedTuple):
    """The value under ``key`` is not what a coordinator writes."""

    key: bytes
    problem: str


class Unfamiliar(NamedTuple):
    """The value under ``key`` was written by a newer coordinator.

    ``rest`` are the members of unknown name, as JSON without braces. ``newer`` says what else of it is not understood,
    so that it must not be changed; "" for nothing.
    """

    key: bytes
    rest: str
    newer: str


class AttemptEnded(NamedTuple):
    """An attempt was ended by this operation, and by no other.

    ``contenders`` is None where they were reported before: a late completion ends an attempt whose expiry was recorded.
    ``attempt`` is the one that ended, whatever the work's record describes now.
    """

    fleet: str
    work_key: str
    session: str
    attempt: int
    kind: str
    ended: State
    cause: Cause | None
    late: bool
    contenders: int | None
    claimed_at: datetime | None
    ended_at: datetime


class Chosen(NamedTuple):
    """A choice among many: the kind of the first, and how many were passed over, by their kind and the reason."""

    kind: str
    skips: Mapping[tuple[str, SkipReason], int]


class ClaimGranted(NamedTuple):
    """A claim was granted by this operation, and by no other; a repeated request that gets it grants nothing.

    ``chosen`` says how a ClaimNext came to it.
    """

    fleet: str
    kind: str
    chosen: Chosen | None = None


class Trace(NamedTuple):
    """What a transaction leaves behind under ``key``: a value that has all the ``parts`` in it."""

    key: bytes
    parts: tuple[bytes, ...]

    def is_in(self, value: bytes) -> bool:
        """Return whether it is in a value that was found under the key."""
        return all(part in value for part in self.parts)


class Expected(NamedTuple):
    """What the transaction that follows brings about; any of the ``traces`` proves that it has."""

    events: tuple[AttemptEnded | ClaimGranted, ...]
    traces: tuple[Trace, ...]


class Pause(NamedTuple):
    """A pause for others: an operation that reads much yields one after each portion (``portions``)."""


Step = (
    Txn
    | NeedLease
    | TimeLeft
    | IsWanted
    | Trailing
    | Damaged
    | Unfamiliar
    | AttemptEnded
    | ClaimGranted
    | Expected
    | Pause
)
Operation = Generator[Step, object, T]


def commit(txn: Txn) -> Operation[TxnReply]:
    """Run a transaction; raises ``NewerFormat`` where it would change what only a newer coordinator may change."""
    reply = yield txn
    if isinstance(reply, NewerFormat):
        raise reply
    if not isinstance(reply, TxnReply):
        raise TypeError("a transaction is answered by a TxnReply")
    return reply


def is_wanted(key: bytes) -> Operation[bool]:
    """Ask whether others wait for their turn at a key."""
    return (yield IsWanted(key)) is True


def lease_for(ttl_seconds: float, outliving: int = 0) -> Operation[Lease]:
    """Ask for a lease of this replica's own; ``outliving`` itself is one that it has granted and that lasts longer."""
    lease = yield NeedLease(ttl_seconds, outliving)
    if not isinstance(lease, Lease):
        raise TypeError("a need of a lease is answered by a Lease")
    return lease


def time_left(*leases: int) -> Operation[tuple[float, ...]]:
    """Ask how long leases last still, at most; answered in their order, in seconds."""
    if not leases:
        return ()
    left = yield TimeLeft(leases)
    if not isinstance(left, tuple) or len(left) != len(leases):
        raise TypeError("a question for the time that leases have left is answered by as many numbers")
    return left


def decode(document: type[D], found: KeyValue) -> Operation[D | None]:
    """Decode a value; report it and return None if that cannot be done."""
    try:
        decoded = document.decode(found.value)
    except OfNewerVersion as error:
        yield Unfamiliar(found.key, "", str(error))
        return None
    except Undecodable as error:
        yield Damaged(found.key, str(error))
        return None
    if decoded.rest or decoded.newer:
        yield Unfamiliar(found.key, decoded.rest, decoded.newer)
    return decoded


def read_value(reading: Operation[T]) -> T:
    """Return what an operation decodes from values that are there already; those that are damaged are passed over."""
    try:
        while isinstance(next(reading), Damaged | Unfamiliar):
            pass
    except StopIteration as stop:
        found: T = stop.value
        return found
    raise TypeError("to decode a value takes no step but a report of what cannot be read")
