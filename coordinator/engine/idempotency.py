"""Once: what keeps a request that names no session from taking effect twice, or after it was withdrawn.

Such a request revokes, reopens, acknowledges or changes a policy. What it did may have been overtaken: the work was
claimed again, the policy was set to something else. A copy that arrives then, because its caller did not receive the
answer or because the network held it back, must change nothing.

Invariants:
- A request takes effect at most once on a work key or pattern, for as long as it is remembered (``remembered_for``).
  The transaction by which it takes effect compares that it was neither done nor withdrawn, and marks it as done.
- A copy of a request that was done returns what became of it. A copy of one that was withdrawn is refused.
- One id may be used for several work keys, patterns and verbs: each is a request of its own. A withdrawal covers all.

Requests of sessions need no such mark: they leave their id in the claim or in the history of their attempt.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from coordinator.engine.documents import StoredRequest
from coordinator.engine.layout import FleetPaths, NoSession, WorkPaths, encode_segment
from coordinator.engine.refusals import refuse_withdrawn
from coordinator.engine.steps import Operation, commit, decode, lease_for
from coordinator.engine.transaction import Compare, Put, Range, Txn, in_turn, is_absent
from coordinator.engine.withdrawal import remembered_for
from coordinator.keys import WorkKey

__all__ = ["Once"]


class Once(NamedTuple):
    """A request about ``subject``, by the keys that say that it was ``withdrawn`` or ``done``."""

    subject: WorkKey | str
    withdrawn: bytes
    done: bytes

    @classmethod
    def about_work(cls, verb: str, paths: WorkPaths, sender: NoSession, request_id: str) -> Once:
        """Return the request to ``verb`` a work key."""
        withdrawn = paths.request(sender, request_id)
        return cls(paths.work_key, withdrawn, withdrawn + f"/{verb}/{paths.segment}".encode())

    @classmethod
    def about_policy(cls, verb: str, paths: FleetPaths, pattern: str, request_id: str) -> Once:
        """Return an operator's request to ``verb`` the policy of a pattern."""
        withdrawn = paths.request(NoSession.OPERATOR, request_id)
        return cls(pattern, withdrawn, withdrawn + f"/{verb}/{encode_segment(pattern)}".encode())

    @property
    def wanted(self) -> tuple[Compare, Compare]:
        """It was neither withdrawn nor done: to be compared, behind the key that it waits its turn at."""
        return is_absent(self.withdrawn), is_absent(self.done)

    def earlier(self) -> Operation[StoredRequest | None]:
        """Return what an earlier copy has left, None if there was none; raises ``Refused`` if it was withdrawn."""
        reply = yield from commit(Txn((in_turn(self.done),), (Range(self.withdrawn), Range(self.done))))
        if reply.range(0).kvs:
            raise refuse_withdrawn(self.subject)
        for kv in reply.range(1).kvs:
            return (yield from decode(StoredRequest, kv)) or StoredRequest()
        return None

    def mark(self, now: datetime, *, attempt: int | None = None, had_no_effect: bool = False) -> Operation[Put]:
        """Return what marks it as done, on a lease: to ``attempt``, or to nothing if it ``had_no_effect``."""
        lease = yield from lease_for(remembered_for())
        done = StoredRequest(work_key=str(self.subject), attempt=attempt, done_at=now, had_no_effect=had_no_effect)
        return Put(self.done, done.encode(), lease.id)
