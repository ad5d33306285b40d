"""Take back: undo a grant that its caller has not been sent, because the topic is similar to an earlier one.

Invariants:
- Only a claim that is still as this run of the request has granted it is taken back. One that another try of the
  request was answered with has been written again since (``claim.py`` marks it as known), and stays.
- Work that had not been claimed before is as if it never had been: no record, no history, no loose end. Work that had
  is released as if it had been withdrawn (``withdrawal.hand_back``), which leaves it as it was before the attempt.
"""

from __future__ import annotations

from coordinator.engine.layout import WorkPaths
from coordinator.engine.lost_comparisons import TRIES
from coordinator.engine.steps import Operation, commit
from coordinator.engine.topics.signatures import off_the_list
from coordinator.engine.transaction import Delete, Range, Txn, unchanged
from coordinator.engine.withdrawal import WithdrawCommand, hand_back
from coordinator.model import Claim

__all__ = ["take_back"]


def take_back(command: WithdrawCommand, paths: WorkPaths, claim: Claim) -> Operation[bool]:
    """Undo the grant of ``claim``, which the request of ``command`` has just got; returns whether that was done."""
    if claim.attempt > 1 or not isinstance(command.sender, str):
        return (yield from hand_back(command, paths))
    token, request = claim.fencing_token, paths.request(command.sender, command.request_id)
    for _ in TRIES:
        as_listed, unlisted = yield from off_the_list(paths)
        compares = (unchanged(paths.claim, token), unchanged(paths.record, token), *as_listed)
        forgotten = (Delete(paths.claim), Delete(paths.record), paths.delete_contenders(), Delete(request), *unlisted)
        reply = yield from commit(Txn(compares, forgotten, (Range(paths.claim),)))
        if reply.succeeded:
            return True
        kvs = reply.range(0).kvs
        if not kvs or kvs[0].mod_revision != token:
            # If it is gone, that was this very transaction, whose reply was lost, and it was sent again.
            return not kvs and reply.resent
    return False
