"""Looks at an etcd, so that what is seen can be judged.

Invariants: nothing is left behind, and nothing is asked that could harm: no list of alarms (etcd before 3.5.5 may not
start again after it, etcd-io/etcd#14429), no watch from the first revision (etcd would read its whole past for it), no
transaction that only reads (etcd before 3.5.5 panics when such a one is cancelled).
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from coordinator import clock
from coordinator.diagnosis.findings import Finding
from coordinator.diagnosis.tls import judge_encryption, judge_expiry, read_expiry, shown_expiry
from coordinator.errors import CoordinatorError
from coordinator.store.diagnosis.members import MEMBER_SECONDS, ask_members, list_members
from coordinator.store.diagnosis.rules import StoreSeen, judge_store
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import RevisionGone
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["Examination"]

#: A key that is never written. To delete it is a transaction like any other, through the log of every member and onto
#: their disks, but it changes nothing and makes no revision.
PROBE_KEY = b"/coordination-meta/v1/doctor"
#: How many transactions are timed.
TRANSACTIONS = 10
#: How long one linearizable read may take, in seconds.
_QUORUM_SECONDS = 2.0


class Examination:
    """Examines an etcd. ``quota_bytes`` is its quota where we have set it ourselves, ``access`` how we speak to it."""

    def __init__(
        self, channel: EtcdChannel, *, quota_bytes: int | None = None, access: EtcdAccess | None = None
    ) -> None:
        self._channel = channel
        self._quota_bytes = quota_bytes
        self._access = access or EtcdAccess()

    async def findings(self, *, deadline: float) -> tuple[Finding, ...]:
        """Look at it and judge what is seen; what cannot be seen before ``deadline`` is left out."""
        seen, certificates = await asyncio.gather(self._look(deadline), self._certificates(clock.now()))
        if seen.answering:
            return (*judge_store(seen), *certificates)
        # How connections are protected that there are not is nothing to say: an end of a certificate may be why.
        return (*judge_store(seen), *(each for each in certificates if each.check != "etcd-tls"))

    async def _look(self, deadline: float) -> StoreSeen:
        # The members come second: where etcd knows users, the first call logs in.
        revision, no_quorum = await self._revision(deadline)
        members = await ask_members(self._channel, deadline)
        listed = compacted = None
        latencies: tuple[float, ...] = ()
        if no_quorum is None:
            listed = await list_members(self._channel, deadline)
            compacted = await self._compacted(revision, deadline)
            latencies = await self._latencies(deadline)
        return StoreSeen(
            members=tuple(members),
            listed=listed,
            no_quorum=no_quorum,
            latencies=latencies,
            revision=revision,
            compacted=compacted,
            quota_bytes=self._quota_bytes,
        )

    async def _revision(self, deadline: float) -> tuple[int, str | None]:
        """Return the revision, or why a linearizable read does not return it."""
        # Half of the time at most, so that the rest is left to ask each member.
        now = time.monotonic()
        first = now + min((deadline - now) / 2, _QUORUM_SECONDS)
        wanted = rpc.RangeRequest(key=PROBE_KEY, count_only=True)
        try:
            return (await self._channel.call(Methods.RANGE, wanted, deadline=first)).header.revision, None
        except CoordinatorError as error:
            return 0, error.message

    async def _compacted(self, revision: int, deadline: float) -> int | None:
        """Find the revision up to which the past has been compacted, by bisection: a read shows its side."""
        below, kept = 0, revision
        while kept - below > 1:
            middle = (below + kept) // 2
            wanted = rpc.RangeRequest(key=PROBE_KEY, count_only=True, serializable=True, revision=middle)
            try:
                await self._channel.call(Methods.RANGE, wanted, deadline=deadline)
            except RevisionGone:
                below = middle
            except CoordinatorError:
                return None
            else:
                kept = middle
        # The revision of a compaction itself can still be read; of one that nothing has compacted, the first can.
        return kept if below else 0

    async def _latencies(self, deadline: float) -> tuple[float, ...]:
        delete = rpc.DeleteRangeRequest(key=PROBE_KEY)
        request = rpc.TxnRequest(success=[rpc.RequestOp(request_delete_range=delete)])
        found: list[float] = []
        for _ in range(TRANSACTIONS):
            started = time.monotonic()
            try:
                await self._channel.call(Methods.TXN, request, deadline=deadline)
            except CoordinatorError:
                break
            found.append(time.monotonic() - started)
        return tuple(found)

    async def _certificates(self, now: datetime) -> list[Finding]:
        access = self._access
        found = [judge_encryption("etcd-tls", "etcd", self._channel.endpoints, on=access.tls)]
        if not access.tls:
            return found
        pair = None if access.cert is None or access.key is None else (access.cert, access.key)
        if pair is not None:
            ends = read_expiry(pair[0])
            found.append(judge_expiry("etcd-certificate", ends, now, whose="the coordinator's certificate for etcd"))
        for endpoint in self._channel.endpoints:
            try:
                ends = await asyncio.to_thread(shown_expiry, endpoint, client=pair, seconds=MEMBER_SECONDS)
            except (OSError, ValueError):
                continue  # That it does not answer is a finding already.
            found.append(judge_expiry("etcd-certificate", ends, now, whose="etcd's certificate", subject=endpoint))
        return found
