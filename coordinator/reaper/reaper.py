"""The reaper of one replica: stands for election, and while elected follows, sweeps and goes through what is stored.

Every replica runs one and one is elected for all fleets, so that the work is done once. That is all that the election
is for: what makes reaping right are the comparisons in each of its transactions, and doing it twice is harmless.

Invariants:
- Every expiry is recorded: one without a deletion event is found by going through the records, at the start of each
  term, every hour, and whenever etcd no longer has all events since the mark.
- The mark never says more than what has been written down.
- The reaper outlives whatever etcd does: a term that fails is followed by standing for election again.
- A term that fails because etcd does not answer leaves the lease, and with it the election, to be taken up again. One
  that fails although etcd renews the lease gives the election up at once, for another replica.
- When etcd has become another store, the term ends with all that was known of the old one.
- Leases that etcd keeps past their time are also ended while no replica is elected: by those that stand by, a little
  later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from coordinator import clock as clocks
from coordinator.engine.election import Mark, campaign, elected, read_mark, save_mark
from coordinator.engine.steps import Operation
from coordinator.errors import CoordinatorError
from coordinator.logs.format import said
from coordinator.process.tasks import Setback, Tasks, first_to_end, repeat, rerun
from coordinator.reaper.census import Census
from coordinator.reaper.expiry_watch import Follower
from coordinator.reaper.heartbeats import Replicas, SignLost
from coordinator.reaper.lease_sweep import Sweeper
from coordinator.reaper.overdue_claims import OverdueClaims
from coordinator.reaper.reconciliation import Reconciliation
from coordinator.reaper.retention import Retention
from coordinator.reaper.settings import ReaperSettings
from coordinator.reaper.witnesses import Witnesses
from coordinator.recorder import Recorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.watch import Compacted, Rewound
from coordinator.store.leases.kept import KeptLease, LeaseLost
from coordinator.store.leases.listing import PoolLeases
from coordinator.store.lineage import StoreChanged
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies

__all__ = ["Reaper", "ReaperState"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

#: How long the lease of a replica lasts: an elected one that dies is replaced that much later, at most.
_LEASE_SECONDS = 5
_CALL_SECONDS = 5.0
#: For how long a term must last for the failures before it to be over, in seconds, and the longest pause before a term
#: and before a look at the leases: etcd may answer again at any moment, and claims outlive their time until then.
_SETTLED_SECONDS, _LONGEST_PAUSE_SECONDS = 20.0, 5.0
_LONGEST_SWEEP_PAUSE_SECONDS = 1.0
_LONGEST_DUTY_PAUSE_SECONDS = 30.0
#: After how long without word of a task it is failing, in seconds: what it asks etcd for may take some of them.
_SILENT_SECONDS = 60.0


@dataclass(slots=True)
class ReaperState:
    """What a replica knows of reaping: whether it is elected and, if it is, how many revisions it is behind."""

    elected: bool = False
    revision_lag: int | None = None


class _Deposed(Setback):
    """Another replica was elected."""

    def __init__(self) -> None:
        super().__init__("another replica was elected to reap meanwhile")


class Reaper:
    """Reaps for as long as ``run`` runs. ``name`` is what the election says: the address that this replica listens on.

    ``tasks`` is where its tasks belong to. ``before_reaping`` is awaited ahead of each batch of reaps, for tests.
    ``policies`` say which expired claims are loose ends; without them they are read each time.
    """

    def __init__(
        self,
        channel: EtcdChannel,
        runner: Runner,
        recorder: Recorder,
        name: str,
        settings: ReaperSettings | None = None,
        tasks: Tasks | None = None,
        *,
        clock: Callable[[], datetime] = clocks.now,
        before_reaping: Callable[[], Awaitable[None]] | None = None,
        policies: Policies | None = None,
    ) -> None:
        self.state = ReaperState()
        self._channel = channel
        self._runner = runner
        self._recorder = recorder
        self._name = name
        self._settings = settings or ReaperSettings()
        self._clock = clock
        self._before_reaping = before_reaping
        #: What the election is bound to.
        self.lease = KeptLease(channel, _LEASE_SECONDS)
        self._replicas = Replicas(runner, clock, name)
        self._policies = policies or Policies(channel, runner)
        self._reconciliation = Reconciliation(runner, clock, self._policies)
        self._overdue_claims = OverdueClaims(runner, clock, self._policies)
        self._retention = Retention(runner, clock)
        self._census = Census(runner, recorder)
        self._witnesses = Witnesses(channel, runner)
        #: For all terms, and between them: what it has noted cannot be had again once etcd has changed its leader.
        self.sweeper = Sweeper(PoolLeases(channel), self._settings.sweep_grace)
        #: The store's revision at the last sign of life, and up to which revision all deletions have been dealt with.
        self._revision = 0
        self._seen = 0
        tasks = tasks or Tasks()
        self._election = tasks.add("election", settled=_SETTLED_SECONDS, longest_pause=_LONGEST_PAUSE_SECONDS)
        self._watching = tasks.add("expiry-watch", settled=_SETTLED_SECONDS / 2, within=_SILENT_SECONDS)
        self._sweeping = tasks.add("lease-sweep", within=_SILENT_SECONDS, longest_pause=_LONGEST_SWEEP_PAUSE_SECONDS)
        self._duties = {
            name: tasks.add(name, longest_pause=longest)
            for name, longest in (
                ("signs-of-life", self._settings.beat_every / 2),
                ("reconciliation", _LONGEST_DUTY_PAUSE_SECONDS),
                ("overdue-claims", _LONGEST_DUTY_PAUSE_SECONDS),
                ("census", _LONGEST_DUTY_PAUSE_SECONDS),
                ("retention", _LONGEST_DUTY_PAUSE_SECONDS),
            )
        }

    def offsets(self) -> dict[str, tuple[str, float, float]]:
        """Return how many seconds other replicas' clocks are ahead of ours: by id the name, the least and the most."""
        return self._replicas.offsets()

    async def run(self) -> None:
        """Stand for election and reap, until cancelled; then the election is given up at once."""
        await first_to_end(
            rerun(self._election, self._term),
            # Beside the terms, so that no lease is overlooked while this replica is out of touch with etcd.
            repeat(self._sweeping, self._sweep, every=self._settings.sweep_every),
        )

    async def _term(self) -> None:
        """Stand for election, and reap; until the lease is lost, or the store has become another one."""
        lineage, lease = self._channel.lineage, self.lease
        changes, lost = lineage.changes, False
        try:
            if not await lease.regain():
                await lease.grant()
            await first_to_end(lease.keep(), lineage.changed(changes), self._live(lease))
        except (LeaseLost, _Deposed):
            # The lease may be there still, and with it the election.
            lost = True
            raise
        except CoordinatorError:
            # Where etcd answers renewals, this replica alone has trouble: another one is to be elected.
            lost = not lease.renewed_lately
            raise
        except StoreChanged:
            self._replicas.forget()
            self.sweeper.forget()
            raise
        finally:
            self.state.elected, self.state.revision_lag = False, None
            # Not left to the next sign of life: there may be none, and another replica be elected meanwhile.
            self._recorder.reaping(elected=False, revision_lag=0)
            self._census.withdraw()
            if not lost:
                await asyncio.shield(lease.revoke())

    async def _live(self, lease: KeptLease) -> None:
        # Before anything is ended by our clock it must be known what those of the others say.
        await self._beat(lease)
        await first_to_end(
            self._every("signs-of-life", self._settings.beat_every / 2, partial(self._beat_unevenly, lease)),
            self._stand(lease),
        )

    async def _beat(self, lease: KeptLease) -> None:
        """Give a sign of life. What was there at the last one and has not been seen since is the reaper's lag."""
        if self.state.elected:
            self.state.revision_lag = max(0, self._revision - self._seen)
        try:
            self._revision = await self._replicas.beat(lease.id, self.state.revision_lag)
        except SignLost as lost:
            self._channel.lineage.note(str(lost))
            raise
        self._recorder.reaping(elected=self.state.elected, revision_lag=self.state.revision_lag or 0)
        self._election.succeeded()

    async def _beat_unevenly(self, lease: KeptLease) -> None:
        """Let up to half of the time between two pass: it is by that that replicas learn how far clocks are apart."""
        await asyncio.sleep(random.uniform(0, self._settings.beat_every / 2))  # noqa: S311  # not a secret
        await self._beat(lease)

    async def _stand(self, lease: KeptLease) -> None:
        """Wait to be elected, and reap while the lease lasts."""
        while not (election := await self._elect(lease)):  # noqa: ASYNC110  # etcd is asked, there is nothing to await
            await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311  # not a secret
        _LOG.info("elected to reap", extra=said(election=election))
        self.state.elected, self._revision, self._seen = True, 0, 0
        # Not left to the next sign of life: the census would be shown before any replica is shown as elected.
        self._recorder.reaping(elected=True, revision_lag=0)
        settings = self._settings
        duties = [
            self._follow(election),
            self._every("reconciliation", settings.reconcile_every, self._reconcile),
            self._every("overdue-claims", settings.overdue_every, self._end_overdue),
            self._every("census", settings.census_every, self._census.take),
        ]
        if settings.retention is not None:
            duties.append(self._every("retention", settings.vacuum_every, self._forget_old))
        await first_to_end(*duties)

    async def _elect(self, lease: KeptLease) -> int:
        """Return the revision of the election that names us; 0 while another replica is elected."""
        # Asked first, so that waiting costs no write.
        leader = await self._run(elected)
        if leader is None:
            return await self._run(partial(campaign, self._name, lease.id))
        return leader.election if leader.lease == lease.id else 0

    async def _follow(self, election: int) -> None:
        """Write down what expires, from the mark on; if etcd no longer has all events, go through what is stored."""
        mark = await self._run(read_mark)
        self._watching.begin()
        try:
            while True:
                follower = Follower(
                    self._channel,
                    self._runner,
                    self._clock,
                    self._watching,
                    self._policies,
                    self._witnesses,
                    before_reaping=self._before_reaping,
                )
                try:
                    await self._follow_from(follower, election, mark)
                except (Compacted, Rewound) as gap:
                    if isinstance(gap, Rewound) and gap.replaced:
                        self._channel.lineage.note(str(gap))
                        raise StoreChanged(str(gap)) from None
                    _LOG.warning("etcd no longer has all events since the last mark", extra=said(why=str(gap)))
                    await asyncio.sleep(self._watching.failed(str(gap)))
                # From now on first, so that nothing falls between the pass and the watch.
                mark = None
        finally:
            self._witnesses.close()
            self._watching.rest()

    async def _follow_from(self, follower: Follower, election: int, mark: Mark | None) -> None:
        saved_at = 0.0
        saved = mark.revision if mark else -1
        lost = mark is None
        async with contextlib.aclosing(follower.follow(saved + 1)) as steps:
            async for done, seen in steps:
                cluster = f"{follower.watch.cluster:x}"
                if lost or (mark and mark.cluster != cluster):
                    lost, mark = False, None
                    await self._reconciliation.run(self._watching)
                self._watching.succeeded()
                self._seen = seen
                if done > saved and time.monotonic() - saved_at >= self._settings.mark_every:
                    if not await self._run(partial(save_mark, Mark(revision=done, cluster=cluster), election)):
                        raise _Deposed
                    saved, saved_at = done, time.monotonic()

    async def _sweep(self) -> None:
        await self.sweeper.sweep(standing_by=not self.state.elected)

    async def _reconcile(self) -> None:
        await self._reconciliation.run(self._duties["reconciliation"])

    async def _forget_old(self) -> None:
        if self._settings.retention is not None:
            await self._retention.forget(self._settings.retention, self._duties["retention"])

    async def _end_overdue(self) -> None:
        apart = self._replicas.apart_seconds()
        if apart > self._settings.allowance / 2:
            _LOG.warning(
                "clocks disagree, so that no claim is ended by the clock", extra=said(apart_seconds=round(apart, 1))
            )
            return
        await self._overdue_claims.end(self._settings.allowance, self._duties["overdue-claims"])

    async def _every(self, name: str, seconds: float, duty: Callable[[], Awaitable[object]]) -> None:
        """Do something at once and then so often; what fails is tried again by itself, and does not end the term."""
        await repeat(self._duties[name], duty, every=seconds, through=(StoreChanged, _Deposed))

    async def _run(self, operation: Callable[[], Operation[T]]) -> T:
        return await self._runner.run(operation, deadline=time.monotonic() + _CALL_SECONDS)
