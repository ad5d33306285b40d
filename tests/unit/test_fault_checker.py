"""The checker of `make campaign-faults` accepts right histories, and complains of each fault that is planted in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.campaigns.faults.checker import ORDER, check
from tests.campaigns.faults.history import Fault, History, read_history, write_history
from tests.campaigns.faults.shrink import shrink
from tests.unit.fault_story import Story

Plant = Callable[[Story], None]
_PLANTED: dict[str, tuple[Plant, str]] = {}


def right() -> Story:
    """What happens to five work keys where all is well."""
    story = Story()
    story.claim("ann", "task:a")
    story.deny("bob", "task:a")
    story.renew("task:a")
    story.end("task:a")
    story.deny("bob", "task:a", "completed", "ann")
    story.claim("ann", "task:b", ttl=5.0)
    story.expire("task:b")
    story.claim("bob", "task:b")
    story.end("task:b", "release")
    story.show("task:b", "abandoned", "bob", 2, [(1, "ann", "abandoned", False), (2, "bob", "abandoned", False)])
    story.submit("pool:low", priority=1)
    story.submit("pool:high", priority=5)
    story.submit("pool:later", priority=9, depends=["pool:high"])
    story.now += 60.0
    story.choose("bob", "pool:high", None)
    story.end("pool:high")
    story.choose("cid", "task:c", ["task:c", "task:d"])
    story.choose("bob", "task:d", ["task:c", "task:d"])
    return story


def planted(rule: str) -> Callable[[Plant], Plant]:
    """Note a fault to plant, and the rule that is broken by it."""

    def note(plant: Plant) -> Plant:
        _PLANTED[plant.__name__] = (plant, rule)
        return plant

    return note


def rules(history: History) -> set[str]:
    return {finding.rule for finding in check(history).findings}


def test_a_right_history_is_accepted() -> None:
    assert check(right().history()).findings == []
    assert check(right().history().without_store()).findings == []


@planted("one live claim")
def two_hold_it_at_once(story: Story) -> None:
    first = story.claim("ann", "task:x")
    story.live.pop("task:x")
    story.now = first.ended + 1
    story.claim("bob", "task:x")


@planted("tokens grow")
def a_token_shrinks(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    later = story.claim("bob", "task:x")
    story.change(later, answer={"token": 2})


@planted("one claim an attempt")
def a_renewal_changes_the_token(story: Story) -> None:
    story.claim("ann", "task:x")
    story.change(story.renew("task:x"), answer={"token": 9999})


@planted("attempts are gapless")
def an_attempt_is_skipped(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.attempts["task:x"] = 2
    story.claim("bob", "task:x")


@planted(ORDER)
def an_attempt_is_counted_twice(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.change(story.claim("bob", "task:x"), answer={"attempt": 1})


@planted(ORDER)
def a_denial_names_another(story: Story) -> None:
    story.claim("ann", "task:x")
    story.deny("bob", "task:x", holder="cid")


@planted(ORDER)
def a_denial_names_who_is_gone(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.deny("bob", "task:x", holder="ann")


@planted(ORDER)
def work_that_nobody_finished_is_said_to_be_finished(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.deny("bob", "task:x", "completed", "ann")


@planted("no completion is lost")
def a_completion_is_lost(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x")
    story.rewrite("history", "task:x/0000000001", ended="abandoned", cause="expired")


@planted(ORDER)
def finished_work_is_granted_again(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x")
    story.claim("bob", "task:x")


@planted(ORDER)
def another_is_granted_it_before_the_deadline(story: Story) -> None:
    story.claim("ann", "task:x", ttl=60.0)
    story.live["task:x"]["deadline"] = story.now + 5.0
    story.expire("task:x")
    story.claim("bob", "task:x")


@planted("no early expiry")
def a_claim_ends_before_its_deadline(story: Story) -> None:
    story.claim("ann", "task:x", ttl=60.0)
    story.live["task:x"]["deadline"] = story.now + 50.0
    story.expire("task:x")


@planted("no early expiry")
def a_renewal_is_forgotten(story: Story) -> None:
    story.claim("ann", "task:x", ttl=5.0)
    story.renew("task:x", ttl=30.0)
    story.live["task:x"]["deadline"] = story.now + 5.0
    story.expire("task:x")


@planted("late expiry is bounded")
def a_claim_outlives_its_deadline(story: Story) -> None:
    story.claim("ann", "task:x", ttl=5.0)
    story.expire("task:x", after=40.0)


@planted(ORDER)
def who_has_lost_it_renews(story: Story) -> None:
    lost = story.claim("ann", "task:x", ttl=5.0)
    story.expire("task:x")
    story.claim("bob", "task:x")
    story.change(story.renew("task:x"), session="ann", args={"token": lost.answer["token"]})


@planted(ORDER)
def a_stale_holder_ends_the_claim_of_another(story: Story) -> None:
    lost = story.claim("ann", "task:x", ttl=5.0)
    story.expire("task:x")
    story.claim("bob", "task:x")
    story.change(story.end("task:x"), session="ann", args={"token": lost.answer["token"]})


@planted(ORDER)
def a_late_completion_takes_work_from_another(story: Story) -> None:
    lost = story.claim("ann", "task:x", ttl=5.0)
    story.expire("task:x")
    story.claim("bob", "task:x")
    args = {"key": "task:x", "token": lost.answer["token"]}
    story.call("ann", "complete", args, {"state": "completed", "attempt": 1, "session": "ann", "late": True})


@planted("each attempt ends once")
def an_attempt_ends_twice(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.revision += 1
    entry = {"session": "ann", "attempt": 1, "fencing_token": 1, "ended": "completed"}
    story.write("history", "task:x/0000000001", entry)


@planted("each attempt ends once")
def an_end_is_not_recorded(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.unwrite("history", "task:x/0000000001")


@planted("counters are right")
def a_grant_is_not_counted(story: Story) -> None:
    story.counters["granted"] -= 1


@planted("counters are right")
def a_completion_is_counted_twice(story: Story) -> None:
    story.counters["completed"] += 1


@planted("loose ends are what was left")
def a_loose_end_is_missing(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.unwrite("loose", "task:x")


@planted("loose ends are what was left")
def a_loose_end_stays_after_the_completion(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x")
    story.revision += 1
    story.write("loose", "task:x", {"session": "ann", "attempt": 1})


@planted("what expires is recorded")
def what_has_expired_is_not_recorded(story: Story) -> None:
    story.claim("ann", "task:x", ttl=5.0)
    story.revision, story.now = story.revision + 1, story.now + 10
    story.write("claim", "task:x", None)


@planted("the highest priority comes first")
def the_lower_priority_comes_first(story: Story) -> None:
    story.submit("pool:x", priority=7)
    story.submit("pool:y", priority=8)
    story.now += 60.0
    story.choose("cid", "pool:x", None)


@planted("dependencies come first")
def work_comes_before_what_it_depends_on(story: Story) -> None:
    story.submit("pool:x", priority=7)
    story.submit("pool:y", priority=8, depends=["pool:x"])
    story.claim("ann", "pool:x")
    story.choose("cid", "pool:y", None)


@planted("the pool hands out what is in it")
def what_is_not_in_the_pool_is_handed_out(story: Story) -> None:
    story.choose("cid", "pool:x", None)


@planted("one request is granted once")
def a_choice_is_granted_twice(story: Story) -> None:
    first = story.choose("cid", "task:x", ["task:x", "task:y"])
    second = story.choose("cid", "task:y", ["task:x", "task:y"])
    story.change(second, args={"request_id": first.args["request_id"]})
    story.rewrite("claim", "task:y", request_id=first.args["request_id"])


@planted("no denial while something was free")
def a_choice_is_denied_while_something_is_free(story: Story) -> None:
    story.claim("ann", "task:x")
    skipped = [{"key": "task:x", "reason": "held", "holder": "ann"}]
    args = {"candidates": ["task:x", "task:y"], "ttl": 60.0, "kind": ""}
    story.call("bob", "claim_next", args, {"is": "denied", "reason": "held", "skipped": skipped})


@planted(ORDER)
def a_reader_is_shown_the_past(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x")
    story.show("task:x", "claimed", "ann", 1, [])


@planted(ORDER)
def a_reader_misses_an_attempt(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x")
    story.show("task:x", "completed", "ann", 1, [])


@planted("what is known is not withdrawn")
def a_claim_is_withdrawn_that_its_holder_knows_of(story: Story) -> None:
    story.claim("ann", "task:x")
    story.end("task:x", "release")
    story.rewrite("history", "task:x/0000000001", withdrawn=True)


@planted(ORDER)
def what_was_said_to_have_changed_nothing_was_granted(story: Story) -> None:
    refused = story.claim("ann", "task:x")
    story.change(refused, answer={"error": "Unavailable"})
    story.deny("bob", "task:x")


@planted("no change without an answer that says so")
def what_was_said_to_have_changed_nothing_was_completed(story: Story) -> None:
    story.claim("ann", "task:x")
    done = story.end("task:x")
    story.change(done, answer={"error": "Unavailable"})
    story.rewrite("history", "task:x/0000000001", request_id=done.args["request_id"])


@planted("only what was asked for")
def a_claim_comes_from_nowhere(story: Story) -> None:
    story.calls.remove(story.claim("ann", "task:x"))


@planted("what is answered is stored")
def a_grant_was_never_stored(story: Story) -> None:
    story.claim("ann", "task:x")
    story.store = [event for event in story.store if not event.key.endswith("/task:x")]


@pytest.mark.parametrize("name", _PLANTED)
def test_it_complains_of_a_planted_fault(name: str) -> None:
    plant, rule = _PLANTED[name]
    story = right()
    plant(story)
    assert rule in rules(story.history())


def test_it_is_checked_by_at_least_twenty_faults() -> None:
    assert len(_PLANTED) >= 20


def test_what_is_in_doubt_may_have_been_done_or_not() -> None:
    story = right()
    story.forget(story.claim("ann", "task:x"))
    story.deny("bob", "task:x")
    story.claim("ann", "task:y")
    story.end("task:y", "release")
    unknown = story.calls[-1]
    story.forget(unknown)
    assert check(story.history().without_store()).findings == []
    # Nobody had it yet, so the claim in doubt was carried out later, or never.
    story.now += 100
    story.live.pop("task:x")
    story.call(
        "bob",
        "get",
        {"key": "task:x"},
        {"records": [{"key": "task:x", "state": "abandoned", "session": "ann", "attempt": 1}]},
    )
    assert check(story.history().without_store()).findings == []
    story.call("bob", "get", {"key": "task:x"}, {"records": [{"key": "task:x", "state": "available"}]})
    assert ORDER in rules(story.history().without_store())


def test_what_happens_at_the_same_time_has_whichever_order_fits() -> None:
    story = Story()
    claimed = story.claim("ann", "task:x")
    ended = story.end("task:x", "release")
    other = story.claim("bob", "task:x")
    story.change(ended, ended=other.ended + 1)
    story.change(claimed, ended=other.ended + 2)
    assert check(story.history()).findings == []


def test_a_fault_excuses_what_comes_late_after_it() -> None:
    story = right()
    a_claim_outlives_its_deadline(story)
    assert "late expiry is bounded" in rules(story.history())
    story.faults.append(Fault("kill", story.now - 20.0, story.now - 5.0))
    assert check(story.history()).findings == []


def test_a_history_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    story = right()
    story.forget(story.claim("ann", "task:x"))
    story.faults.append(Fault("kill", 1.0, 2.0, "m1"))
    path = tmp_path / "history.jsonl"
    write_history(story.history(), path)
    assert read_history(path) == story.history()


def test_it_is_shrunk_to_what_is_wrong() -> None:
    story = right()
    for number in range(30):
        story.claim("ann", "task:x")
        story.deny("bob", "task:x")
        story.show(
            "task:x", "claimed", "ann", number + 1, [(past + 1, "ann", "abandoned", False) for past in range(number)]
        )
        story.end("task:x", "release")
    story.deny("bob", "task:x", holder="ann")
    story.claim("cid", "task:x")
    whole = replace(story.history(), store=())
    (finding,) = check(whole).findings
    small = shrink(whole, finding)
    assert [each.rule for each in check(small).findings] == [ORDER]
    # The claims and releases, and the one denial.
    assert len(small.calls) == 61
