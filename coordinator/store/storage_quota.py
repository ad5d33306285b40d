"""How much of etcd's storage quota is used, and whether that leaves room for new claims.

A full etcd refuses every write, denials and completions among them, while leases go on expiring: holders would lose
their claims without being able to finish. So new claims are refused before it is full.

Invariant: what is refused for want of space is granted again by itself once there is space, within seconds.

What counts is the database's size, as etcd counts it. But what a compaction has freed is written again before the
database grows, so that a database that once was large does not stop claims for good: of free space no more counts than
a quarter of what is in use, which may lie there in pieces too small to be written to.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from coordinator.errors import CoordinatorError, LimitExceeded
from coordinator.logs.format import said
from coordinator.process.tasks import Task, repeat
from coordinator.server_limits import SPACE_SHARE
from coordinator.store.diagnosis.members import MEMBER_SECONDS, ask_members
from coordinator.store.diagnosis.rules import MemberSeen
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["LOOK_SECONDS", "SpaceWatch"]

_LOG = logging.getLogger(__name__)

#: How often to look, in seconds.
LOOK_SECONDS = 2.0
#: While claims are refused, one of so many looks writes something: what etcd reports as in use changes only when it has
#: committed a write after a compaction, and there may be no other writer.
_LOOKS_PER_WRITE = 4
#: What is written then, a key that is never read.
_TOUCHED = b"/coordination-meta/v1/space"
#: How much of the database is counted, at most, as a multiple of what is in use.
_FREE_SPACE = 1.25
_MIB = 1024 * 1024


class SpaceWatch:
    """Looks at the members every ``LOOK_SECONDS``; ``quota_bytes`` is the quota where it is known from elsewhere.

    etcd reports its quota from 3.6 on. Where it is unknown only a full etcd is noticed.
    """

    def __init__(self, channel: EtcdChannel, *, quota_bytes: int | None) -> None:
        self._channel = channel
        self._quota_bytes = quota_bytes
        self._full = False
        self._used = self._quota = 0
        self._db_size: int | None = None
        self._has_leader: bool | None = None
        self._refusing_looks = 0

    @property
    def used_bytes(self) -> int | None:
        """How much of the quota is used, of the member with the least room; None where no quota is known."""
        return self._used if self._quota else None

    @property
    def quota_bytes(self) -> int | None:
        """The quota of that member; None where it is not known."""
        return self._quota or None

    @property
    def db_size_bytes(self) -> int | None:
        """How large the largest member's database is; None as long as none has answered."""
        return self._db_size

    @property
    def has_leader(self) -> bool | None:
        """Whether any member sees a leader, False if none answers; None before the first look."""
        return self._has_leader

    def refusal(self) -> LimitExceeded | None:
        """Return why no new claim can be granted, None if one can."""
        if self._full:
            return LimitExceeded(
                "etcd's storage quota is used up (alarm NOSPACE), so that no new claim can be granted",
                hint="compact and defragment etcd and disarm its alarm, or raise its quota; new claims are then "
                "granted again",
                retry_after_seconds=30.0,
            )
        if self._quota and self._used >= SPACE_SHARE * self._quota:
            return LimitExceeded(
                f"etcd uses {self._used / self._quota:.0%} of its storage quota ({self._used // _MIB} of "
                f"{self._quota // _MIB} MiB); from {SPACE_SHARE:.0%} on new claims are refused and no notes are "
                "taken, so that what is held can still be renewed without one, completed and released",
                hint="wait for etcd's next compaction or compact it, or raise its quota; new claims are then granted "
                "again",
                retry_after_seconds=30.0,
            )
        return None

    async def run(self, task: Task) -> None:
        """Look for as long as this is not cancelled."""
        await repeat(task, self.look, every=LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. Where no member answers, what was seen before holds."""
        members = await ask_members(self._channel, time.monotonic() + MEMBER_SECONDS)
        answering = [member for member in members if member.silence is None]
        self._has_leader = any(member.leader for member in answering)
        if not answering:
            return
        self._db_size = max(member.db_size for member in answering)
        before = self.refusal()
        self._full = any("NOSPACE" in error for member in answering for error in member.errors)
        self._used, self._quota = self._fullest(answering)
        now = self.refusal()
        self._refusing_looks = 0 if now is None else self._refusing_looks + 1
        if self._refusing_looks % _LOOKS_PER_WRITE == 1 and not self._full:
            await self._touch()
        if now is not None and before is None:
            _LOG.warning("new claims are refused", extra=said(why=now.message))
        elif now is None and before is not None:
            _LOG.warning("new claims are granted again", extra=said(used_bytes=self._used, quota_bytes=self._quota))

    def _fullest(self, members: Sequence[MemberSeen]) -> tuple[int, int]:
        """Return use and quota of the member with the least room; (0, 0) where no quota is known."""
        found = (
            (
                min(member.db_size, int(_FREE_SPACE * (member.db_size_in_use or member.db_size))),
                member.quota or self._quota_bytes or 0,
            )
            for member in members
        )
        known = ((used, quota) for used, quota in found if quota)
        return max(known, key=lambda each: each[0] / each[1], default=(0, 0))

    async def _touch(self) -> None:
        request = rpc.TxnRequest()
        request.success.add().request_put.key = _TOUCHED
        with contextlib.suppress(CoordinatorError):
            await self._channel.call(Methods.TXN, request, deadline=time.monotonic() + MEMBER_SECONDS)
