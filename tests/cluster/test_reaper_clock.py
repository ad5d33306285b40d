"""Clocks that are set while a coordinator runs, or that are wrong: nothing ends early, and no time is wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator import clock
from coordinator.engine.election import REPLICA, Beat
from coordinator.engine.steps import commit
from coordinator.engine.transaction import Put, Txn, is_absent
from coordinator.model import Claim
from coordinator.reaper import ReaperSettings
from tests.cluster.reaper_world import World, opened, until

#: Runs the command line with a host clock that SIGUSR1 sets an hour ahead, and SIGUSR2 two hours back. gRPC's half in C
#: has the host's own clock, which is not set: what it works out with that must be left as it is.
_JUMPING = """
import signal, sys, time, types
import grpc.aio._utils
from grpc._cython import cygrpc

grpc.aio._utils.time = cygrpc.time = types.SimpleNamespace(time=time.time)
real, ahead = time.time, 0.0

def set_clock(number, frame):
    global ahead
    ahead += 3600 if number == signal.SIGUSR1 else -7200

time.time = lambda: real() + ahead
signal.signal(signal.SIGUSR1, set_clock)
signal.signal(signal.SIGUSR2, set_clock)
from coordinator.cli import main
sys.argv[0] = "coordination"
main()
"""
_OFTEN = ReaperSettings(allowance=10.0, overdue_every=0.1)


@pytest.fixture
async def world(run_etcd, tmp_path: Path) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]  # as conftest has it
    with run_etcd(tmp_path / "etcd") as etcd:
        async with opened(etcd.endpoint) as world:
            yield world


@contextlib.contextmanager
def jumping(etcd: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a coordinator whose host's clock can be set; yields its address and process."""
    command = [sys.executable, "-c", _JUMPING, "serve", "--etcd", etcd, "--listen", "127.0.0.1:0"]
    command += ["--metrics-listen", "127.0.0.1:0", "--reaper"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        try:
            yield ready.split("grpc ", 1)[1].split(",", 1)[0], process
        finally:
            process.terminate()


@pytest.mark.long_but_for("order0")
@pytest.mark.parametrize("order", [(signal.SIGUSR1, signal.SIGUSR2), (signal.SIGUSR2, signal.SIGUSR1)])
async def test_the_hosts_clock_is_set_by_hours_and_no_claim_ends_early(
    world: World, order: tuple[signal.Signals, ...]
) -> None:
    with jumping(world.channel.endpoints[0]) as (endpoint, process):

        def call(*arguments: str) -> datetime:
            command = [sys.executable, "-m", "coordinator.cli", *arguments, "--json", "--endpoint", endpoint]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            return datetime.fromisoformat(json.loads(done.stdout)["claim"]["expires_at"])

        short = call("work-claim", "s", "task:short", "--ttl", "6s")
        call("work-claim", "s", "task:long", "--ttl", "120s")
        for jump in order:
            process.send_signal(jump)
            before = datetime.now(UTC)
            renewed = call("work-renew", "s", "task:long", "--ttl", "120s")
            assert before + timedelta(seconds=119) <= renewed <= datetime.now(UTC) + timedelta(seconds=128)
        await world.await_count("loose", 1)
        assert short <= datetime.now(UTC)
    entries = await world.histories()
    # The command line prints times in whole seconds.
    ends = [(key.rsplit("/", 2)[1], entry.ended_at.replace(microsecond=0)) for key, entry in entries]
    assert ends == [("task:short", short)]
    assert (await world.details("task:long")).claim is not None


async def overdue_by(world: World, seconds: float) -> timedelta:
    """Claim for an hour, and return how far a clock must be ahead for the claim to be overdue by that."""
    granted = await world.claim("task:a", 3600)
    assert isinstance(granted, Claim)
    return granted.expires_at + timedelta(seconds=seconds) - clock.now()


async def test_what_is_overdue_is_ended_while_clocks_agree(world: World) -> None:
    ahead = await overdue_by(world, 20)
    async with world.reaping(settings=_OFTEN, now=lambda: clock.now() + ahead):
        await world.await_count("loose", 1)


async def test_nothing_is_ended_by_a_clock_that_another_replica_contradicts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at first, before the two have met: the other's sign of life is read before."""
    ahead = await overdue_by(world, 20)
    sign = Put(REPLICA + b"other", Beat(clock=clock.now(), name="other").encode())
    await world.run(lambda: commit(Txn((is_absent(b"/none"),), (sign,))))
    await rests(world, ahead, caplog)


async def test_nothing_is_ended_by_the_clock_once_the_hosts_was_set(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = await overdue_by(world, 20)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    await rests(world, ahead, caplog)


async def rests(world: World, ahead: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    """Check that a reaper with a clock that is so far ahead ends nothing, and says so."""
    said = "clocks disagree, so that no claim is ended by the clock"
    with caplog.at_level(logging.WARNING):
        async with world.reaping(settings=_OFTEN, now=lambda: clock.now() + ahead):
            await until(lambda: sum(record.message == said for record in caplog.records) >= 3)
    assert await world.count("claim") == 1
    assert await world.count("history") == 0
