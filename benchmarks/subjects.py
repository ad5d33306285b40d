"""What is measured: each subject is one kind of call, made again and again."""

from __future__ import annotations

import uuid
from typing import Any

import grpc.aio

from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

__all__ = ["CLAIMS_PER_CALL", "EtcdSubjects", "ServiceSubjects", "key_of"]

CLAIMS_PER_CALL = 50


def key_of(run: str, number: int) -> str:
    """Return the work key of a call. The first calls have negative numbers, whose minus is no part of a key."""
    return f"task:bench-{run}-{'before-' if number < 0 else ''}{abs(number)}"


class ServiceSubjects:
    """Calls of a coordinator, or of the echo server in its place."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = CoordinatorServiceStub(channel)
        self._run = uuid.uuid4().hex[:8]

    def again(self) -> None:
        """Begin with fresh work keys."""
        self._run = uuid.uuid4().hex[:8]

    async def claim(self, caller: int, number: int) -> None:
        """Claim work that was never claimed."""
        answer = await self._stub.Claim(
            pb.ClaimRequest(
                session=f"session-{caller}",
                work_key=key_of(self._run, number),
                request_id=f"{self._run}-{number}",
            )
        )
        _expect(answer.outcome == types.OUTCOME_GRANTED, answer)

    async def hot_key(self, caller: int, number: int) -> None:
        """Ask for work that another session holds: the first call holds it, all others are denied."""
        answer = await self._stub.Claim(
            pb.ClaimRequest(
                session=f"session-{caller}" if number > -50 else "holder",
                work_key=f"task:bench-{self._run}-hot",
                request_id=f"{self._run}-{number}",
                instance=f"{number}",
            )
        )
        _expect(number == -50 or answer.outcome == types.OUTCOME_DENIED, answer)

    async def renew(self, caller: int, number: int) -> None:
        """Renew a claim of the caller's own, each with a note."""
        session, key = f"session-{caller}", f"task:bench-{self._run}-renew-{caller}"
        try:
            await self._stub.Renew(pb.RenewRequest(session=session, work_key=key, note=f"at {number}"))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            await self._stub.Claim(pb.ClaimRequest(session=session, work_key=key, request_id=f"{key}-{self._run}"))

    async def claim_and_complete(self, caller: int, number: int) -> None:
        """Claim work and complete it: two calls."""
        await self.claim(caller, number)
        await self._stub.Complete(
            pb.CompleteRequest(
                session=f"session-{caller}", work_key=key_of(self._run, number), request_id=f"done-{number}"
            )
        )

    async def claim_many(self, caller: int, number: int) -> None:
        """Claim fifty work keys in one call."""
        request = pb.ClaimManyRequest(session=f"session-{caller}")
        for item in range(CLAIMS_PER_CALL):
            request.items.add(work_key=f"{key_of(self._run, number)}-{item}", request_id=f"{self._run}-{number}-{item}")
        answers = await self._stub.ClaimMany(request)
        _expect(all(result.answer.outcome == types.OUTCOME_GRANTED for result in answers.results), answers)


class EtcdSubjects:
    """Calls straight to etcd."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._txn = _method(channel, "/etcdserverpb.KV/Txn", rpc.TxnResponse)
        self._grant = _method(channel, "/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantResponse)
        self._run = uuid.uuid4().hex[:8]

    def again(self) -> None:
        """Begin with fresh keys."""
        self._run = uuid.uuid4().hex[:8]

    async def transaction(self, caller: int, number: int) -> None:  # noqa: ARG002  # as all subjects
        """One compare-create of a key and its record, without a lease."""
        answer = await self._txn(self._compare_create(number, 0))
        _expect(answer.succeeded, answer)

    async def naive_claim(self, caller: int, number: int) -> None:  # noqa: ARG002  # as all subjects
        """A lease and a transaction of its own for each claim."""
        lease = await self._grant(rpc.LeaseGrantRequest(ttl=3600))
        answer = await self._txn(self._compare_create(number, lease.id))
        _expect(answer.succeeded, answer)

    def _compare_create(self, number: int, lease: int) -> rpc.TxnRequest:
        key = f"/bench/{self._run}/claim/{number}".encode()
        value = b'{"session":"session-1","attempt":1,"claimed_at":"2026-06-14T01:45:11.000Z","ttl":3600.0}'
        request = rpc.TxnRequest()
        request.compare.add(key=key, target=rpc.Compare.CREATE, create_revision=0)
        request.success.add().request_put.MergeFrom(rpc.PutRequest(key=key, value=value, lease=lease))
        request.success.add().request_put.MergeFrom(rpc.PutRequest(key=key + b"/record", value=value))
        request.failure.add().request_range.key = key
        return request


def _method(channel: grpc.aio.Channel, path: str, response: Any) -> Any:
    return channel.unary_unary(
        path, request_serializer=lambda message: message.SerializeToString(), response_deserializer=response.FromString
    )


def _expect(right: bool, answer: object) -> None:
    if not right:
        raise RuntimeError(f"the benchmark was answered wrongly: {answer}")
