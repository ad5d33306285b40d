"""Calls to etcd, over one gRPC channel per member.

Invariant: a request whose outcome is unknown is sent again, byte for byte the same, until etcd gives a definite answer
or the caller's deadline passes. The comparisons in it let it apply once. It is never concluded from a read that a
request was not applied: one that hangs at a stopped leader can be committed after a linearizable read through the new
leader has shown it absent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import grpc
import grpc.aio

from coordinator.errors import LimitExceeded, OutcomeUnknown, Unavailable
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import Verdict, judge
from coordinator.transport import CHANNEL_OPTIONS, Failure

__all__ = ["EtcdChannel", "Method", "Methods"]

#: How long one try may take, in seconds. etcd's own limit for a request is 5 s plus the election timeout; a shorter
#: one lets a second member answer in time when the first hangs.
TRY_SECONDS = 2.0
#: Pauses between tries, in seconds, doubling from the first to the second figure.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25


class Method(NamedTuple):
    """One call of etcd's API. ``reads`` tells that it changes nothing, so that its outcome is never unknown."""

    path: str
    response: Any
    reads: bool = False


class Methods:
    """The calls that are used."""

    TXN = Method("/etcdserverpb.KV/Txn", rpc.TxnResponse)
    RANGE = Method("/etcdserverpb.KV/Range", rpc.RangeResponse, reads=True)
    LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantResponse)
    LEASE_TIME_TO_LIVE = Method("/etcdserverpb.Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveResponse, reads=True)
    STATUS = Method("/etcdserverpb.Maintenance/Status", rpc.StatusResponse, reads=True)
    MEMBER_LIST = Method("/etcdserverpb.Cluster/MemberList", rpc.MemberListResponse, reads=True)


class EtcdChannel:
    """Sends requests to whichever member answers."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.endpoints = tuple(endpoints)
        self._channels = [grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS) for endpoint in endpoints]
        self._calls: dict[tuple[int, str], Any] = {}
        self._current = 0

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()

    async def call(self, method: Method, request: Any, *, deadline: float) -> Any:
        """Send ``request`` until it is answered or ``deadline``, a reading of ``time.monotonic()``, has passed.

        Raises ``OutcomeUnknown`` if it may have taken effect, ``Unavailable`` if it certainly has not,
        ``LimitExceeded`` when etcd is full or overloaded, ``LeaseGone`` and ``LeaseExists``.
        """
        if _only_reads(request):
            # etcd before 3.5.5 panics when a transaction that only reads is cancelled or runs out of time.
            return await self._read_one_by_one(request, deadline)
        in_doubt = False
        pause = FIRST_PAUSE_SECONDS
        problem: Exception = Unavailable("the time for this call was over before etcd could be asked")
        while (remaining := deadline - time.monotonic()) > 0:
            index = self._current
            try:
                return await self._call(index, method)(request, timeout=min(remaining, TRY_SECONDS))
            except grpc.RpcError as error:
                verdict, problem = judge(cast(Failure, error), call=method.path, member=self.endpoints[index])
            if verdict is Verdict.DEFINITE:
                raise problem from None
            if verdict is Verdict.REFUSED:
                if isinstance(problem, LimitExceeded) and _only_reads(request):
                    return await self._read_one_by_one(request, deadline)
                break
            in_doubt = in_doubt or (verdict is Verdict.UNKNOWN and not method.reads and not _only_reads(request))
            # Of several calls that failed at one member, only the first moves on.
            if self._current == index:
                self._current = (index + 1) % len(self._channels)
            await asyncio.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if in_doubt:
            raise OutcomeUnknown(f"etcd gave no definite answer in time ({problem})") from None
        raise problem from None

    async def call_member(self, index: int, method: Method, request: Any, *, deadline: float) -> Any:
        """Ask one member, once, what only it knows; raises what ``call`` raises."""
        try:
            return await self._call(index, method)(request, timeout=max(0.001, deadline - time.monotonic()))
        except grpc.RpcError as error:
            raise judge(cast(Failure, error), call=method.path, member=self.endpoints[index]).error from None

    def stream(self, path: str, response: Any) -> Any:
        """Open a bidirectional stream to the current member."""
        return self._channels[self._current].stream_stream(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )()

    async def _read_one_by_one(self, request: rpc.TxnRequest, deadline: float) -> rpc.TxnResponse:
        """Read at one revision without a transaction: a full etcd of older date refuses all of them (3.5.1 does)."""
        response = rpc.TxnResponse(succeeded=True)
        for operation in request.success:
            wanted = rpc.RangeRequest()
            wanted.CopyFrom(operation.request_range)
            wanted.revision = response.header.revision
            found = await self.call(Methods.RANGE, wanted, deadline=deadline)
            if not response.header.revision:
                response.header.CopyFrom(found.header)
            response.responses.add(response_range=found)
        return response

    def _call(self, index: int, method: Method) -> Any:
        key = (index, method.path)
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = self._channels[index].unary_unary(
                method.path,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=method.response.FromString,
            )
        return call


def _only_reads(request: Any) -> bool:
    """Tell whether a transaction does nothing but read."""
    if not isinstance(request, rpc.TxnRequest) or request.compare:
        return False
    return all(operation.WhichOneof("request") == "request_range" for operation in request.success)
