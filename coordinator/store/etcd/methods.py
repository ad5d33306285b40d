"""The calls of etcd's API that are used."""

from __future__ import annotations

from typing import Any, NamedTuple

from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc

__all__ = ["Method", "Methods"]


class Method(NamedTuple):
    """One call of etcd's API. ``reads`` means that it changes nothing, so that its outcome is never unknown."""

    path: str
    response: Any
    reads: bool = False


class Methods:
    """The calls that are used."""

    TXN = Method("/etcdserverpb.KV/Txn", rpc.TxnResponse)
    #: A transaction that only reads, whatever it compares.
    READ_TXN = TXN._replace(reads=True)
    RANGE = Method("/etcdserverpb.KV/Range", rpc.RangeResponse, reads=True)
    COMPACT = Method("/etcdserverpb.KV/Compact", rpc.CompactionResponse)
    WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchResponse, reads=True)
    LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantResponse)
    LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc.LeaseRevokeResponse)
    LEASE_KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", rpc.LeaseKeepAliveResponse, reads=True)
    LEASE_TIME_TO_LIVE = Method("/etcdserverpb.Lease/LeaseTimeToLive", rpc.LeaseTimeToLiveResponse, reads=True)
    LEASE_LEASES = Method("/etcdserverpb.Lease/LeaseLeases", rpc.LeaseLeasesResponse, reads=True)
    STATUS = Method("/etcdserverpb.Maintenance/Status", rpc.StatusResponse, reads=True)
    SNAPSHOT = Method("/etcdserverpb.Maintenance/Snapshot", rpc.SnapshotResponse, reads=True)
    ALARM = Method("/etcdserverpb.Maintenance/Alarm", rpc.AlarmResponse)
    MEMBER_LIST = Method("/etcdserverpb.Cluster/MemberList", rpc.MemberListResponse, reads=True)
    # It makes a token, and one more does no harm.
    AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", rpc.AuthenticateResponse, reads=True)
