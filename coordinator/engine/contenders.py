"""Contenders: the sessions that were denied during the present attempt, noted once each and counted at its end.

Invariant: no session contends with itself. A session is noted before it is known whose the claim is, and what was noted
of the holder's own is taken back by the request that has noted it: by its renewal, or by the denial of another process
under its name.
"""

from __future__ import annotations

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import Contender
from coordinator.engine.layout import WorkPaths
from coordinator.engine.snapshot import Snapshot
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Delete, Put, Range, Txn, is_absent, is_present, unchanged

__all__ = ["count_contenders", "note_contender", "take_mark_back"]


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


def count_contenders(paths: WorkPaths) -> Operation[int]:
    """Count the sessions that were denied during the present attempt."""
    reply = yield from commit(Txn((), (paths.read_contenders(count_only=True),)))
    return reply.range(0).total
