"""Drives the engine's operations with answers written by hand, as etcd would give them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from coordinator.engine.document_codec import Document
from coordinator.engine.documents import StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import (
    AttemptEnded,
    Damaged,
    Expected,
    IsWanted,
    Lease,
    NeedLease,
    Operation,
    Step,
    TimeLeft,
)
from coordinator.engine.transaction import (
    Delete,
    KeyValue,
    Put,
    PutReply,
    Range,
    RangeReply,
    Reply,
    Txn,
    TxnReply,
    in_turn,
)
from coordinator.engine.transaction import Operation as TxnOperation
from coordinator.errors import CoordinatorError
from coordinator.keys import WorkKey
from coordinator.model import Record, State

T = TypeVar("T")
D = TypeVar("D", bound=Document)

PATHS = FleetPaths("default").of(WorkKey("task", "db-migration"))
NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEASE = Lease(0x77, NOW + HOUR, 3600.0)
#: The lease on which tests find a claim, as this replica has granted it, and what it and any other has left.
OLD_LEASE = 0x55
LEFT = 1800.0
KEPT = Lease(OLD_LEASE, NOW + HOUR / 2, LEFT)
HOLDER = "session-7f8b"
OTHER = "session-9a2c"
#: The fencing token of the live claim that tests find.
TOKEN = 10
#: The revision at which it was last written.
MODIFIED = 12


@dataclass
class Run(Generic[T]):
    """What an operation did: its steps, and its result or what it raised."""

    steps: list[Step]
    result: T | None = None
    error: CoordinatorError | None = None

    @property
    def txns(self) -> list[Txn]:
        return [step for step in self.steps if isinstance(step, Txn)]

    @property
    def ended(self) -> list[AttemptEnded]:
        return [step for step in self.steps if isinstance(step, AttemptEnded)]

    @property
    def damaged(self) -> list[bytes]:
        return [step.key for step in self.steps if isinstance(step, Damaged)]


def run(operation: Operation[T], *answers: TxnReply | Lease, wanted: bool = False) -> Run[T]:
    """Answer the operation's transactions and needs of a lease in their order; all answers must be used.

    ``wanted`` says whether others are at the work key.
    """
    left, done = list(answers), Run[T]([])
    answer: object = None
    try:
        while True:
            step = operation.send(answer)
            if isinstance(step, Expected):
                answer = None
                continue
            done.steps.append(step)
            if isinstance(step, Txn | NeedLease):
                assert left, f"no answer was written for {step}"
                answer = left.pop(0)
            elif isinstance(step, TimeLeft):
                answer = (LEFT,) * len(step.leases)
            else:
                answer = wanted if isinstance(step, IsWanted) else None
            if isinstance(step, Txn):
                _check_acceptable(step)
    except StopIteration as stop:
        done.result = stop.value
    except CoordinatorError as error:
        done.error = error
    assert not left, f"answers that were not asked for: {left}"
    return done


def _check_acceptable(txn: Txn) -> None:
    """Etcd refuses a key that is put twice in a branch, or put and deleted."""
    for branch in (txn.success, txn.failure):
        puts = [operation.key for operation in _flat(branch) if isinstance(operation, Put)]
        assert len(puts) == len(set(puts)), f"put twice: {puts}"
        for delete in (operation for operation in _flat(branch) if isinstance(operation, Delete)):
            overlap = [key for key in puts if key == delete.key or (delete.end and delete.key <= key < delete.end)]
            assert not overlap, f"put and deleted: {overlap}"


def _flat(branch: Iterable[TxnOperation]) -> list[TxnOperation]:
    operations: list[TxnOperation] = []
    for operation in branch:
        operations += _flat(operation.success) + _flat(operation.failure) if isinstance(operation, Txn) else [operation]
    return operations


def put_at(txn: Txn, key: bytes, document: type[D]) -> D:
    """Decode what a transaction's success branch writes to ``key``."""
    (value,) = [operation.value for operation in txn.success if isinstance(operation, Put) and operation.key == key]
    return document.decode(value)


def written_keys(txn: Txn) -> set[bytes]:
    return {operation.key for operation in txn.success if isinstance(operation, Put)}


def deleted_keys(txn: Txn) -> set[bytes]:
    return {operation.key for operation in txn.success if isinstance(operation, Delete)}


def a_claim(session: str = HOLDER, *, attempt: int = 1, request_id: str = "claim-1", instance: str = "") -> StoredClaim:
    return StoredClaim(
        session=session,
        attempt=attempt,
        ttl=3600.0,
        claimed_at=NOW - HOUR / 2,
        expires_at=NOW + HOUR / 2,
        request_id=request_id,
        instance=instance,
        note="half way",
    )


def a_record(
    state: State = State.CLAIMED, session: str = HOLDER, *, attempt: int = 1, request_id: str = "claim-1"
) -> StoredRecord:
    claimed = state is State.CLAIMED
    return StoredRecord(
        state=state,
        session=session,
        attempt=attempt,
        fencing_token=TOKEN,
        note="half way",
        claimed_at=NOW - HOUR / 2,
        expires_at=NOW + HOUR / 2 if claimed else NOW - HOUR / 4,
        ended_at=None if claimed else NOW - HOUR / 4,
        request_id=request_id,
    )


def reopened() -> StoredRecord:
    """The record of an attempt that redoes completed work."""
    return replace(a_record(attempt=2), completion=a_record(State.COMPLETED))


def an_end(
    session: str = HOLDER, *, attempt: int = 1, request_id: str = "", ended: State = State.ABANDONED
) -> StoredHistory:
    return StoredHistory(
        session=session,
        attempt=attempt,
        fencing_token=TOKEN,
        ended=ended,
        ended_at=NOW - HOUR / 4,
        reason="too hard",
        contenders=3,
        request_id=request_id,
    )


def kv(
    key: bytes, value: Document | bytes, *, created: int = TOKEN, modified: int = MODIFIED, lease: int = 0
) -> KeyValue:
    return KeyValue(key, value if isinstance(value, bytes) else value.encode(), created, modified, lease)


def ranged(*kvs: KeyValue, count: int | None = None) -> RangeReply:
    return RangeReply(kvs, len(kvs) if count is None else count, more=False)


def committed(revision: int = 50) -> TxnReply:
    return TxnReply(True, revision, ())


def recorded(done: Run[Record]) -> Record:
    """Return the record that an operation has returned."""
    assert done.result is not None, done.error
    return done.result


def answered(*replies: Reply, revision: int = 50) -> TxnReply:
    """The answer to a transaction that only reads."""
    return TxnReply(True, revision, replies)


def _stored(
    claim: StoredClaim | bytes | None,
    record: StoredRecord | bytes | None,
    token: int,
    lease: int = OLD_LEASE,
    at: int = MODIFIED,
) -> tuple[RangeReply, RangeReply]:
    modified = max(token, at)
    claims = [] if claim is None else [kv(PATHS.claim, claim, created=token, modified=modified, lease=lease)]
    records = [] if record is None else [kv(PATHS.record, record, modified=modified)]
    return ranged(*claims), ranged(*records)


def denied(
    claim: StoredClaim | bytes | None,
    record: StoredRecord | bytes | None,
    *,
    token: int = TOKEN,
    marked: bool = True,
    revision: int = 50,
    at: int = MODIFIED,
) -> TxnReply:
    """The ELSE of a claim; ``marked`` says whether it noted the caller as a contender, ``at`` the last change."""
    noted = claim is not None and marked
    mark = TxnReply(noted, revision, (PutReply(),) if noted else ())
    return TxnReply(False, revision, (*_stored(claim, record, token, at=at), mark))


def found(
    claim: StoredClaim | bytes | None = None,
    record: StoredRecord | bytes | None = None,
    *,
    token: int = TOKEN,
    contenders: int = 0,
    history: tuple[StoredHistory, ...] | None = None,
    succeeded: bool = True,
    lease: int = OLD_LEASE,
    at: int = MODIFIED,
    pooled: bool = False,
) -> TxnReply:
    """The answer to a read; with ``history`` that of complete, release and revoke: ``pooled`` is in the pool."""
    replies: tuple[Reply, ...] = (*_stored(claim, record, token, lease, at), ranged(count=contenders))
    if history is not None:
        replies += (ranged(count=int(pooled)), ends(*history))
    return TxnReply(succeeded, 50, replies)


def lost(
    claim: StoredClaim | bytes | None = None,
    record: StoredRecord | bytes | None = None,
    *,
    token: int = TOKEN,
    contenders: int = 0,
    history: tuple[StoredHistory, ...] = (),
    at: int = MODIFIED,
    pooled: bool = False,
) -> TxnReply:
    """The ELSE of a renewal, a completion or a release; of the latter two with the attempt's history."""
    return found(
        claim, record, token=token, contenders=contenders, history=history, succeeded=False, at=at, pooled=pooled
    )


def ends(*history: StoredHistory) -> RangeReply:
    return ranged(*(kv(PATHS.history(entry.attempt), entry) for entry in history))


def reads_only(txn: Txn) -> bool:
    in_any_case = all(compare == in_turn(compare.key) for compare in txn.compares)
    return in_any_case and all(isinstance(operation, Range) for operation in (*txn.success, *txn.failure))


#: The answer to whether an operator's request was withdrawn or done before: it is new.
NEW = answered(ranged(), ranged())
