"""How many bytes each caller and each fleet may write into etcd.

A full etcd stops all fleets. So each fleet has a budget, and within it each credential, or each session where no
credentials are asked for; what all of them may write together is bounded too.

Invariants:
- What is counted is what a transaction writes, measured when it is about to be sent: whatever the request was, and
  however long its names are. It is counted before, so that parallel requests cannot exceed a budget; what was not
  written after all is returned to the budget.
- A caller that has used up its budget can still keep its claims: a renewal without a note, a completion and a release
  may use half as much again.
- A budget is a share of etcd's quota. It fills again, with a hundredth of the quota in a minute for a fleet, so that
  what is written between two compactions leaves room (docs/adr/0024-budgets-of-bytes.md has the sum).

Each replica counts for itself, and starts from zero when it is started.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from coordinator.errors import LimitExceeded
from coordinator.recorder import Recorder
from coordinator.server_limits import LimitSettings

__all__ = ["Payer", "WriteBudgets"]

#: Of etcd's quota, how much a fleet may write at once, and how long that takes to fill again, in seconds.
BURST_SHARE, REFILL_SECONDS = 0.1, 600.0
#: The budgets of a credential, and of all fleets together, as multiples of a fleet's.
OF_ONE, OF_ALL = 0.5, 2.0
#: How much more of a budget keeping what is held may use.
KEEPING_SHARE = 0.5
#: etcd's own default, for an etcd that does not report its quota.
_USUAL_QUOTA = 2 * 1024**3
#: Budgets that are remembered. One that was not used for longer than others is forgotten; it may be full again by then.
_REMEMBERED = 10_000
_KIB = 1024


class Payer(NamedTuple):
    """On whose account a request writes: ``kind`` is credential, session or caller, and ``name`` which."""

    fleet: str
    kind: str
    name: str

    @classmethod
    def of(cls, fleet: str, credential: str, session: str, peer: str) -> Payer:
        """Return who pays for a call: its credential; without one its session, and without that its host."""
        if credential:
            return cls(fleet, "credential", credential)
        return cls(fleet, "session", session) if session else cls(fleet, "caller", peer.rpartition(":")[0])


class _Budget:
    """What was written and is not made up for yet, in bytes, as of ``at``."""

    __slots__ = ("at", "used")

    def __init__(self, at: float) -> None:
        self.used = 0.0
        self.at = at


class _Share(NamedTuple):
    """A budget of a request, and its measures; ``whose`` is for sentences."""

    kind: str
    whose: str
    budget: _Budget
    rate: float


class WriteBudgets:
    """All budgets of a replica; ``quota`` returns etcd's quota as far as it is known, ``clock`` monotonic seconds."""

    def __init__(
        self,
        limits: LimitSettings,
        quota: Callable[[], int | None],
        recorder: Recorder,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._quota = quota
        self._recorder = recorder
        self._clock = clock
        self._budgets: OrderedDict[tuple[str, str], _Budget] = OrderedDict()

    def take(self, payer: Payer, size: int, *, keeping: bool) -> None:
        """Count ``size`` bytes that are about to be written; raises ``LimitExceeded`` where a budget does not allow it.

        Nothing is counted then. What is larger than a whole budget is let through where none of that is used.
        """
        shares = self._shares(payer)
        for share in shares:
            most = share.rate * REFILL_SECONDS * (1 + KEEPING_SHARE if keeping else 1)
            if share.budget.used and share.budget.used + size > most:
                self._recorder.write_refused(share.kind)
                raise _refusal(share, size, most, keeping=keeping)
        for share in shares:
            share.budget.used += size

    def give_back(self, payer: Payer, size: int) -> None:
        """Count no more what was not written after all."""
        for share in self._shares(payer):
            share.budget.used = max(0.0, share.budget.used - size)

    def _shares(self, payer: Payer) -> list[_Share]:
        of_fleet = self._limits.max_write_rate_per_fleet
        if of_fleet is None:
            of_fleet = max(1, int(BURST_SHARE * (self._quota() or _USUAL_QUOTA) / REFILL_SECONDS))
        of_one = self._limits.max_write_rate_per_credential
        if of_one is None:
            of_one = int(OF_ONE * of_fleet) or min(1, of_fleet)
        # A session is one of its fleet; a credential is the same in all.
        name = payer.name if payer.kind == "credential" else f"{payer.fleet}/{payer.name}"
        wanted = (
            (payer.kind, name, f"{payer.kind} {payer.name!r}", of_one),
            ("fleet", payer.fleet, f"the fleet {payer.fleet!r}", of_fleet),
            ("coordinator", "", "all fleets together", OF_ALL * of_fleet),
        )
        return [_Share(kind, whose, self._budget(kind, name, rate), rate) for kind, name, whose, rate in wanted if rate]

    def _budget(self, kind: str, name: str, rate: float) -> _Budget:
        now = self._clock()
        found = self._budgets.get((kind, name))
        if found is None:
            if len(self._budgets) >= _REMEMBERED:
                self._budgets.popitem(last=False)
            found = self._budgets[kind, name] = _Budget(now)
        self._budgets.move_to_end((kind, name))
        found.used = max(0.0, found.used - rate * (now - found.at))
        found.at = now
        return found


def _refusal(share: _Share, size: int, most: float, *, keeping: bool) -> LimitExceeded:
    option = (
        "--max-write-rate-per-fleet" if share.kind in ("fleet", "coordinator") else "--max-write-rate-per-credential"
    )
    goes_on = "this is more than holders need to keep their claims"
    if not keeping:
        goes_on = "claims can still be renewed without a note, completed and released"
    return LimitExceeded(
        f"{share.whose} wrote {_shown(share.budget.used)} recently, and may write {_shown(share.rate)} a second on "
        f"average; another {_shown(size)} would be more than the budget of {_shown(most)}",
        hint=f"nothing was changed; {goes_on}. Write less, or have the coordinator started with a larger {option} "
        "(docs/limits.md)",
        retry_after_seconds=round(max(1.0, (share.budget.used + size - most) / share.rate), 1),
    )


def _shown(size: float) -> str:
    return f"{size / _KIB:.0f} KiB" if size >= _KIB else f"{size:.0f} bytes"
