"""Contenders: the sessions that were denied during the present attempt, noted once each and counted at its end."""

from __future__ import annotations

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import Contender
from coordinator.engine.layout import WorkPaths
from coordinator.engine.snapshot import LiveClaim, Snapshot
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Delete, Put, Range, Txn, created_at, is_absent, is_present, unchanged

__all__ = ["count_contenders", "keep_mark", "note_contender", "take_mark_back"]


def note_contender(command: ClaimCommand, paths: WorkPaths) -> Txn:
    """Note the caller as a contender, once an attempt, and only while a claim is there to contend for.

    It is noted before it is known whose claim that is; ``take_mark_back`` takes it back.
    """
    key = paths.contender(command.session)
    return Txn(
        compares=(is_present(paths.claim), is_absent(key)),
        success=(Put(key, Contender(denied_at=command.now, request_id=command.request_id).encode()),),
    )


def take_mark_back(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> Operation[tuple[Txn, ...]]:
    """Return what takes back the mark that this request has made.

    One that was there before is of an earlier try, or of another process of the session that was denied: that stays.
    """
    key = paths.contender(command.session)
    made_at = found.revision if found.marked else 0
    if not found.marked:
        reply = yield from commit(Txn((), (Range(key),)))
        for kv in reply.range(0).kvs:
            contender = yield from decode(Contender, kv)
            if contender is not None and contender.request_id == command.request_id:
                made_at = kv.mod_revision
    return (Txn((unchanged(key, made_at),), (Delete(key),)),) if made_at else ()


def keep_mark(command: ClaimCommand, paths: WorkPaths, live: LiveClaim) -> Operation[None]:
    """Make the mark that was there before outlast the request that made it.

    That may have been the holder's own, which is about to take it back; a mark that names no request is never taken
    back.
    """
    key = paths.contender(command.session)
    reply = yield from commit(Txn((), (Range(key),)))
    denied_at = command.now
    for kv in reply.range(0).kvs:
        contender = yield from decode(Contender, kv)
        if contender is not None:
            if contender.request_id in ("", command.request_id):
                return
            denied_at = contender.denied_at
    kept = Contender(denied_at=denied_at)
    yield from commit(Txn((created_at(paths.claim, live.token),), (Put(key, kept.encode()),)))


def count_contenders(paths: WorkPaths) -> Operation[int]:
    """Count the sessions that were denied during the present attempt."""
    reply = yield from commit(Txn((), (paths.read_contenders(count_only=True),)))
    return reply.range(0).total
