"""A host that is suspended while a session holds a claim: time goes on for the claim, so it does for its deadline.

This is number 21 of issue 12: "Claim.deadline of the clients uses a clock that stops while a laptop sleeps". That is
``time.monotonic()``, on Linux CLOCK_MONOTONIC; CLOCK_BOOTTIME counts on.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from coordinator import Briefing, Claim, Client, clock
from coordinator.cli.top.board import Board, Seen
from coordinator.model import HotKeys
from tests.client.both_clients import Driven
from tests.conftest import RunningCoordinator

NOW = datetime(2026, 6, 14, 1, 45, 11, tzinfo=UTC)
CLAIM = Claim("task:a", "task", "s", 1, 7, 60.0, NOW, NOW, 60.0)
NAPS = [61.0, 600.0, 8 * 3600.0]


class Host:
    """This host, which ``sleep`` has been suspended."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.read = time.clock_gettime
        self.before_reading: Callable[[], None] = lambda: None

    def clock_gettime(self, number: int) -> float:
        self.before_reading()
        return self.read(number) + (self.slept if number == time.CLOCK_BOOTTIME else 0.0)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setattr(time, "clock_gettime", host.clock_gettime)
    return host


def test_deadlines_are_counted_on_the_clock_that_goes_on() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.boot_seconds() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("nap", NAPS)
async def test_a_claim_is_lost_after_a_sleep_longer_than_it_lasted(client: Driven, host: Host, nap: float) -> None:
    claimed = await client.claim("s", "task:a", 60)
    renewed = await client.renew("s", "task:a", 60, token=claimed.fencing_token)
    (many,) = await client.claim_many("s", ["task:b"], 55)
    assert [claim.is_lost() for claim in (claimed, renewed, many)] == [False, False, False]
    assert all(55 < claim.remaining() <= 64 for claim in (claimed, renewed, many))
    host.sleep(nap + 4)
    assert [claim.is_lost() for claim in (claimed, renewed, many)] == [True, True, True]
    assert [claim.remaining() for claim in (claimed, renewed, many)] == [0.0, 0.0, 0.0]


async def test_a_sleep_that_is_shorter_takes_only_what_it_lasted(client: Driven, host: Host) -> None:
    claim = await client.claim("s", "task:a", 60)
    before = claim.remaining()
    host.sleep(40.0)
    assert before - 45 < claim.remaining() <= before - 40
    assert not claim.is_lost()


@pytest.mark.parametrize("nap", NAPS)
async def test_a_sleep_in_the_middle_of_the_call_counts_too(client: Driven, host: Host, nap: float) -> None:
    """Between the request and its answer, however long the coordinator thinks that took."""
    naps = iter([0.0])

    def asleep_after_the_first_reading() -> None:
        host.slept = next(naps, nap + 4)

    host.before_reading = asleep_after_the_first_reading
    assert (await client.claim("s", "task:a", 60)).is_lost()


async def test_what_is_only_read_promises_nothing(client: Driven) -> None:
    await client.claim("s", "task:a", 60)
    shown = (await client.get("task:a")).claim
    assert shown is not None
    (briefed,) = (await client.briefing()).taken
    assert [(each.deadline, each.is_lost(), each.remaining()) for each in (shown, briefed)] == [(None, True, 0.0)] * 2
    assert all(50 < each.remaining_seconds <= 64 for each in (shown, briefed))


@pytest.mark.parametrize(("at", "left"), [(0.0, 100.0), (99.5, 0.5), (100.0, 0.0), (1e6, 0.0)])
def test_a_reading_may_be_given(at: float, left: float) -> None:
    claim = CLAIM._replace(deadline=100.0)
    assert (claim.remaining(at), claim.is_lost(at)) == (left, left == 0)


def test_another_process_of_the_host_can_go_by_the_deadline() -> None:
    claim = CLAIM._replace(deadline=clock.boot_seconds() + 60)
    assert pickle.loads(pickle.dumps(claim)).is_lost() is False  # noqa: S301  # just made


def test_the_countdown_of_top_goes_on(host: Host, coordinator: RunningCoordinator, fleet: str) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        status = client.status()
    briefing = Briefing(
        NOW, 1, (CLAIM, CLAIM._replace(work_key="task:b", remaining_seconds=500.0)), (), (), 0, 0, 0, ""
    )
    board = Board(fleet, Seen(briefing, HotKeys((), 3600.0, complete=True), status, clock.boot_seconds()))
    host.sleep(100.0)
    (first, second) = board.claims()
    assert (first[0].work_key, first[1]) == ("task:a", 0.0)
    assert 390 < second[1] <= 400
