"""A request to claim, and which claims and records are its own.

Invariants:
- A claim is a session's own if the session proves it: by the claim's token, or by being the process that made it. What
  another process of the session holds is not.
- A request is recognized by session and request_id, in the claim that it made and in the record of its attempt.
- Finished work is claimed again where its policy allows that, or where the request says ``reopen``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coordinator.engine.documents import StoredClaim, StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.policy import NO_POLICY, WorkPolicy
from coordinator.engine.snapshot import LiveClaim, Snapshot
from coordinator.engine.steps import Chosen
from coordinator.engine.transaction import Compare

__all__ = ["ClaimCommand"]


@dataclass(frozen=True, slots=True)
class ClaimCommand:
    """A request to claim. ``ttl_seconds`` None means the default, or as before for a renewal; "" and 0 mean none.

    ``request_id`` is for one claim of one work key: a session that claims the work again takes another.

    ``one_of_many``: it is a try of one candidate of a ClaimNext. What its session holds already is not renewed then,
    and a grant leaves its mark under the request, so that the same request is granted once among all candidates. One
    that does not ``contend`` is not noted as a contender where it is denied; what it has ``chosen`` is reported with
    its grant. ``policy`` is that of the work. ``also`` must hold besides: of the pool's choice, that the work and what
    it depends on are as they were seen. A request that ``waits`` may be cancelled after its grant, and then the claim
    is handed back, unless another try of the request was answered with it. ``signature`` is what topics that have the
    same words have in common, "" where the same work is not looked for; ``distinct_from`` are topics that this is not.
    """

    session: str
    request_id: str
    now: datetime
    ttl_seconds: float | None = None
    note: str = ""
    reopen: bool = False
    instance: str = ""
    token: int = 0
    one_of_many: bool = False
    contends: bool = True
    chosen: Chosen | None = None
    policy: WorkPolicy = NO_POLICY
    also: tuple[Compare, ...] = ()
    waits: bool = False
    signature: str = ""
    distinct_from: tuple[WorkPaths, ...] = ()

    def made(self, stored: StoredClaim | StoredRecord) -> bool:
        """Return whether a try of this request has made the claim, or the record of its attempt."""
        return stored.session == self.session and stored.request_id == self.request_id

    def made_in_this_run(self, met: Snapshot) -> bool:
        """Return whether this very run of the request, rather than another one at any replica, has made the claim.

        Runs are distinguished by their times. The record shows it too where the attempt has ended meanwhile.
        """
        found = (met.claim.stored if met.claim else None, met.record)
        return any(each is not None and self.made(each) and each.claimed_at == self.now for each in found)

    def owns(self, held: StoredClaim, live: LiveClaim) -> bool:
        """Return whether the caller has proved that the live claim is its own: by its token, or as its maker."""
        return held.session == self.session and (self.token == live.token or self.instance == held.instance)

    def cooldown(self, finished: StoredRecord) -> float:
        """Return for how many seconds finished work may not be repeated yet; 0 where it is not for time to say."""
        return 0.0 if self.reopen else self.policy.cooldown(finished.ended_at, self.now)

    def repeats(self, left: StoredRecord) -> bool:
        """Return whether a claim of this work is a repetition that its policy allows; otherwise it reopens it, if any.

        ``left`` is the record of the work while no session holds it.
        """
        finished = left.latest_completion
        return finished is not None and (left.is_open or self.policy.may_repeat(finished.ended_at, self.now))

    def was_granted(self, record: StoredRecord) -> bool:
        """Return whether the latest attempt was this request's.

        Where that was a reopened one that was released, the record names its request beside the session that had
        finished the work before: the request_id has to do.
        """
        return record.request_id == self.request_id and (
            record.session == self.session or record.attempts > record.attempt
        )
