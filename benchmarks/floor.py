"""What one claim costs in Python that no design gets around: its values and messages, written and read once each.

Nothing is decided here, nothing is sent and nothing is awaited.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median

from coordinator.engine.documents import Contender, StoredClaim, StoredRecord
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.snapshot import reads
from coordinator.engine.transaction import Delete, Put, Txn, is_absent, is_present, unchanged
from coordinator.keys import parse_work_key
from coordinator.model import Claim, State
from coordinator.service.replies import claim_reply
from coordinator.store.etcd.codec import add_operation, decode_txn
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.v1 import service_pb2 as pb

__all__ = ["messages_microseconds"]

_CLAIMS = 50
_ROUNDS = 40


def messages_microseconds() -> float:
    """Return the processor time that the values and messages of a claim in a ClaimMany of fifty take: the median."""
    asked = pb.ClaimManyRequest(session="session-1")
    for number in range(_CLAIMS):
        asked.items.add(work_key=f"task:bench-0123abcd-{number}", request_id=f"0123abcd-{number}")
    request = asked.SerializeToString()
    answer = rpc.TxnResponse(succeeded=True)
    for _ in range(_CLAIMS):
        child = answer.responses.add().response_txn
        child.succeeded = True
        child.responses.add().response_put.SetInParent()
        child.responses.add().response_put.SetInParent()
        child.responses.add().response_delete_range.SetInParent()
    response = answer.SerializeToString()
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        _write_and_read(request, response)
        times.append((time.process_time() - started) / _CLAIMS)
    return median(times) * 1e6


def _write_and_read(request: bytes, response: bytes) -> None:
    asked = pb.ClaimManyRequest.FromString(request)
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=3600)
    batch = rpc.TxnRequest()
    claims = []
    for item in asked.items:
        work_key = parse_work_key(item.work_key)
        claimed = StoredClaim(
            session=asked.session,
            attempt=1,
            ttl=3600.0,
            claimed_at=now,
            expires_at=expires_at,
            request_id=item.request_id,
        )
        add_operation(batch.success, _transaction(claimed, FleetPaths("default").of(work_key)))
        claims.append(
            Claim(
                work_key=str(work_key),
                kind=work_key.kind,
                session=asked.session,
                attempt=1,
                fencing_token=123456,
                ttl_seconds=3600.0,
                claimed_at=now,
                expires_at=expires_at,
                remaining_seconds=3600.0,
            )
        )
    batch.SerializeToString()
    decode_txn(rpc.TxnResponse.FromString(response))
    results = [pb.ClaimResult(answer=claim_reply(claim, claim.work_key)) for claim in claims]
    pb.ClaimManyResponse(results=results).SerializeToString()


def _transaction(claimed: StoredClaim, paths: WorkPaths) -> Txn:
    record = StoredRecord(
        state=State.CLAIMED,
        session=claimed.session,
        attempt=1,
        claimed_at=claimed.claimed_at,
        expires_at=claimed.expires_at,
        request_id=claimed.request_id,
    )
    mark = paths.contender(claimed.session)
    return Txn(
        compares=(is_absent(paths.claim), unchanged(paths.record, 0)),
        success=(
            Put(paths.claim, claimed.encode(), 1 << 62),
            Put(paths.record, record.encode()),
            Delete(paths.loose),
        ),
        failure=(
            *reads(paths),
            Txn(
                compares=(is_present(paths.claim), is_absent(mark)),
                success=(Put(mark, Contender(denied_at=claimed.claimed_at, request_id=claimed.request_id).encode()),),
            ),
        ),
    )
