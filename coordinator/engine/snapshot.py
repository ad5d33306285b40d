"""What is known of a work key: claim and record, read at one revision, and the effective state they amount to.

Invariant: a record that says ``claimed`` without a live claim is shown, and treated, as ``abandoned`` by expiry, or as
``completed`` where that attempt had reopened finished work, whether or not that has been recorded yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.engine.documents import StoredClaim, StoredHistory, StoredRecord, StoredSignature
from coordinator.engine.layout import WorkPaths
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import KeyValue, Range, RangeReply, Txn, TxnReply, in_turn
from coordinator.keys import WorkKey
from coordinator.model import Cause, Claim, HistoryEntry, Outcome, Previous, Record, State

__all__ = [
    "NOTHING_KNOWN",
    "LiveClaim",
    "Snapshot",
    "decode_record",
    "read",
    "read_along",
    "read_found",
    "reads",
    "reads_and_counts",
    "show_claim",
    "show_history",
    "show_record",
]


@dataclass(frozen=True, slots=True)
class LiveClaim:
    """A claim key that is there. ``stored`` is None if its value could not be decoded: it is held all the same."""

    stored: StoredClaim | None
    token: int
    mod_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Claim and record of a work key at one revision.

    ``record_revision`` is the record's mod_revision, 0 where there is none; ``record`` is None there, and also where
    the record is damaged. ``contenders`` is how many sessions were denied so far, None if that was not asked for.
    ``marked`` says whether the transaction that read this has noted the caller as a contender; what would have done so
    is ``deferred`` where this was learnt from another caller's transaction. ``pooled`` says whether the work is in the
    pool, None if that was not asked for. ``signature`` lists the topics that have the same words, as they were at
    ``signature_revision``; None and 0 where there are none, or that was not asked for.
    """

    claim: LiveClaim | None
    record: StoredRecord | None
    record_revision: int
    revision: int
    contenders: int | None = None
    marked: bool = False
    deferred: tuple[Txn, ...] = ()
    pooled: bool | None = None
    signature: StoredSignature | None = None
    signature_revision: int = 0

    @property
    def expired(self) -> StoredRecord | None:
        """The record of a claim that has expired and whose end has not been recorded yet."""
        if self.claim is None and self.record is not None and self.record.state is State.CLAIMED:
            return self.record
        return None


NOTHING_KNOWN = Snapshot(claim=None, record=None, record_revision=0, revision=0)


def reads(paths: WorkPaths) -> tuple[Range, Range]:
    """The operations whose answers ``read_found`` understands, to be put first in a branch."""
    return Range(paths.claim), Range(paths.record)


def reads_and_counts(paths: WorkPaths) -> tuple[Range, Range, Range]:
    """The same, with the number of contenders."""
    return (*reads(paths), paths.read_contenders(count_only=True))


def reads_for_end(paths: WorkPaths) -> tuple[Range, Range, Range, Range]:
    """The same, and whether the work is in the pool: for what is to end an attempt."""
    return (*reads_and_counts(paths), Range(paths.pool, count_only=True))


def read_found(reply: TxnReply) -> Operation[Snapshot]:
    """Interpret the answers to ``reads``, maybe followed by the noting of a contender, or those beside it here."""
    claims, records = reply.range(0).kvs, reply.range(1).kvs
    third = reply.replies[2] if len(reply.replies) > 2 else None
    fourth = reply.replies[3] if len(reply.replies) > 3 else None
    claim = record = None
    if claims:
        stored = yield from decode(StoredClaim, claims[0])
        claim = LiveClaim(stored, claims[0].create_revision, claims[0].mod_revision, claims[0].lease)
    if records:
        record = yield from decode_record(records[0])
    return Snapshot(
        claim=claim,
        record=record,
        record_revision=records[0].mod_revision if records else 0,
        revision=reply.revision,
        contenders=third.total if isinstance(third, RangeReply) else None,
        marked=isinstance(third, TxnReply) and third.succeeded,
        deferred=reply.deferred,
        pooled=bool(fourth.total) if isinstance(fourth, RangeReply) else None,
    )


def decode_record(found: KeyValue) -> Operation[StoredRecord | None]:
    """Decode a record and fill in its fencing token."""
    record = yield from decode(StoredRecord, found)
    return None if record is None else record.with_token(found.mod_revision)


def read(paths: WorkPaths) -> Operation[Snapshot]:
    """Read claim, record and the number of contenders, for a change that is to be built from them."""
    reply = yield from commit(Txn((in_turn(paths.claim),), reads_and_counts(paths)))
    return (yield from read_found(reply))


def read_along(paths: WorkPaths) -> Operation[Snapshot]:
    """Read claim and record, all who want that at once together."""
    reply = yield from commit(Txn((in_turn(paths.claim),), reads(paths)))
    return (yield from read_found(reply))


def show_claim(
    work_key: WorkKey,
    stored: StoredClaim,
    token: int,
    remaining_seconds: float,
    *,
    outcome: Outcome = Outcome.GRANTED,
    previous: Previous | None = None,
) -> Claim:
    """Show a live claim. ``remaining_seconds`` is what its lease has left, never a difference of two wall clocks."""
    return Claim(
        work_key=str(work_key),
        kind=work_key.kind,
        session=stored.session,
        attempt=stored.attempt,
        fencing_token=token,
        ttl_seconds=stored.ttl,
        claimed_at=stored.claimed_at,
        expires_at=stored.expires_at,
        remaining_seconds=remaining_seconds,
        note=stored.note or None,
        outcome=outcome,
        previous=previous,
    )


def show_record(work_key: WorkKey, stored: StoredRecord | None, *, live: bool) -> Record:
    """Show the effective state of a work key; ``live`` says whether its claim is there."""
    if stored is None:
        return Record(str(work_key), work_key.kind, State.CLAIMED if live else State.AVAILABLE)
    expired = stored.state is State.CLAIMED and not live
    if expired and stored.completion is not None and not stored.repeated:
        expired, stored = False, stored.completion
    return Record(
        work_key=str(work_key),
        kind=work_key.kind,
        state=State.ABANDONED if expired else stored.state,
        session=stored.session,
        attempt=stored.attempt,
        fencing_token=stored.fencing_token,
        cause=stored.cause or (Cause.EXPIRED if expired else None),
        reason=stored.reason or None,
        result=stored.result or None,
        note=stored.note or None,
        claimed_at=stored.claimed_at,
        expires_at=stored.expires_at,
        ended_at=stored.expires_at if expired else stored.ended_at,
        late=stored.late,
        acknowledged_at=stored.acknowledged_at,
        acknowledged_reason=stored.acknowledged_reason or None,
    )


def show_history(stored: StoredHistory) -> HistoryEntry:
    """Show an ended attempt."""
    return HistoryEntry(
        attempt=stored.attempt,
        session=stored.session,
        fencing_token=stored.fencing_token,
        claimed_at=stored.claimed_at,
        ended_at=stored.ended_at,
        ended=stored.ended,
        cause=stored.cause,
        reason=stored.reason or None,
        result=stored.result or None,
        note=stored.note or None,
        late=stored.late,
        contenders=stored.contenders,
    )
