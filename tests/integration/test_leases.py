"""The lease pool against a real etcd; time is what the test says it is, except etcd's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator import AsyncClient, Claim
from coordinator.clock import boot_seconds
from coordinator.engine.transaction import end_of_prefix
from coordinator.errors import Unavailable
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.errors import LeaseGone
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases import foreign as foreign_leases
from coordinator.store.leases import pool as lease_pool
from coordinator.store.leases.pool import KEYS_PER_LEASE, LEASE_ID_PREFIX, LeasePool, window_seconds
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.integration.etcd_proxy import GRANT, proxying

NOW = datetime(2026, 6, 14, 1, 45, 11, tzinfo=UTC)

Etcdctl = Callable[..., str]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(etcd_channel: EtcdChannel, clock: Clock) -> LeasePool:
    return LeasePool(etcd_channel, boot=clock, wall=lambda: NOW + timedelta(seconds=clock.seconds - 1000))


def soon() -> float:
    return time.monotonic() + 10


async def granted_ttl(channel: EtcdChannel, lease: int) -> int:
    request = rpc.LeaseTimeToLiveRequest(id=lease)
    return int((await channel.call(Methods.LEASE_TIME_TO_LIVE, request, deadline=soon())).granted_ttl)


@pytest.mark.parametrize(
    ("ttl", "window"), [(5.0, 1.0), (20.0, 1.0), (60.0, 3.0), (100.0, 5.0), (3600.0, 5.0), (604_800.0, 5.0)]
)
def test_the_window_is_a_twentieth_of_the_ttl_within_one_and_five_seconds(ttl: float, window: float) -> None:
    assert window_seconds(ttl) == window


def test_the_clock_of_deadlines_goes_on_and_never_back() -> None:
    first = boot_seconds()
    assert boot_seconds() >= first > 0


async def test_a_lease_is_ours_and_lasts_the_ttl_and_the_window(pool: LeasePool, etcd_channel: EtcdChannel) -> None:
    lease = await pool.lease(60.0, deadline=soon())
    assert lease is not None
    assert lease.id >> 48 == LEASE_ID_PREFIX
    assert await granted_ttl(etcd_channel, lease.id) == 63
    assert lease.expires_at == NOW + timedelta(seconds=63)


@pytest.mark.parametrize("ttl", [5.001, 9.9999999, 59.99, 30.0])
async def test_a_ttl_that_is_no_whole_number_of_seconds_gets_a_lease_with_its_whole_window(
    pool: LeasePool, clock: Clock, ttl: float
) -> None:
    lease = await pool.lease(ttl, deadline=soon())
    assert lease is not None
    longest = timedelta(seconds=ttl + window_seconds(ttl))
    assert longest - timedelta(milliseconds=1) <= lease.expires_at - NOW < longest + timedelta(seconds=1)
    assert await pool.lease(ttl, deadline=soon()) == lease, "at the same moment it is shared"
    clock.seconds += window_seconds(ttl)
    later = await pool.lease(ttl, deadline=soon())
    assert (later.id, later.expires_at) == (lease.id, lease.expires_at), "and as long as the window is wide"
    assert later.seconds == pytest.approx(lease.seconds - window_seconds(ttl))


async def test_deadlines_within_the_window_share_a_lease_and_none_is_shorter_than_asked(
    pool: LeasePool, clock: Clock
) -> None:
    first = await pool.lease(60.0, deadline=soon())
    clock.seconds += 3
    just_within = await pool.lease(60.0, deadline=soon())
    assert first.id == just_within.id
    assert (first.seconds, just_within.seconds) == (63.0, 60.0)
    clock.seconds += 0.5
    beyond = await pool.lease(60.0, deadline=soon())
    assert beyond is not None
    assert beyond.id != first.id
    assert beyond.expires_at >= NOW + timedelta(seconds=3.5 + 60)
    # Another ttl with the same deadline is as good.
    assert (await pool.lease(58.0, deadline=soon())).id in (first.id, beyond.id)
    assert pool.size == 2


async def test_a_lease_takes_a_thousand_keys_and_no_more(pool: LeasePool) -> None:
    lease_pool = await asyncio.gather(*(pool.lease(60.0, deadline=soon()) for _ in range(2 * KEYS_PER_LEASE + 1)))
    counts = Counter(lease.id for lease in lease_pool if lease is not None)
    assert sorted(counts.values()) == [1, KEYS_PER_LEASE, KEYS_PER_LEASE]


async def test_what_is_given_back_can_be_handed_out_again(pool: LeasePool) -> None:
    lease_pool = await asyncio.gather(*(pool.lease(60.0, deadline=soon()) for _ in range(KEYS_PER_LEASE)))
    assert lease_pool[0] is not None
    pool.give_back(lease_pool[0].id)
    assert await pool.lease(60.0, deadline=soon()) == lease_pool[0]
    assert await pool.lease(60.0, deadline=soon()) != lease_pool[0]


async def test_a_forgotten_lease_is_handed_out_no_more(pool: LeasePool) -> None:
    first = await pool.lease(60.0, deadline=soon())
    assert first is not None
    pool.forget(first.id)
    assert await pool.lease(60.0, deadline=soon()) != first


async def test_leases_past_their_deadlines_are_dropped(pool: LeasePool, clock: Clock) -> None:
    await pool.lease(60.0, deadline=soon())
    clock.seconds += 63
    assert pool.size == 0


async def test_a_renewal_that_would_end_sooner_keeps_the_lease_that_it_has(pool: LeasePool, clock: Clock) -> None:
    hour = await pool.lease(3600.0, deadline=soon())
    clock.seconds += 2
    kept = hour._replace(seconds=hour.seconds - 2)
    assert await pool.lease(60.0, outliving=hour.id, deadline=soon()) == kept
    # The one it has is as long as the one it would get.
    assert await pool.lease(3600.0, outliving=hour.id, deadline=soon()) == kept
    assert await pool.lease(0.0, outliving=hour.id, deadline=soon()) == kept
    longer = await pool.lease(4000.0, outliving=hour.id, deadline=soon())
    assert longer.expires_at > hour.expires_at


async def test_a_lease_that_is_kept_has_only_what_is_left_of_it(pool: LeasePool, clock: Clock) -> None:
    """Whatever little that is: a repeated request gives a claim no more time."""
    lease = await pool.lease(5.0, deadline=soon())
    clock.seconds += lease.seconds - 0.25
    assert await pool.lease(0.0, outliving=lease.id, deadline=soon()) == lease._replace(seconds=0.25)


@pytest.mark.parametrize("theirs", [5.0, 20.0, 60.0, 3600.0])
@pytest.mark.parametrize("asked", [0.0, 5.0, 59.0, 7200.0])
async def test_another_replicas_lease_is_never_kept_and_always_outlived(
    etcd_channel: EtcdChannel, pool: LeasePool, theirs: float, asked: float
) -> None:
    """However long it lasts, and whatever that replica's clock says."""
    granted = await LeasePool(etcd_channel, boot=lambda: 5e9).lease(theirs, deadline=soon())
    before = time.monotonic()
    own = await pool.lease(asked, outliving=granted.id, deadline=soon())
    assert own.id != granted.id
    assert own.seconds >= max(asked, granted.seconds - (time.monotonic() - before))
    assert own.seconds <= max(asked, granted.seconds + 1) + window_seconds(asked) + 1
    assert await granted_ttl(etcd_channel, own.id) >= own.seconds


async def test_the_second_that_etcd_rounds_away_is_outlived_too(
    etcd_channel: EtcdChannel, pool: LeasePool, clock: Clock
) -> None:
    """Here a lease is at hand that lasts as long as etcd says of theirs, but not that second longer."""
    at_hand = await pool.lease(60.0, deadline=soon())
    clock.seconds += 0.5
    theirs = await LeasePool(etcd_channel).lease(60.0, deadline=soon())
    own = await pool.lease(5.0, outliving=theirs.id, deadline=soon())
    assert own.id != at_hand.id
    assert own.seconds >= 63.0


async def test_a_lease_that_its_pool_has_forgotten_is_treated_as_anothers(pool: LeasePool) -> None:
    lease = await pool.lease(60.0, deadline=soon())
    pool.forget(lease.id)
    own = await pool.lease(5.0, outliving=lease.id, deadline=soon())
    assert own.id != lease.id
    assert own.seconds >= lease.seconds


@pytest.mark.parametrize("asked", [0.0, 5.0, 60.0])
async def test_for_a_lease_that_etcd_does_not_know_none_is_handed_out(pool: LeasePool, asked: float) -> None:
    """Its claim has ended, or etcd lags behind: how long a lease would have to outlive it is not known."""
    with pytest.raises(LeaseGone):
        await pool.lease(asked, outliving=LEASE_ID_PREFIX << 48 | 1, deadline=soon())


class TestWhatIsLeft:
    async def test_of_a_lease_of_this_pool_it_is_known_without_asking(self, pool: LeasePool, clock: Clock) -> None:
        lease = await pool.lease(60.0, deadline=soon())
        clock.seconds += 10
        assert pool.seconds_left_if_known([lease.id, 0]) == (53.0, 0.0)

    async def test_of_anothers_etcd_is_asked_once_however_many_want_to_know(
        self, etcd_channel: EtcdChannel, pool: LeasePool, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = await LeasePool(etcd_channel).lease(60.0, deadline=soon())
        call, asked = etcd_channel.call, Counter[str]()

        async def counting(method: Method, request: Any, **more: Any) -> Any:
            asked[method.path] += 1
            return await call(method, request, **more)

        monkeypatch.setattr(etcd_channel, "call", counting)
        assert pool.seconds_left_if_known([theirs.id]) is None
        reported = await asyncio.gather(*(pool.seconds_left([theirs.id], deadline=soon()) for _ in range(200)))
        assert {left for (left,) in reported} <= {62.0, 63.0}
        clock.seconds += 10
        assert pool.seconds_left_if_known([theirs.id]) == (reported[0][0] - 10,)
        assert asked == {Methods.LEASE_TIME_TO_LIVE.path: 1}

    async def test_of_a_lease_that_etcd_does_not_know_nothing(self, pool: LeasePool) -> None:
        own = await pool.lease(60.0, deadline=soon())
        left = await pool.seconds_left([LEASE_ID_PREFIX << 48 | 1, own.id, 0, own.id], deadline=soon())
        assert left == (0.0, 63.0, 0.0, 63.0)

    async def test_where_etcd_does_not_answer_in_time_it_says_so(self, clock: Clock) -> None:
        channel = EtcdChannel(["127.0.0.1:1"])
        pool = LeasePool(channel, boot=clock)
        with pytest.raises(Unavailable):
            await pool.seconds_left([LEASE_ID_PREFIX << 48 | 1], deadline=time.monotonic() + 0.2)
        await channel.close()


async def test_a_grant_that_fails_is_reported_and_not_kept(clock: Clock) -> None:
    channel = EtcdChannel(["127.0.0.1:1"])
    pool = LeasePool(channel, boot=clock)
    with pytest.raises(Unavailable, match="there is no lease for the claim: etcd "):
        await pool.lease(60.0, deadline=time.monotonic() + 0.2)
    await asyncio.gather(*pool._grants)
    assert pool.size == 0
    await channel.close()


async def test_a_grant_whose_outcome_is_unknown_has_bound_no_key(
    etcd: RunningEtcd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_pool, "_GRANT_SECONDS", 0.3)
    async with proxying(etcd.endpoint) as proxy:
        proxy.lose_replies(GRANT, "silence", times=1000)
        channel = EtcdChannel([proxy.endpoint])
        pool = LeasePool(channel, boot=clock)
        with pytest.raises(Unavailable, match="there is no lease for the claim: etcd "):
            await pool.lease(60.0, deadline=soon())
        assert pool.size == 0
        proxy.lose_replies(GRANT, "silence", times=0)
        assert await pool.lease(60.0, deadline=soon()) is not None
        await channel.close()


async def test_who_waits_for_the_same_answer_is_each_given_an_error_of_its_own(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service writes into it what request it is the answer to."""
    monkeypatch.setattr(lease_pool, "_GRANT_SECONDS", 0.2)
    monkeypatch.setattr(foreign_leases, "_QUESTION_SECONDS", 0.2)
    channel = EtcdChannel(["127.0.0.1:1"])
    pool = LeasePool(channel, boot=clock)
    grants = [pool.lease(60.0, deadline=soon()) for _ in range(3)]
    questions = [pool.seconds_left([LEASE_ID_PREFIX << 48 | 1], deadline=soon()) for _ in range(3)]
    errors = await asyncio.gather(*grants, *questions, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in errors)
    assert len({id(error) for error in errors}) == 6
    await channel.close()


class TestThroughTheService:
    async def claims_by_lease(self, channel: EtcdChannel, fleet: str) -> Counter[int]:
        prefix = f"/coordination/v1/{fleet}/claim/".encode()
        request = rpc.RangeRequest(key=prefix, range_end=end_of_prefix(prefix))
        found = await channel.call(Methods.RANGE, request, deadline=soon())
        return Counter(kv.lease for kv in found.kvs)

    async def test_claims_with_near_deadlines_share_a_lease_but_not_more_than_a_thousand(
        self, coordinator: RunningCoordinator, etcd_channel: EtcdChannel, fleet: str
    ) -> None:
        async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=30) as client:

            async def claim(number: int) -> None:
                assert isinstance(await client.try_claim("s", f"task:w{number}", 600), Claim)

            for number in range(12):
                await claim(number)
            few = await self.claims_by_lease(etcd_channel, fleet)
            assert sum(few.values()) == 12
            # One, or two where a window ended between them.
            assert len(few) <= 2
            assert all(lease >> 48 == LEASE_ID_PREFIX for lease in few)

            started = time.monotonic()
            await asyncio.gather(*(claim(number) for number in range(12, 1100)))
            windows = (time.monotonic() - started) / window_seconds(600.0)
            many = await self.claims_by_lease(etcd_channel, fleet)
            assert sum(many.values()) == 1100
            assert 2 <= len(many) <= 5 + 2 * windows
            assert max(many.values()) <= KEYS_PER_LEASE

    async def test_claims_go_on_where_an_operator_has_revoked_their_lease(
        self, coordinator: RunningCoordinator, etcd_channel: EtcdChannel, etcdctl: Etcdctl, fleet: str
    ) -> None:
        async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
            await client.claim("s", "task:first", 86_400)
            (revoked,) = await self.claims_by_lease(etcd_channel, fleet)
            etcdctl("lease", "revoke", f"{revoked:x}")
            assert (await client.get("task:first")).record.state == "abandoned"
            again = await client.claim("s", "task:second", 86_400)
            assert again.attempt == 1
            (lease,) = await self.claims_by_lease(etcd_channel, fleet)
            assert lease != revoked
            shown = json.loads(etcdctl("lease", "timetolive", f"{lease:x}", "-w", "json"))
            assert shown["granted-ttl"] == 86_405
