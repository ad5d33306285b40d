"""How a client notices a coordinator that does not answer any more and has not closed its connection."""

from __future__ import annotations

import time

import grpc
import pytest

from coordinator.net import channels
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunningEtcd
from tests.freezing import freeze
from tests.integration.server_running import RunCoordinator


def test_a_stopped_coordinator_is_noticed_by_who_waits_for_it(
    run_coordinator: RunCoordinator, etcd: RunningEtcd
) -> None:
    """After 15 s; here all of it is a fiftieth."""
    shorter = tuple(
        (name, int(value) // 50) if "keepalive" in name or "ping_timeout" in name else (name, value)
        for name, value in channels.CHANNEL_OPTIONS
    )
    with (
        run_coordinator("serve", "--etcd", etcd.endpoint) as running,
        grpc.insecure_channel(running.endpoint, options=shorter) as channel,
    ):
        stub = CoordinatorServiceStub(channel)
        stub.Status(pb.StatusRequest(), timeout=30)
        freeze(running.process.pid)
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            stub.Status(pb.StatusRequest(), timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - began < 10
