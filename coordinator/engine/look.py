"""Look: what the choice of one among many candidates stands on, claim and record of each, read from the store.

A ClaimNext tries its candidates one by one with ``claim.py``; in which order, and when it gives up after a look, is for
the service (``coordinator/service/next/placement.py``).

Invariants:
- A candidate is free if no claim is on it and its work is not completed. One whose claim expired unrecorded is free,
  and so is one whose values cannot be read: a try finds out.
- A look is linearizable: what it shows of a candidate was so at a moment after it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.contenders import note_contender
from coordinator.engine.documents import StoredClaim
from coordinator.engine.layout import WorkPaths
from coordinator.engine.portions import Portion
from coordinator.engine.snapshot import decode_record
from coordinator.engine.steps import Operation, Trailing, commit, decode
from coordinator.engine.transaction import KeyValue, Range, Txn, created_at, in_turn
from coordinator.model import SkipReason, State

__all__ = ["MOST_SEEN", "Sight", "contend", "look", "sight_of_record"]

#: Work keys of one look: a read each, of etcd's default of 128 operations in a transaction (``--max-txn-ops``).
MOST_SEEN = 120


class Sight(NamedTuple):
    """How a work key was at ``revision``: ``taken`` says why it could not be had, None for what was free.

    ``session`` holds it or has finished it; ``token``, ``request_id``, ``lease`` and ``expires_at`` are those of the
    live claim. ``completed_at`` is when it was finished last, if it is free or finished. Times are by the clocks of the
    replicas that wrote them.
    """

    taken: SkipReason | None
    revision: int
    session: str = ""
    token: int = 0
    request_id: str = ""
    lease: int = 0
    expires_at: datetime | None = None
    completed_at: datetime | None = None


def look(candidates: Sequence[WorkPaths]) -> Operation[tuple[Sight, ...]]:
    """Look at up to ``MOST_SEEN`` work keys of one fleet; returns one sight each, in their order.

    Their claims are read first, and then the records of those that have none. Where a claim was made in between it
    looks free, and a try finds out. With a comparison the reads travel as one transaction, and not as so many calls.
    """
    together = (in_turn(candidates[0].record),)
    reply = yield from commit(Txn(together, tuple(Range(paths.claim) for paths in candidates)))
    portion = Portion()
    sights: dict[int, Sight] = {}
    unclaimed = []
    for index, paths in enumerate(candidates):
        claims = reply.range(index).kvs
        if claims:
            yield from portion.take(claims[0])
            sights[index] = yield from _sight_of_claim(claims[0], reply.revision)
        else:
            unclaimed.append((index, paths))
    if unclaimed:
        reply = yield from commit(Txn(together, tuple(Range(paths.record) for _, paths in unclaimed)))
        for number, (index, _) in enumerate(unclaimed):
            records = reply.range(number).kvs
            if records:
                yield from portion.take(records[0])
                sights[index] = yield from sight_of_record(records[0], reply.revision, live=False)
            else:
                sights[index] = Sight(None, reply.revision)
    return tuple(sights[index] for index in range(len(candidates)))


def _sight_of_claim(kv: KeyValue, revision: int) -> Operation[Sight]:
    stored = yield from decode(StoredClaim, kv)
    if stored is None:
        return Sight(SkipReason.HELD, revision, token=kv.create_revision, lease=kv.lease)
    return Sight(
        SkipReason.HELD,
        revision,
        session=stored.session,
        token=kv.create_revision,
        request_id=stored.request_id,
        lease=kv.lease,
        expires_at=stored.expires_at,
    )


def sight_of_record(kv: KeyValue, revision: int, *, live: bool) -> Operation[Sight]:
    """Return what a record says; ``live``: what it calls claimed may be taken for held."""
    stored = yield from decode_record(kv)
    if stored is None:
        return Sight(None, revision)
    if stored.state is State.CLAIMED and live:
        return Sight(
            SkipReason.HELD,
            revision,
            session=stored.session,
            token=stored.fencing_token or 0,
            request_id=stored.request_id,
            expires_at=stored.expires_at,
        )
    completion = stored.latest_completion
    if completion is None:
        return Sight(None, revision)
    taken = None if stored.is_open else SkipReason.COMPLETED
    return Sight(taken, revision, session=completion.session, completed_at=completion.ended_at)


def contend(command: ClaimCommand, paths: WorkPaths, token: int) -> Operation[None]:
    """Have the caller noted as a contender for the live claim with this token, which it was not tried against."""
    note = note_contender(command, paths)
    of_this_claim = (created_at(paths.claim, token), *note.compares)
    yield Trailing(note._replace(compares=of_this_claim), (paths.contender(command.session), token))
