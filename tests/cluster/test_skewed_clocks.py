"""Replicas whose wall clocks differ by 2 s, 20 s and 1 h: no deadline that is returned is later than the claim's end.

This is number 52 of issue 12: "the deadline that is returned can be too late". ``make campaign-clocks`` does the same
with 1,000 random sequences of calls.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Method, Methods
from tests.cluster.skewed_replicas import AHEAD, CALLS, Replica, Trial, random_trial, replicas
from tests.conftest import RunningEtcd


@pytest.fixture
async def pairs(etcd: RunningEtcd, fleet: str) -> AsyncIterator[list[tuple[Replica, Replica]]]:
    async with replicas(etcd.endpoint, fleet, (0.0, *AHEAD)) as (right, *others):
        yield [(right, other) for other in others]


async def test_whatever_is_asked_of_one_replica_about_a_claim_of_another_is_never_too_late(
    pairs: list[tuple[Replica, Replica]], etcd_channel: EtcdChannel, fleet: str
) -> None:
    """Every call, either way round; the claim lasts longer than what the call asks for, and less long."""
    trials = []

    async def ask(number: int, call: str, first: Replica, second: Replica, ttl: float) -> None:
        trials.append(trial := Trial(etcd_channel, fleet, f"task:call-{number}-{ttl:g}", ttl))
        await trial.claim(first)
        await CALLS[call](trial, second)
        await CALLS[call](trial, first)

    for pair in pairs:
        asked = [(call, *order, ttl) for call in CALLS for order in (pair, pair[::-1]) for ttl in (6.0, 60.0)]
        await asyncio.gather(*(ask(len(trials) + number, *each) for number, each in enumerate(asked)))
    assert [(trial.journal, trial.wrong) for trial in trials if trial.wrong] == []
    assert len(trials) == len(AHEAD) * len(CALLS) * 2 * 2


async def test_where_a_claim_was_granted_nothing_is_asked_of_etcd_about_its_lease(
    pairs: list[tuple[Replica, Replica]], etcd_channel: EtcdChannel, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual way costs no further call; at another replica one question serves all that is asked of the lease."""
    call, questions = EtcdChannel.call, Counter[int]()

    async def counting(channel: EtcdChannel, method: Method, request: Any, **more: Any) -> Any:
        if channel is not etcd_channel and method is Methods.LEASE_TIME_TO_LIVE:
            questions[request.id] += 1
        return await call(channel, method, request, **more)

    monkeypatch.setattr(EtcdChannel, "call", counting)
    (right, other), *_ = pairs
    trial = Trial(etcd_channel, fleet, "task:a")
    await trial.claim(right)
    for ask in CALLS.values():
        await ask(trial, right)
    assert questions == {}
    await asyncio.gather(*(ask(trial, other) for _ in range(20) for ask in (Trial.get, Trial.be_denied)))
    await trial.renew(other)
    assert list(questions.values()) == [1]
    assert trial.wrong == []


@pytest.mark.long_but_for("24-12")
@pytest.mark.parametrize(("sequences", "to_their_end"), [(24, 12), (72, 24)])
async def test_no_deadline_of_a_random_sequence_of_calls_is_later_than_the_end_of_the_claim(
    pairs: list[tuple[Replica, Replica]], etcd_channel: EtcdChannel, fleet: str, sequences: int, to_their_end: int
) -> None:
    trials = [Trial(etcd_channel, fleet, f"task:random-{number}") for number in range(sequences + to_their_end)]
    await asyncio.gather(
        *(
            random_trial(trial, pairs[number % len(pairs)], random.Random(number), to_its_end=number >= sequences)
            for number, trial in enumerate(trials)
        )
    )
    assert [(trial.journal, trial.wrong) for trial in trials if trial.wrong] == []
