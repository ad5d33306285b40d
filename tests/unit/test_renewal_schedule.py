"""When held claims are renewed, and when they are lost, on a clock of the test's own."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from coordinator.client._renewal_schedule import Batch, HeldClaim, Schedule, lost_by, reason_of
from coordinator.errors import (
    ClaimLost,
    CoordinatorError,
    InternalError,
    LimitExceeded,
    NotFound,
    NotHolder,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from coordinator.model import Claim, Outcome

NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
START = 1000.0
TTL = 60.0


def a_claim(
    sent_at: float = START, key: str = "task:a", session: str = "s", ttl: float = TTL, left: float = 0
) -> Claim:
    """A claim whose request was sent at ``sent_at``; like a real one it lasts a little longer than its TTL."""
    left = left or ttl + 3
    return Claim(key, "task", session, 1, 7, ttl, NOW, NOW, left, deadline=sent_at + left)


class Held(list[str]):
    """Holdings in a schedule; holds what was announced."""

    def __init__(self, *claims: Claim) -> None:
        self.schedule = Schedule()
        self.holdings = [HeldClaim(claim, lambda key=claim.work_key: self.append(key)) for claim in claims]  # type: ignore[misc]  # the key is bound now
        for holding in self.holdings:
            self.schedule.add(holding)

    def next(self, now: float) -> Batch:
        batch = self.schedule.next(now)
        assert batch is not None
        return batch

    def renewed_at(self, now: float) -> Sequence[str]:
        """Return the work keys that are renewed at a time."""
        return [holding.claim.work_key for holding in self.next(now).holdings]


def test_a_claim_is_renewed_at_a_third_of_its_ttl_from_the_send() -> None:
    held = Held(a_claim())

    assert held.renewed_at(START + TTL / 3 - 0.01) == []
    assert held.renewed_at(START + TTL / 3) == ["task:a"]

    held.schedule.take(held.next(START + 21), [a_claim(START + 21)], START + 24)

    # It counts from the send, and not from the answer three seconds later.
    (holding,) = held.holdings
    assert holding.deadline == START + 21 + 63
    assert holding.due_at == START + 21 + 20


def test_waiting_ends_when_something_is_to_be_done_and_after_a_second_at_most() -> None:
    held = Held(a_claim())
    assert held.next(START) == Batch((), 1.0)
    assert held.next(START + 19.75).seconds == pytest.approx(0.25)
    assert Schedule().next(START) is None


def test_a_deadline_never_moves_back_and_what_was_granted_stays_known() -> None:
    held = Held(a_claim())
    (holding,) = held.holdings
    granted = holding.claim

    holding.renewed(a_claim(START + 1, left=10))

    assert holding.deadline == START + 63
    assert holding.claim.deadline == START + 63
    assert holding.due_at == START + 1 + 10 / 3, "what a coordinator says it has left counts for the next renewal"
    assert holding.claim.outcome is granted.outcome is Outcome.GRANTED


@pytest.mark.parametrize("answered", [InternalError("etcd refused it"), CoordinatorError("it was refused as a whole")])
def test_a_renewal_that_was_answered_with_a_fault_is_another_request_when_it_is_sent_again(
    answered: CoordinatorError,
) -> None:
    """Its other tries were withdrawn, and with its id it would be refused, as if the claim were lost."""
    held = Held(a_claim())
    (holding,) = held.holdings
    first = holding.request_id
    held.schedule.take(held.next(START + TTL / 3), [answered], START + TTL / 3)
    assert holding.request_id != first
    assert holding.lost is None


def test_a_renewal_without_an_answer_is_sent_again_with_the_same_request_id_until_the_deadline() -> None:
    held = Held(a_claim())
    (holding,) = held.holdings
    first, now, tries = holding.request_id, START + TTL / 3, 0
    while not held:
        batch = held.schedule.next(now)
        if batch is None:
            break
        if batch.holdings:
            tries += 1
            assert holding.request_id == first
            assert batch.seconds <= 10
            assert now + batch.seconds <= START + 63.1
            held.schedule.take(batch, [OutcomeUnknown("no answer")], now)
        else:
            now += max(batch.seconds, 0.001)

    assert held == ["task:a"]
    assert now == pytest.approx(START + 63, abs=0.1)
    assert isinstance(holding.lost, ClaimLost)
    assert str(holding.lost) == "the claim on task:a was not renewed before its deadline: no answer"
    assert 20 < tries < 60

    again = Held(a_claim())
    again.schedule.take(again.next(START + 21), [a_claim(START + 21)], START + 21)
    (renewed,) = again.holdings
    assert renewed.request_id != first


def test_however_long_a_coordinator_wants_to_be_left_alone_there_are_more_tries() -> None:
    held = Held(a_claim())
    batch = held.next(START + 20)
    held.schedule.take(batch, [LimitExceeded("too much", retry_after_seconds=600)], START + 20)
    (holding,) = held.holdings
    assert holding.due_at == START + 20 + 43 / 2


def test_what_a_session_holds_is_renewed_together_as_soon_as_half_of_the_way_is_gone() -> None:
    held = Held(
        a_claim(key="task:a"),
        a_claim(START + 8, key="task:b"),
        a_claim(START + 15, key="task:late"),
        a_claim(key="task:other", session="other"),
    )
    batch = held.next(START + 20)
    (session,) = {holding.claim.session for holding in batch.holdings}
    keys = {holding.claim.work_key for holding in batch.holdings}
    assert (session, keys) in [("s", {"task:a", "task:b"}), ("other", {"task:other"})]

    held.schedule.take(
        batch, [a_claim(START + 20, each.claim.work_key, session) for each in batch.holdings], START + 20
    )
    rest = held.next(START + 20)
    assert {holding.claim.session for holding in rest.holdings} == {"s", "other"} - {session}


def test_a_request_has_five_hundred_items_at_most_those_with_the_nearest_deadlines() -> None:
    held = Held(*(a_claim(START + number / 1000, key=f"task:{number}") for number in range(640)))
    batch = held.next(START + 21)
    assert [holding.claim.work_key for holding in batch.holdings] == [f"task:{number}" for number in range(500)]


def test_no_call_takes_so_long_that_another_deadline_goes_unnoticed() -> None:
    held = Held(a_claim(ttl=3600), a_claim(key="task:short", session="other", ttl=6, left=6))
    batch = held.next(START + 1200)
    assert held == ["task:short"], "its deadline has passed"
    assert [holding.claim.work_key for holding in batch.holdings] == ["task:a"]

    held = Held(a_claim(ttl=3600), a_claim(START + 1195, key="task:short", session="other", ttl=6, left=6))
    held.holdings[1].failed(Unavailable("gone"), START + 1199.9)
    assert held.next(START + 1200).seconds <= 1.0


def test_a_claim_that_is_refused_is_lost_and_renewed_no_more() -> None:
    held = Held(a_claim(), a_claim(key="task:b"))
    batch = held.next(START + 20)
    outcomes: list[Claim | CoordinatorError] = [
        ClaimLost("revoked") if each.claim.work_key == "task:a" else a_claim(START + 20, "task:b")
        for each in batch.holdings
    ]
    held.schedule.take(batch, outcomes, START + 20)

    assert held == ["task:a"]
    assert held.renewed_at(START + 45) == ["task:b"]
    # What is answered later changes nothing.
    held.holdings[0].take(a_claim(START + 46), START + 46)
    assert str(held.holdings[0].lost) == "revoked"


def test_the_end_of_what_is_ending_is_no_loss() -> None:
    held = Held(a_claim())
    (holding,) = held.holdings
    holding.ending = True
    batch = held.next(START + 20)
    held.schedule.take(batch, [NotHolder("already completed by s")], START + 20)
    holding.look(START + 100)
    assert (holding.lost, held) == (None, [])
    assert held.schedule.next(START + 21) is None


def test_what_is_ending_is_not_renewed_behind_its_deadline() -> None:
    held = Held(a_claim())
    held.holdings[0].ending = True
    assert held.renewed_at(START + 30) == ["task:a"]
    assert held.schedule.next(START + 63) is None


def test_a_hold_whose_block_is_gone_is_not_renewed_any_more() -> None:
    held = Held(a_claim())
    held.holdings.clear()
    gc.collect()
    assert held.schedule.next(START + 20) is None


@pytest.mark.parametrize(
    ("refusal", "lost"),
    [
        (ClaimLost("expired"), True),
        (NotFound("never claimed"), True),
        (NotHolder("held by another", holder="other"), True),
        (NotHolder("already completed by s"), False),
        (NotHolder("held by another process of your own session", holder="s"), False),
        (Refused("cannot be read"), True),
    ],
)
def test_a_refusal_is_a_loss_unless_the_session_has_ended_the_claim_itself(refusal: Refused, lost: bool) -> None:
    found = lost_by(refusal, "s")
    assert isinstance(found, ClaimLost) is lost
    assert str(found).endswith(str(refusal))
    assert found.holder == refusal.holder


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("nothing to say")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such file"), "ValueError: no such file"),
        (ValueError(), "ValueError"),
        (ValueError("one\n## two\0three  \u2028four"), "ValueError: one ## two three four"),
        (ValueError("\udcff"), "ValueError: ?"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (Mute(), "Mute"),
        (ValueError("x" * 1000), f"ValueError: {'x' * 487}…"),
    ],
)
def test_the_reason_of_a_release_is_one_line_of_the_exception(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason
    assert len(reason) <= 500
