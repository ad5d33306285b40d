"""Budgets of bytes: who may write how much, what is counted, and what goes on where a budget is used up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any

import pytest

from coordinator.engine.sizes import most_written, written
from coordinator.engine.steps import Trailing
from coordinator.engine.transaction import Delete, Put, Range, Txn, TxnReply, is_absent
from coordinator.errors import LimitExceeded
from coordinator.recorder import NullRecorder
from coordinator.server_limits import LimitSettings
from coordinator.service.admission.budgets import Payer, WriteBudgets
from coordinator.service.admission.charges import Metered

QUOTA = 600_000_000
#: With that quota a fleet may write 60 MB at once and 100 KB a second, a credential half of it.
OF_FLEET, RATE = 60_000_000, 100_000
ALICE, BOB = Payer("red", "credential", "alice"), Payer("red", "credential", "bob")
OTHER = Payer("blue", "credential", "carol")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Refusals(NullRecorder):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def write_refused(self, reason: str) -> None:
        self.seen.append(reason)


def budgets(
    clock: Callable[[], float] | None = None,
    recorder: NullRecorder | None = None,
    quota: int | None = QUOTA,
    limits: LimitSettings | None = None,
) -> WriteBudgets:
    return WriteBudgets(limits or LimitSettings(), lambda: quota, recorder or NullRecorder(), clock=clock or Clock())


def take_all(found: WriteBudgets, payer: Payer, *, keeping: bool = False, size: int = 10_000) -> int:
    """Write as much as that is allowed, and return how much that was."""
    for number in range(1_000_000):
        try:
            found.take(payer, size, keeping=keeping)
        except LimitExceeded:
            return number * size
    raise AssertionError("it was never refused")


class TestBudgets:
    def test_a_credential_has_half_of_what_its_fleet_has(self) -> None:
        recorder = Refusals()
        found = budgets(recorder=recorder)
        assert take_all(found, ALICE) == OF_FLEET / 2
        assert take_all(found, BOB) == OF_FLEET / 2
        assert take_all(found, Payer("red", "credential", "carol")) == 0
        assert recorder.seen == ["credential", "credential", "fleet"]

    def test_other_fleets_have_theirs(self) -> None:
        found = budgets()
        assert take_all(found, ALICE) == take_all(found, OTHER) == OF_FLEET / 2

    def test_a_credential_is_the_same_in_all_fleets(self) -> None:
        found = budgets()
        assert sum(take_all(found, Payer(f"fleet-{number}", "credential", "alice")) for number in range(50)) == (
            OF_FLEET / 2
        )

    @pytest.mark.parametrize("kind", ["session", "caller"])
    def test_sessions_and_callers_are_those_of_their_fleet(self, kind: str) -> None:
        found = budgets()
        assert take_all(found, Payer("red", kind, "x")) == take_all(found, Payer("blue", kind, "x")) == OF_FLEET / 2

    @pytest.mark.parametrize("names", ["sessions", "fleets", "both"])
    def test_inventing_names_makes_no_more_of_it_than_all_fleets_have(self, names: str) -> None:
        found = budgets()
        wrote = 0
        for number in range(20_000):
            fleet = "red" if names == "sessions" else f"fleet-{number}"
            session = "x" if names == "fleets" else f"session-{number}"
            try:
                found.take(Payer(fleet, "session", session), 100_000, keeping=False)
            except LimitExceeded:
                continue
            wrote += 100_000
        assert wrote == (OF_FLEET if names == "sessions" else 2 * OF_FLEET)

    def test_it_fills_again_with_time(self) -> None:
        clock = Clock()
        found = budgets(clock)
        take_all(found, ALICE)
        clock.now += 10
        assert take_all(found, ALICE) == 10 * RATE / 2
        clock.now += 1e9
        assert take_all(found, ALICE) == OF_FLEET / 2

    def test_keeping_what_is_held_may_use_half_as_much_again_and_no_more(self) -> None:
        found = budgets()
        take_all(found, ALICE)
        assert take_all(found, ALICE, keeping=True) == OF_FLEET / 4
        # Nor does it open the way for other writes.
        assert take_all(found, ALICE) == 0

    def test_a_refusal_says_whose_budget_it_is_and_when_to_come_again(self) -> None:
        clock = Clock()
        found = budgets(clock)
        take_all(found, ALICE)
        with pytest.raises(
            LimitExceeded, match=r"^credential 'alice' wrote 29297 KiB recently, and may write 49 KiB"
        ) as e:
            found.take(ALICE, 100_000, keeping=False)
        assert "claims can still be renewed without a note, completed and released" in (e.value.hint or "")
        assert "--max-write-rate-per-credential" in (e.value.hint or "")
        assert e.value.retry_after_seconds == 2.0
        clock.now += e.value.retry_after_seconds
        found.take(ALICE, 100_000, keeping=False)

    def test_what_was_not_written_is_given_back(self) -> None:
        found = budgets()
        take_all(found, ALICE)
        found.give_back(ALICE, 50_000)
        assert take_all(found, ALICE) == 50_000
        found.give_back(OTHER, 10**12)
        assert take_all(found, OTHER) == OF_FLEET / 2

    def test_what_is_larger_than_a_budget_is_written_where_nothing_else_was(self) -> None:
        found = budgets(quota=1024 * 1024)
        found.take(ALICE, 10**6, keeping=False)
        with pytest.raises(LimitExceeded):
            found.take(ALICE, 1, keeping=False)

    @pytest.mark.parametrize(
        ("limits", "wanted"),
        [
            ({}, OF_FLEET // 2),
            ({"max_write_rate_per_fleet": 1000}, 300_000),
            ({"max_write_rate_per_credential": 100}, 60_000),
            ({"max_write_rate_per_fleet": 1000, "max_write_rate_per_credential": 1000}, 600_000),
            ({"max_write_rate_per_fleet": 1000, "max_write_rate_per_credential": 0}, 600_000),
        ],
    )
    def test_options_say_how_much(self, limits: dict[str, int], wanted: int) -> None:
        assert take_all(budgets(limits=LimitSettings(**limits)), ALICE) == wanted

    def test_0_turns_them_off(self) -> None:
        found = budgets(limits=LimitSettings(max_write_rate_per_fleet=0))
        for _ in range(100):
            found.take(ALICE, 10**9, keeping=False)

    def test_where_the_quota_is_unknown_etcds_own_default_counts(self) -> None:
        assert take_all(budgets(quota=None), ALICE) // 1_000_000 == 2 * 1024**3 // 20_000_000

    def test_memory_is_bounded_however_many_names_there_are(self) -> None:
        found = budgets()
        for number in range(30_000):
            found.take(Payer(f"fleet-{number}", "session", f"s{number}"), 1, keeping=False)
        assert len(found._budgets) <= 10_000

    @pytest.mark.parametrize(
        ("credential", "session", "peer", "payer"),
        [
            ("alice", "s", "ipv4:10.0.0.1:5", ("credential", "alice")),
            ("", "s", "ipv4:10.0.0.1:5", ("session", "s")),
            ("", "", "ipv4:10.0.0.1:5", ("caller", "ipv4:10.0.0.1")),
            ("", "", "ipv6:%5B::1%5D:5", ("caller", "ipv6:%5B::1%5D")),
        ],
    )
    def test_who_pays(self, credential: str, session: str, peer: str, payer: tuple[str, str]) -> None:
        assert Payer.of("red", credential, session, peer) == ("red", *payer)


NOTE = b"x" * 16_384
PUTS = (Put(b"claim", NOTE, 7), Put(b"record", NOTE), Delete(b"loose"))
MARK = Txn((is_absent(b"mark"),), (Put(b"mark", b"small"),))
CLAIM = Txn((is_absent(b"claim"),), PUTS, (Range(b"claim"), MARK))


class TestSizes:
    def test_keys_and_values_count_and_what_the_store_notes_of_each(self) -> None:
        assert most_written(CLAIM) == 2 * 16_384 + len("claimrecordloose") + 300

    def test_what_is_only_read_is_nothing(self) -> None:
        assert most_written(Txn((), (Range(b"a"),), (Txn((), (Range(b"b"),)),))) == 0

    def test_the_branch_that_was_taken_counts(self) -> None:
        assert written(CLAIM, TxnReply(True, 1, ())) == most_written(CLAIM)
        for marked, size in ((True, len("marksmall") + 100), (False, 0)):
            nested = TxnReply(marked, 1, ())
            assert written(CLAIM, TxnReply(False, 1, (nested, nested))) == size

    def test_what_is_not_known_counts_as_if_it_was_written(self) -> None:
        assert written(CLAIM, TxnReply(False, 1, ())) == most_written(MARK)


class Used:
    """Budgets of which there are so many bytes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, payer: Payer, size: int, *, keeping: bool) -> None:
        assert payer == ALICE
        if size > self.left and not keeping:
            raise LimitExceeded("used up")
        self.left -= size

    def give_back(self, payer: Payer, size: int) -> None:
        assert payer == ALICE
        self.left += size


def metered(left: int, *, keeping: bool = False, withheld: LimitExceeded | None = None) -> tuple[Metered, Any]:
    used: Any = Used(left)
    return Metered(used, ALICE, OrderedDict(), keeping=keeping, withheld=withheld), used


def operation(*steps: Any) -> Callable[[], Generator[Any, Any, None]]:
    def run() -> Generator[Any, Any, None]:
        for step in steps:
            _ = yield step

    return run


class TestMetering:
    def test_what_was_written_is_counted_and_the_end_of_what_is_leased(self) -> None:
        meter, used = metered(10**6)
        running = meter.of(operation(CLAIM))()
        assert next(running) == CLAIM
        with pytest.raises(StopIteration):
            running.send(TxnReply(True, 1, ()))
        assert 10**6 - used.left == most_written(CLAIM) + len(b"claim" + NOTE)

    def test_before_the_answer_comes_it_is_counted_already(self) -> None:
        meter, used = metered(10**6)
        next(meter.of(operation(CLAIM))())
        assert used.left < 10**6 - most_written(CLAIM)

    def test_a_denial_costs_its_mark_and_a_repeated_one_nothing(self) -> None:
        for marked, cost in ((True, len("marksmall") + 100), (False, 0)):
            meter, used = metered(10**6)
            running = meter.of(operation(CLAIM))()
            next(running)
            with pytest.raises(StopIteration):
                running.send(TxnReply(False, 1, (TxnReply(False, 1, ()), TxnReply(marked, 1, ()))))
            assert 10**6 - used.left == cost

    def test_what_a_budget_does_not_allow_is_not_sent(self) -> None:
        meter, used = metered(16_384)
        running = meter.of(operation(Txn((), (Range(b"a"),)), CLAIM))()
        assert isinstance(next(running), Txn)
        with pytest.raises(LimitExceeded) as caught:
            running.send(TxnReply(True, 1, ()))
        assert meter.refusal is caught.value
        assert used.left == 16_384

    def test_where_there_is_no_space_only_what_keeps_is_sent(self) -> None:
        full = LimitExceeded("no space")
        with pytest.raises(LimitExceeded, match="no space"):
            next(metered(10**6, withheld=full)[0].of(operation(CLAIM))())
        meter, used = metered(0, keeping=True, withheld=full)
        assert next(meter.of(operation(CLAIM))()) == CLAIM
        assert -used.left == most_written(CLAIM)

    def test_marks_of_contenders_are_left_out_first(self) -> None:
        step = Trailing(MARK, (b"mark", 1))
        full = LimitExceeded("no space")
        for left, withheld, sent in ((1000, None, True), (10, None, False), (1000, full, False)):
            meter, _ = metered(left, keeping=True, withheld=withheld)
            running = meter.of(operation(step, CLAIM))()
            assert (next(running) is step) is sent

    def test_a_mark_that_is_there_is_counted_once(self) -> None:
        meter, used = metered(1000)
        for _ in range(50):
            next(meter.of(operation(Trailing(MARK, (b"mark", 1))))())
        assert 1000 - used.left == most_written(MARK)

    def test_an_operation_is_closed_with_its_meter(self) -> None:
        closed = []

        def run() -> Generator[Any, Any, None]:
            try:
                yield CLAIM
            finally:
                closed.append(True)

        running = metered(10**6)[0].of(run)()
        next(running)
        running.close()
        assert closed
