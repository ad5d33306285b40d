"""Answer a claim as far as that goes without granting one, and tell who holds what: for when limits are reached.

Invariant: what a limit withholds is new claims only. Who holds a claim renews it, and who asks for what another holds
or has finished is denied as ever.
"""

from __future__ import annotations

from coordinator.engine.claiming import ClaimCommand, meet_found
from coordinator.engine.documents import StoredClaim, Undecodable
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.portions import Portion
from coordinator.engine.reading import MAX_TRIES, read
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Range, Txn, end_of_prefix
from coordinator.errors import Contended
from coordinator.model import Claim, Denial
from coordinator.quotation import key

__all__ = ["claim_without_granting", "holders"]

#: Claims read at a time: with notes of 16 KiB some 2 MB, with none 40 KB.
_CHUNK = 128


def claim_without_granting(command: ClaimCommand, paths: WorkPaths) -> Operation[Claim | Denial | None]:
    """Renew what the caller holds, deny what it cannot have; None where only a new claim would do.

    The caller is not noted as a contender.
    """
    for _ in range(MAX_TRIES):
        found = yield from read(paths)
        if found.claim is None and found.record is None:
            return None
        answer = yield from meet_found(command, paths, found)
        if answer is not None:
            return answer
        if found.claim is None:
            return None
    raise Contended(f"{key(paths.work_key)} changed hands {MAX_TRIES} times meanwhile", retry_after_seconds=0.1)


def holders(paths: FleetPaths, cursor: bytes | None) -> Operation[tuple[dict[bytes, str], bytes | None]]:
    """Return the sessions of some live claims by their keys, and where the next ones begin; None starts at the first.

    A claim that cannot be read is held by "".
    """
    prefix = paths.prefix("claim")
    reply = yield from commit(Txn((), (Range(cursor or prefix, end_of_prefix(prefix), limit=_CHUNK),)))
    found = reply.range(0)
    held = {}
    portion = Portion()
    for kv in found.kvs:
        yield from portion.take(kv)
        held[kv.key] = _session(kv.value)
    return held, found.kvs[-1].key + b"\0" if found.more else None


def _session(value: bytes) -> str:
    try:
        return StoredClaim.decode(value).session
    except Undecodable:
        return ""
