"""What the pool hands out, to whom and when, through clients and a coordinator."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator import (
    AsyncClient,
    Cause,
    Claim,
    ClaimDenied,
    Client,
    Denial,
    InvalidInput,
    NewWork,
    NothingFree,
    SkipReason,
    Submission,
)
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import Coordination, RunCoordinator, RunEtcd, RunningCoordinator
from tests.expiry_waiting import await_expiry


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client


def why(client: Client, session: str) -> NothingFree | None:
    answer = client.try_claim_next(session)
    assert isinstance(answer, Denial), answer
    assert answer.choice is not None
    return answer.choice.nothing_free


def test_the_highest_priority_comes_first_and_then_what_was_submitted_first(client: Client) -> None:
    for key, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1)):
        client.submit("s-0", f"task:{key}", priority=priority, brief=f"do {key}")
    taken = [client.claim_next(f"s-{number}") for number in range(4)]
    assert [claim.work_key for claim in taken] == ["task:b", "task:a", "task:c", "task:d"]
    assert [claim.brief for claim in taken] == ["do b", "do a", "do c", "do d"]
    assert why(client, "s-9") is NothingFree.HELD


def test_work_waits_for_what_it_depends_on(client: Client) -> None:
    client.submit("s-0", "task:a", depends=["task:b"], priority=9)
    client.submit("s-0", "task:b")
    assert client.claim_next("s-1").work_key == "task:b"
    assert why(client, "s-2") is NothingFree.HELD
    client.complete("s-1", "task:b")
    assert client.claim_next("s-2").work_key == "task:a"
    client.complete("s-2", "task:a")
    assert why(client, "s-2") is NothingFree.EMPTY


async def test_work_whose_claim_has_expired_waits_for_what_it_depends_on_too(
    coordinator: RunningCoordinator, etcd_channel: EtcdChannel, fleet: str
) -> None:
    """Nothing records here that it has expired, so that the view of the pool still has it as held."""
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        await client.submit("s-0", "task:a")
        assert (await client.claim_next("s-1", ttl=5)).work_key == "task:a"
        await client.submit("s-0", "task:a", depends=["task:b"])
        await await_expiry(etcd_channel, fleet)
        with pytest.raises(ClaimDenied):
            await client.claim_next("s-2")
        await client.claim("s-3", "task:b")
        await client.complete("s-3", "task:b")
        assert (await client.claim_next("s-2")).work_key == "task:a"


def test_what_was_completed_before_it_was_named_holds_up_nothing(client: Client) -> None:
    client.submit("s-0", "task:first")
    assert client.claim_next("s-1").work_key == "task:first"
    client.complete("s-1", "task:first")
    client.submit("s-0", "task:a", depends=["task:first"])
    client.submit("s-0", "task:z", depends=["task:never"], priority=9)
    assert client.claim_next("s-1").work_key == "task:a"
    client.complete("s-1", "task:a")
    assert why(client, "s-1") is NothingFree.BLOCKED


def test_what_was_given_back_is_offered_to_no_session_for_a_minute(client: Client) -> None:
    client.submit("s-0", "task:a")
    client.claim_next("s-1")
    client.release("s-1", "task:a", reason="I cannot reach it")
    answer = client.try_claim_next("s-2")
    assert isinstance(answer, Denial)
    assert answer.choice is not None
    assert answer.choice.nothing_free is NothingFree.BLOCKED
    assert answer.choice.skipped_counts == ((SkipReason.RETURNED, 1),)
    assert answer.retry_after_seconds is not None
    assert 50 < answer.retry_after_seconds <= 60
    assert client.claim("s-2", "task:a").attempt == 2


def test_failed_work_is_reported_apart(client: Client) -> None:
    client.submit("s-0", "task:a")
    for number in range(3):
        client.claim(f"s-{number}", "task:a")
        client.release(f"s-{number}", "task:a", failed=True)
    assert why(client, "s-9") is NothingFree.FAILED
    client.reopen("task:a", reason="try again")
    assert client.claim_next("s-9").work_key == "task:a"


def test_withdrawn_work_is_not_handed_out_and_kinds_are_kept_apart(client: Client) -> None:
    client.submit_many("s-0", [NewWork("task:a"), NewWork("blog:b"), NewWork("task:c", 3)])
    client.submit("s-0", "task:c", withdraw=True)
    assert client.claim_next("s-1", kind="blog").work_key == "blog:b"
    assert client.claim_next("s-1").work_key == "task:a"
    with pytest.raises(ClaimDenied):
        client.claim_next("s-2", kind="blog")
    with pytest.raises(InvalidInput, match="candidates are named"):
        client.claim_next("s-2", ["task:x"], kind="blog")


def test_a_repeated_request_gets_the_same_work(client: Client) -> None:
    client.submit_many("s-0", [NewWork("task:a", brief="x"), NewWork("task:b")])
    first = client.claim_next("s-1", request_id="r-1")
    again = client.claim_next("s-1", request_id="r-1")
    assert (first.work_key, first.fencing_token) == (again.work_key, again.fencing_token)
    assert again.brief == "x"
    assert client.claim_next("s-1").work_key == "task:b"


def test_a_pause_and_a_limit_hold(client: Client) -> None:
    client.submit_many("s-0", [NewWork("task:a", 9), NewWork("blog:b")])
    client.set_policy("task", max_live=0)
    explained = client.try_claim_next("s-1", explain=True)
    assert isinstance(explained, Denial)
    assert explained.work_key == "blog:b"
    assert explained.choice is not None
    assert explained.choice.skipped_counts == ((SkipReason.LIMIT, 1),)
    assert client.claim_next("s-1").work_key == "blog:b"
    client.set_policy("task", max_live=1)
    assert client.claim_next("s-1").work_key == "task:a"


def test_explain_claims_nothing(client: Client, coordination: Coordination) -> None:
    client.submit_many("s-0", [NewWork("task:a"), NewWork("task:b", 5, depends=("task:a",))])
    done = coordination("work-next", "--explain", "--session", "s-1")
    assert (done.returncode, done.stdout) == (0, "would hand out task:a\n  1 blocked\n  task:b: blocked\n")
    explained = json.loads(coordination("--json", "work-next", "--explain", "--session", "s-1").stdout)
    assert (explained["outcome"], explained["work_key"]) == ("explained", "task:a")
    taken = coordination("work-next", "--session", "s-1")
    assert taken.stdout.startswith("claimed task:a ")
    nothing = coordination("work-next", "--session", "s-2")
    assert (nothing.returncode, nothing.stdout) == (
        1,
        "DENIED: nothing is free: 1 of 2 is held, 1 is waiting for other work\n",
    )
    assert "others are at the rest" in nothing.stderr


async def test_each_piece_is_done_once_and_in_order(coordinator: RunningCoordinator, fleet: str) -> None:
    # Work that depends on other work is submitted one by one, which takes seconds on a busy machine.
    async with AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as client:
        work = [NewWork(f"task:{n}", depends=(f"task:{n - 10}",) if n >= 10 else ()) for n in range(100)]
        submitted = await client.submit_many("s-0", work)
        assert [each for each in submitted if not isinstance(each, Submission)] == []
        done: list[str] = []

        async def worker(session: str) -> None:
            while len(done) < 100:
                # It waits, and does not ask again and again while others are at what the rest depends on.
                answer = await client.try_claim_next(session, wait=60)
                if isinstance(answer, Claim):
                    await client.complete(session, answer.work_key)
                    done.append(answer.work_key)

        async with asyncio.timeout(120):
            await asyncio.gather(*(worker(f"s-{number}") for number in range(8)))
        places = {key: place for place, key in enumerate(done)}
        assert len(places) == 100
        assert all(places[f"task:{n - 10}"] < places[f"task:{n}"] for n in range(10, 100))


def test_without_a_reaper_the_next_caller_records_a_failure_and_gets_the_work(
    run_etcd: RunEtcd, run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    """An expiry counts if another session wrote in its last third, on a busy machine perhaps not the first one."""
    with (
        run_etcd(tmp_path / "etcd") as etcd,
        run_coordinator("serve", "--etcd", etcd.endpoint, "--no-reaper") as own,
        Client(own.endpoint) as client,
    ):
        client.submit("s-0", "task:a", brief="do it")
        assert isinstance(client.try_claim_next("s-1", kind="blog"), Denial)  # from now on the pool is followed
        client.claim_next("s-1", ttl=5)
        client.claim("writer", "task:other", ttl=600)
        for attempt in itertools.count(2):
            while isinstance(answer := client.try_claim_next(f"s-{attempt}", ttl=5), Denial):
                client.renew("writer", "task:other")
                time.sleep(0.05)
            assert (answer.work_key, answer.attempt, answer.brief) == ("task:a", attempt, "do it")
            found = client.get("task:a").work
            assert found is not None
            failures = found.failures
            if failures:
                break
        assert [(each.session, each.attempt, each.cause) for each in failures] == [
            (f"s-{attempt - 1}", attempt - 1, Cause.EXPIRED)
        ]
