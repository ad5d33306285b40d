"""Answers that are lost between coordinator and client, once they are given: every outcome is right all the same."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from coordinator import AsyncClient, Client
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.v1 import service_pb2 as pb
from tests.cluster.losing_replies import (
    COUNT,
    EXPECTED_KEYS,
    Losses,
    check_counters,
    check_losses,
    keys_by_table,
    report,
    session_of,
    work_through,
)
from tests.conftest import RunningEtcd
from tests.lossy_proxy import losing_answers

#: A connection that breaks ends all calls on it, so that there must be many.
CLIENTS = 24
THREADED_CLIENTS = 12
THREADS = 96
REQUESTS = {"Claim": pb.ClaimRequest, "Renew": pb.RenewRequest, "Complete": pb.CompleteRequest}
REQUESTS |= {"Release": pb.ReleaseRequest}


def asked_for(path: str, request: bytes, _: bytes) -> list[str]:
    """Return the work key that a call is about, if it changes anything."""
    message: Any = REQUESTS.get(path.rpartition("/")[2])
    return [message.FromString(request).work_key] if message else []


async def test_many_of_each_answer_lost_before_the_client_change_no_outcome(
    etcd: RunningEtcd, etcd_channel: EtcdChannel, fleet: str, record_property: Any
) -> None:
    losses = Losses()
    async with contextlib.AsyncExitStack() as stack:
        servers: list[Server] = []
        endpoints: list[str] = []
        for _ in range(2):
            settings = ServerSettings(
                etcd=(etcd.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None
            )
            servers.append(Server(settings))
            await servers[-1].start()
            stack.push_async_callback(servers[-1].stop)
            proxy = await stack.enter_async_context(
                losing_answers(servers[-1].endpoint, lambda *call: losses.take(asked_for(*call)))
            )
            endpoints.append(proxy.endpoint)
        # Both sorts of client; one that is synchronous is shared by several threads.
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        threaded = [stack.enter_context(Client(endpoints, fleet=fleet, timeout=60)) for _ in range(THREADED_CLIENTS)]
        clients = [
            await stack.enter_async_context(AsyncClient(endpoints, fleet=fleet, timeout=60)) for _ in range(CLIENTS)
        ]

        async def call(number: int, method: str, key: str, **more: Any) -> Any:
            arguments = (key,) if method == "get" else (session_of(key), key)
            if number % 4 < 2:
                ask = getattr(threaded[number // 4 % THREADED_CLIENTS], method)
                return await asyncio.get_running_loop().run_in_executor(pool, lambda: ask(*arguments, **more))
            return await getattr(clients[number // 4 % CLIENTS], method)(*arguments, **more)

        started = time.monotonic()
        contenders = await work_through(call, losses)
        seconds = time.monotonic() - started
        counters = await check_counters([server.metrics_url for server in servers], contenders)
    check_losses(losses)
    assert await keys_by_table(etcd_channel, fleet) == EXPECTED_KEYS
    # Each renewal whose answer was lost was asked for once more, and so were some that shared its connection.
    assert counters["renewals"] >= 3 * COUNT
    record_property("seconds", round(seconds, 1))
    sys.stdout.write(report("between client and coordinator", losses, counters, seconds))
