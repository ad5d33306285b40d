"""An etcd that is killed: what is known of it is why it cannot be reached, and not how its last connection ended."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import grpc
import pytest

from coordinator import Unavailable
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunEtcd
from tests.integration.channel_world import soon


async def test_why_it_cannot_be_reached_is_found_out_while_it_is_away(run_etcd: RunEtcd, tmp_path: Path) -> None:
    with run_etcd(tmp_path) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        watch = channel.stream(Methods.WATCH)
        await watch.write(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"/test")))
        await watch.read()
        os.kill(etcd.pid, signal.SIGKILL)
        with pytest.raises(grpc.RpcError) as ended:
            await watch.read()
        await channel.stream_failed(ended.value)
        messages = set()
        async with asyncio.timeout(30):
            while f"etcd at {etcd.endpoint} cannot be reached" not in messages:
                with pytest.raises(Unavailable) as failed:
                    await channel.call(Methods.RANGE, rpc.RangeRequest(key=b"/test"), deadline=soon(0.2))
                messages.add(failed.value.message)
        await channel.close()
