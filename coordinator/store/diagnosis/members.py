"""What each etcd member says of itself."""

from __future__ import annotations

import asyncio
import time

from coordinator.diagnosis.findings import Severity
from coordinator.errors import CoordinatorError
from coordinator.model import EtcdStatus
from coordinator.store.diagnosis.rules import ListedMember, MemberSeen, StoreSeen, judge_members
from coordinator.store.diagnosis.versions import notice_for, oldest
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["MEMBER_SECONDS", "MembersReader", "ask_members", "list_members"]

#: How long one member may take to say how it is, in seconds.
MEMBER_SECONDS = 1.0


class MembersReader:
    """Asks the members. ``quota_bytes`` is the quota, where it is known from elsewhere: etcd reports it from 3.6 on."""

    def __init__(self, channel: EtcdChannel, *, quota_bytes: int | None = None) -> None:
        self._channel = channel
        self._quota_bytes = quota_bytes

    async def read(self, *, quorum: bool, problem: CoordinatorError | None, deadline: float) -> EtcdStatus:
        """Sum up what the members say before ``deadline``; ``problem`` is why there is no quorum, if there is none."""
        members = await ask_members(self._channel, deadline)
        listed = await list_members(self._channel, deadline) if quorum else None
        seen = StoreSeen(tuple(members), listed, quota_bytes=self._quota_bytes)
        version = oldest(member.version for member in seen.answering)
        names = {member.id: member.name for member in listed or ()}
        leader = next((member.leader for member in seen.answering if member.leader), 0)
        warnings = [finding.message for finding in judge_members(seen) if finding.severity is not Severity.OK]
        if problem is not None:
            warnings.append(problem.message)
        if (notice := notice_for(version or "")) is not None:
            warnings.append(notice)
        return EtcdStatus(
            version=version,
            members=len(names) or None,
            leader=(names.get(leader) or f"{leader:x}") if leader else None,
            quorum=quorum,
            db_size_bytes=max((member.db_size for member in seen.answering), default=None),
            quota_bytes=next((member.quota for member in seen.answering if member.quota), self._quota_bytes),
            warnings=tuple(warnings),
        )


async def ask_members(channel: EtcdChannel, deadline: float) -> list[MemberSeen]:
    """Ask every member how it is; one that does not answer within a second, or before ``deadline``, is silent."""
    deadline = min(deadline, time.monotonic() + MEMBER_SECONDS)
    return await asyncio.gather(*(_ask_member(channel, index, deadline) for index in range(len(channel.endpoints))))


async def list_members(channel: EtcdChannel, deadline: float) -> tuple[ListedMember, ...] | None:
    """Return the members as the cluster lists them, None where that cannot be read."""
    try:
        response = await channel.call(Methods.MEMBER_LIST, rpc.MemberListRequest(linearizable=True), deadline=deadline)
    except CoordinatorError:
        return None
    return tuple(ListedMember(member.id, member.name, member.is_learner) for member in response.members)


async def _ask_member(channel: EtcdChannel, index: int, deadline: float) -> MemberSeen:
    endpoint = channel.endpoints[index]
    try:
        status = await channel.call_member(index, Methods.STATUS, rpc.StatusRequest(), deadline=deadline)
    except CoordinatorError as error:
        return MemberSeen(endpoint, silence=error.message)
    return MemberSeen(
        endpoint,
        version=status.version,
        cluster_id=status.header.cluster_id,
        leader=status.leader,
        db_size=status.db_size,
        db_size_in_use=status.db_size_in_use,
        quota=status.db_size_quota,
        raft_index=status.raft_index,
        raft_applied_index=status.raft_applied_index,
        errors=tuple(status.errors),
    )
