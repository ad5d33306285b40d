"""A token by which etcd knows the coordinator ends while its reaper watches: what expires is recorded all the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from coordinator.reaper import ReaperSettings
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.auth import Metadata
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.reaper_world import World, check_recorded_once

CLAIMS = 20
#: How long a token lasts, in seconds, and one that is not used, until etcd has certainly looked: it does every second.
TOKEN_SECONDS, UNUSED_SECONDS = 2, 3.5
PASSWORD = "correct-horse-battery"  # noqa: S105  # of a user that lives for one test
#: A reaper that asks etcd for nothing while nothing happens: simple tokens end when they are not used.
IDLE = ReaperSettings(
    reconcile_every=1e9, overdue_every=1e9, vacuum_every=1e9, sweep_every=1e9, beat_every=1e9, census_every=1e9
)


def arguments(kind: str, directory: Path) -> list[str]:
    """Return what has etcd give tokens that end soon: simple ones after their last use, others in any case."""
    quick = ["--bcrypt-cost", "4"]
    if kind == "simple":
        return [*quick, "--auth-token", "simple", "--auth-token-ttl", str(TOKEN_SECONDS)]
    key = directory / "key"
    key.write_text("a key of one test")
    return [*quick, "--auth-token", f"jwt,sign-method=HS256,priv-key={key},ttl={TOKEN_SECONDS}s"]


def add_users(cluster: EtcdCluster) -> None:
    """Have etcd ask who it is dealing with, and know the coordinator."""
    (member,) = cluster.members
    member.etcdctl("user", "add", "root:root")
    member.etcdctl("user", "grant-role", "root", "root")
    member.etcdctl("role", "add", "coordination")
    for prefix in ("/coordination/", "/coordination-meta/"):
        member.etcdctl("role", "grant-permission", "coordination", "--prefix=true", "readwrite", prefix)
    member.etcdctl("user", "add", f"coordinator:{PASSWORD}")
    member.etcdctl("user", "grant-role", "coordinator", "coordination")
    member.etcdctl("auth", "enable")


@contextlib.asynccontextmanager
async def logged_in(cluster: EtcdCluster, directory: Path) -> AsyncIterator[World]:
    """Open the etcd as the coordinator, with a token of one's own."""
    password = directory / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    channel = EtcdChannel(cluster.endpoints, EtcdAccess(user="coordinator", password_file=password))
    try:
        yield World(channel, Runner(channel, LeasePool(channel), NullRecorder()), "default")
    finally:
        await channel.close()


async def expire(world: World, prefix: str) -> None:
    """Claim some work and have the claims expire at once."""
    await world.claim_all([f"{prefix}:{number}" for number in range(CLAIMS)], 60)
    await world.expire_all()


async def is_known(world: World, token: Metadata) -> bool:
    """Return whether etcd knows a token still. That makes a simple one last longer, if it does."""
    member = world.channel._members.current
    try:
        await member.unary(Methods.RANGE)(rpc.RangeRequest(key=b"/coordination/none"), timeout=5, metadata=token)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.aio.AioRpcError)
        assert "invalid auth token" in (error.details() or "")
        return False
    return True


@pytest.mark.long_but_for("simple")
@pytest.mark.parametrize("kind", ["simple", "jwt"])
async def test_a_token_that_ends_amid_the_watch_does_not_stop_the_reaper(kind: str, tmp_path: Path) -> None:
    """A simple token ends while nothing happens but the watch, a JSON web token while the reaper goes by its habits."""
    settings = IDLE if kind == "simple" else ReaperSettings()
    with run_cluster(tmp_path, 1, arguments=arguments(kind, tmp_path)) as cluster:
        await asyncio.to_thread(add_users, cluster)
        async with logged_in(cluster, tmp_path) as world, logged_in(cluster, tmp_path) as other:
            async with world.reaping(settings=settings) as reaper:
                await other.await_mark()
                await expire(other, "before")
                await other.await_count("loose", CLAIMS, 20)
                token = world.channel._credentials.metadata
                await asyncio.sleep(UNUSED_SECONDS)
                while await is_known(other, token):  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(UNUSED_SECONDS)
                await expire(other, "after")
                await other.await_count("loose", 2 * CLAIMS, 20)
                assert world.channel._credentials.metadata != token
                assert reaper.state.elected
            await check_recorded_once(other, 2 * CLAIMS)
