"""Which fleets there are: nobody registers one, so that they are found by where something of theirs lies."""

from __future__ import annotations

from coordinator.engine.layout import ROOT, fleet_of
from coordinator.engine.steps import Damaged, Operation, commit
from coordinator.engine.transaction import Range, Txn, end_of_prefix

__all__ = ["next_fleet"]

_ROOT = ROOT.encode()


def next_fleet(cursor: bytes | None) -> Operation[tuple[str | None, bytes | None]]:
    """Return the first fleet from ``cursor`` on, and the cursor of the next; a cursor of None begins and ends.

    The fleet is None where a key lies that belongs to none.
    """
    reply = yield from commit(Txn((), (Range(cursor or _ROOT, end_of_prefix(_ROOT), limit=1),)))
    for kv in reply.range(0).kvs:
        fleet = fleet_of(kv.key)
        if fleet is None:
            yield Damaged(kv.key, "not a key of any fleet")
            return None, kv.key + b"\0"
        return fleet, end_of_prefix(_ROOT + fleet.encode() + b"/")
    return None, None
