"""Several claims in one call: one answer each, from both clients."""

from __future__ import annotations

import pytest

from coordinator import AsyncClient, Claim, Client, Denial, DenialReason, InvalidInput
from tests.conftest import RunningCoordinator


def test_each_key_is_answered_for_itself(coordinator: RunningCoordinator, fleet: str) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as ours, Client(coordinator.endpoint, fleet=fleet) as theirs:
        theirs.claim("them", "task:held")
        theirs.claim("them", "task:done")
        theirs.complete("them", "task:done")
        free, held, done, bad, again = ours.claim_many(
            "us", ["free", "held", "task:done", "C++: x", "task:free"], ttl=60, note="mine"
        )
    assert isinstance(free, Claim)
    assert (free.work_key, free.note, free.outcome.value) == ("task:free", "mine", "granted")
    assert isinstance(held, Denial)
    assert (held.reason, held.holder) == (DenialReason.HELD, "them")
    assert isinstance(done, Denial)
    assert (done.reason, done.completed_by) == (DenialReason.COMPLETED, "them")
    assert isinstance(bad, InvalidInput)
    assert bad.field == "work_key"
    assert isinstance(again, Claim)
    assert (again.outcome.value, again.fencing_token) == ("renewed", free.fencing_token)


async def test_a_repeated_call_gets_the_outcome_of_the_first(coordinator: RunningCoordinator, fleet: str) -> None:
    keys = [f"task:{number}" for number in range(120)]
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=30) as client:
        first = await client.claim_many("us", keys, request_id="once")
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=30) as other:
        second = await other.claim_many("us", keys, request_id="once")
    for before, after in zip(first, second, strict=True):
        assert isinstance(before, Claim)
        assert isinstance(after, Claim)
        assert (after.outcome.value, after.fencing_token) == ("granted", before.fencing_token)


@pytest.mark.parametrize("count", [0, 501])
def test_too_few_or_too_many_are_refused(coordinator: RunningCoordinator, fleet: str, count: int) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client, pytest.raises(InvalidInput, match="1 to 500"):
        client.claim_many("us", [f"task:{number}" for number in range(count)])
