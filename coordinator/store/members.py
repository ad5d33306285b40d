"""What each etcd member says of itself."""

from __future__ import annotations

import asyncio
import time

from coordinator.errors import CoordinatorError
from coordinator.model import EtcdStatus
from coordinator.store.channel import EtcdChannel, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["MembersReader"]

#: How long one member may take to say how it is, in seconds.
_MEMBER_SECONDS = 1.0


class MembersReader:
    """Asks the members. ``quota_bytes`` is the quota, where it is known from elsewhere: etcd tells it from 3.6 on."""

    def __init__(self, channel: EtcdChannel, *, quota_bytes: int | None = None) -> None:
        self._channel = channel
        self._quota_bytes = quota_bytes

    async def read(self, *, quorum: bool, problem: CoordinatorError | None, deadline: float) -> EtcdStatus:
        """Sum up what the members say before ``deadline``; ``problem`` is why there is no quorum, if there is none."""
        statuses = await self._statuses(deadline)
        names = await self._names(deadline) if quorum else {}
        silent = [name for name, status in zip(self._channel.endpoints, statuses, strict=True) if status is None]
        answers = [status for status in statuses if status is not None]
        warnings = [f"the member at {name} does not answer" for name in silent]
        warnings += sorted({error for status in answers for error in status.errors})
        if problem is not None:
            warnings.append(problem.message)
        leader = next((status.leader for status in answers if status.leader), 0)
        quota = next((status.db_size_quota for status in answers if status.db_size_quota), self._quota_bytes)
        return EtcdStatus(
            version=min((status.version for status in answers), default=None),
            members=len(names) or None,
            leader=(names.get(leader) or f"{leader:x}") if leader else None,
            quorum=quorum,
            db_size_bytes=max((status.db_size for status in answers), default=None),
            quota_bytes=quota,
            warnings=tuple(warnings),
        )

    async def _statuses(self, deadline: float) -> list[rpc.StatusResponse | None]:
        deadline = min(deadline, time.monotonic() + _MEMBER_SECONDS)
        return await asyncio.gather(*(self._status(index, deadline) for index in range(len(self._channel.endpoints))))

    async def _status(self, index: int, deadline: float) -> rpc.StatusResponse | None:
        try:
            response: rpc.StatusResponse = await self._channel.call_member(
                index, Methods.STATUS, rpc.StatusRequest(), deadline=deadline
            )
        except CoordinatorError:
            return None
        return response

    async def _names(self, deadline: float) -> dict[int, str]:
        try:
            response = await self._channel.call(Methods.MEMBER_LIST, rpc.MemberListRequest(), deadline=deadline)
        except CoordinatorError:
            return {}
        return {member.id: member.name for member in response.members}
