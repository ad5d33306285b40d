"""Submit, through the client, the command line and a coordinator."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from coordinator import AsyncClient, Client, InvalidInput, NewWork, NotFound, PoolState, Refused, Submission, Submitted
from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.finish import FinishCommand, release
from coordinator.engine.forget import forget
from coordinator.engine.layout import FleetPaths
from coordinator.engine.pool.submit import SubmitCommand, submit
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Range, Txn
from coordinator.keys import KeyRules, WorkKey
from coordinator.recorder import NullRecorder
from coordinator.server_limits import LimitSettings
from coordinator.service.admission.budgets import Payer, WriteBudgets
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.pool_sizes import PoolSizes
from coordinator.service.request_fields import Keyed
from coordinator.service.submissions import Submissions, Submitting
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.store.storage_quota import SpaceWatch
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import SUBMITTED
from tests.conftest import Coordination, RunCoordinator, RunningCoordinator, RunningEtcd

T = TypeVar("T")


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        yield client


def test_work_is_submitted_updated_and_withdrawn(client: Client) -> None:
    assert client.submit("s-1", "task:a", brief="do it", priority=2) == Submission(
        "task:a", Submitted.CREATED, typed_key="task:a"
    )
    assert client.submit("s-1", "task:a", priority=3).outcome is Submitted.UPDATED
    work = client.get("task:a").work
    assert work is not None
    assert (work.state, work.priority, work.brief, work.submitted_by) == (PoolState.POOLED, 3, "do it", "s-1")
    assert client.submit("s-1", "task:a", withdraw=True).outcome is Submitted.WITHDRAWN
    with pytest.raises(NotFound, match="not in the pool"):
        client.submit("s-1", "task:a", withdraw=True)


def test_who_claims_it_gets_the_brief_and_what_it_waits_for(client: Client) -> None:
    client.submit("s-1", "task:a", brief="do it", depends=["task:b", "task:c"])
    client.claim("s-2", "task:b")
    client.complete("s-2", "task:b")
    claim = client.claim("s-2", "task:a")
    assert (claim.brief, claim.blocked_by) == ("do it", ("task:c",))
    client.complete("s-2", "task:a")
    work = client.get("task:a").work
    assert work is not None
    assert work.state is PoolState.COMPLETED
    with pytest.raises(Refused, match="already completed by s-2"):
        client.submit("s-1", "task:a")
    assert client.submit("s-1", "task:a", reopen=True).outcome is Submitted.UPDATED
    assert client.claim("s-3", "task:a").brief == "do it"


def test_work_that_fails_too_often_is_failed_until_it_is_put_back(client: Client) -> None:
    client.submit("s-1", "task:a")
    for number in range(3):
        client.claim(f"s-{number}", "task:a")
        client.release(f"s-{number}", "task:a", reason="exit 1", failed=True)
    work = client.get("task:a").work
    assert work is not None
    assert (work.state, work.failure_count) == (PoolState.FAILED, 3)
    assert [(each.session, each.reason) for each in work.failures] == [(f"s-{n}", "exit 1") for n in range(3)]
    client.reopen("task:a", reason="the service was down")
    work = client.get("task:a").work
    assert work is not None
    assert (work.state, work.failure_count) == (PoolState.POOLED, 0)


def test_a_circle_is_refused_and_told(client: Client) -> None:
    client.submit("s-1", "task:a", depends=["task:b"])
    client.submit("s-1", "task:b", depends=["task:c"])
    with pytest.raises(Refused, match="task:c waits for task:a waits for task:b waits for task:c"):
        client.submit("s-1", "task:c", depends=["task:a"])
    with pytest.raises(Refused, match="would wait for itself"):
        client.submit("s-1", "task:d", depends=["task:d"])


def test_what_would_wait_for_too_much_is_refused_as_such(client: Client, coordination: Coordination) -> None:
    """Not as the claim of another session: who submits holds none."""
    parts = [NewWork(f"task:{n}", depends=tuple(f"task:{n}-{each}" for each in range(25))) for n in range(4)]
    client.submit_many("s-1", parts)
    depends = [each.key for each in parts]
    (refused,) = client.submit_many("s-1", [NewWork("task:last", depends=tuple(depends))])
    assert type(refused) is Refused
    assert refused.message == (
        "task:last would depend on more than 100 pieces of work, directly or through others; at most 100 are allowed"
    )
    with pytest.raises(Refused) as alone:
        client.submit("s-1", "task:last", depends=depends)
    assert type(alone.value) is Refused
    named = [part for each in depends for part in ("--depends", each)]
    done = coordination("work-submit", "task:last", *named, "--session", "s-1")
    assert (done.returncode, done.stdout) == (1, "")


def test_many_are_answered_each_for_itself(client: Client) -> None:
    work = [NewWork(f"task:{number}", number) for number in range(250)]
    outcomes = client.submit_many("s-1", [*work, NewWork(""), NewWork("task:b", depends=("task:1", "task:never"))])
    assert all(isinstance(each, Submission) for each in outcomes[:250])
    assert isinstance(outcomes[250], InvalidInput)
    assert outcomes[251] == Submission("task:b", Submitted.CREATED, ("task:never",), "task:b")
    last = client.get("task:249").work
    assert last is not None
    assert last.priority == 249


@pytest.mark.parametrize("first_depends", [True, False])
def test_of_two_that_are_the_same_work_the_later_one_counts(client: Client, *, first_depends: bool) -> None:
    depends = (("task:b",), None) if first_depends else (None, ("task:b",))
    work = [NewWork("task:a", priority=number, depends=each) for number, each in enumerate(depends)]
    first, second = client.submit_many("s-1", [*work, NewWork("task:c", depends=("task:a",))])[:2]
    assert isinstance(first, Submission)
    assert isinstance(second, Submission)
    assert (first.outcome, second.outcome) == (Submitted.CREATED, Submitted.UPDATED)
    found = client.get("task:a").work
    assert found is not None
    assert (found.priority, found.depends) == (1, ("task:b",))


def test_a_repeated_request_takes_effect_once(client: Client) -> None:
    client.submit("s-1", "task:a", priority=1, request_id="r-1")
    client.submit("s-2", "task:a", priority=2)
    assert client.submit("s-1", "task:a", priority=1, request_id="r-1").outcome is Submitted.CREATED
    work = client.get("task:a").work
    assert work is not None
    assert work.priority == 2


async def test_of_two_submissions_that_close_a_circle_at_once_one_is_refused(
    coordinator: RunningCoordinator, fleet: str
) -> None:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        # Busy, so that what comes meanwhile travels together.
        for number in range(10):
            one, other = f"task:{number}-a", f"task:{number}-b"
            load = [client.submit("s-1", f"task:{number}-{each}") for each in range(10)]
            both = [client.submit("s-1", one, depends=[other]), client.submit("s-1", other, depends=[one])]
            outcomes = (await asyncio.gather(*load, *both, return_exceptions=True))[-2:]
            assert [isinstance(each, Refused) for each in outcomes].count(True) == 1, outcomes


@pytest.mark.long
async def test_of_two_submissions_that_close_a_circle_at_two_replicas_one_is_refused(
    coordinator: RunningCoordinator, run_coordinator: RunCoordinator, etcd: RunningEtcd, fleet: str
) -> None:
    with run_coordinator("serve", "--etcd", etcd.endpoint) as second:
        async with (
            AsyncClient(coordinator.endpoint, fleet=fleet, timeout=60) as here,
            AsyncClient(second.endpoint, fleet=fleet, timeout=60) as there,
        ):
            for number in range(200):
                one, other, between = (f"acme/{name}#{number + 1}" for name in ("one", "other", "between"))
                # Every other circle has a third piece in it.
                await here.submit("s-1", between, depends=[one])
                closing = between if number % 2 else f"https://github.com/acme/one/issues/{number + 1}"
                both = here.submit("s-1", one, depends=[other]), there.submit("s-2", other, depends=[closing])
                outcomes = await asyncio.gather(*both, return_exceptions=True)
                assert [isinstance(each, Refused) for each in outcomes].count(True) == 1, outcomes


async def test_work_in_the_pool_is_not_forgotten(etcd_channel: EtcdChannel, fleet: str) -> None:
    paths, now = FleetPaths(fleet).of(WorkKey("task", "a")), datetime.now(UTC)
    runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())

    async def run(operation: Operation[T]) -> T:
        return await runner.run(lambda: operation, deadline=time.monotonic() + 20)

    await run(submit(SubmitCommand("s-1", "r-1", now), paths))
    await run(claim(ClaimCommand("s-1", "r-2", now), paths))
    await run(release(FinishCommand("s-1", "r-3", now), paths))
    (record,) = (await run(commit(Txn((), (Range(paths.record),))))).range(0).kvs
    assert not await run(forget(paths, record))
    await run(submit(SubmitCommand("s-1", "r-4", now, withdraw=True), paths))
    assert await run(forget(paths, record))
    assert not (await run(commit(Txn((), (Range(paths.work),))))).range(0).kvs


async def test_nothing_is_put_into_a_pool_that_is_full(etcd_channel: EtcdChannel, fleet: str) -> None:
    """What is in it may be changed and withdrawn, and then there is room again."""
    runner = Runner(etcd_channel, LeasePool(etcd_channel), NullRecorder())
    space = SpaceWatch(etcd_channel, quota_bytes=None)
    budgets = WriteBudgets(LimitSettings(), lambda: 1 << 33, NullRecorder())
    submissions = Submissions(Metering(runner, budgets, space), PoolSizes(runner, most=3))

    asked: list[str] = []

    async def ask(*keys: str, withdraw: bool = False) -> list[str]:
        """Return what is answered for each."""
        wanted = []
        for each in keys:
            request_id = f"{each} {withdraw} {len(asked)}"
            asked.append(request_id)
            command = SubmitCommand("s-1", request_id, datetime.now(UTC), withdraw=withdraw)
            keyed = Keyed.read(fleet, each, KeyRules())
            wanted.append(Submitting(pb.SubmitItem(work_key=each, request_id=request_id), keyed, command))
        results = await submissions.submit(wanted, Payer(fleet, "session", "s-1"), deadline=time.monotonic() + 20)
        return [each.error.code or SUBMITTED[each.answer.outcome].value for each in results]

    await ask("task:a", "task:b")
    # Counted less than a second ago, and what was put in since is added.
    assert await ask("task:c") == ["created"]
    assert await ask("task:d", "task:a") == ["RESOURCE_EXHAUSTED", "updated"]
    assert await ask("task:b", withdraw=True) == ["withdrawn"]
    submissions = Submissions(Metering(runner, budgets, space), PoolSizes(runner, most=3))
    assert await ask("task:d") == ["created"]
    submissions = Submissions(Metering(runner, budgets, space), PoolSizes(runner, most=3))
    assert await ask("task:e") == ["RESOURCE_EXHAUSTED"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"priority": 10**7}, "priority"),
        ({"brief": "x" * 16385}, "brief"),
        ({"depends": [f"task:{n}" for n in range(33)]}, "depends"),
        ({"depends": [""]}, "work_key"),
    ],
)
def test_what_is_too_much_is_refused(client: Client, more: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        client.submit("s-1", "task:a", **more)  # type: ignore[arg-type]  # wrong on purpose
    assert refused.value.field == field


def test_the_command_submits_shows_and_withdraws(coordination: Coordination, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return coordination(*arguments)

    brief = tmp_path / "brief"
    brief.write_text("first line\nsecond line\n")
    done = run("work-submit", "a", "--session", "s-1", "--brief-file", str(brief), "--depends", "b")
    assert (done.returncode, done.stdout) == (0, "submitted task:a\n")
    assert "nothing is known of task:b" in done.stderr
    shown = run("work-show", "task:a")
    assert "in the pool: priority 0, submitted by s-1" in shown.stdout
    assert "blocked by task:b" in shown.stdout
    lines = [{"key": "task:c", "priority": 5, "brief": "x", "depends": ["task:d"]}, {"key": "task:d"}, {"key": ""}]
    file = tmp_path / "work.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    answer = json.loads(run("--json", "work-submit", "--session", "s-1", "--from", str(file)).stdout)
    assert [each["outcome"] for each in answer["submitted"]] == ["created", "created", "refused"]
    assert answer["submitted"][2]["error"]["code"] == "INVALID_ARGUMENT"
    assert run("work-submit", "c", "--session", "s-1", "--withdraw").stdout == "withdrew task:c\n"
    again = run("work-submit", "c", "--session", "s-1", "--withdraw")
    assert (again.returncode, again.stderr.startswith("error: ")) == (1, True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "line 1 of --from is no JSON object"),
        ('{"key": "task:a", "prio": 1}', 'has "prio"; allowed are key, priority'),
        ('{"key": "task:a", "priority": true}', "priority in line 1 of --from must be a whole number"),
        ('{"key": "task:a", "depends": [1]}', "depends in line 1 of --from must be an array of texts"),
        ('{"priority": 1}', "line 1 of --from has no key"),
    ],
)
def test_a_wrong_line_is_refused(coordination: Coordination, tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "work.jsonl"
    file.write_text(line)
    done = coordination("work-submit", "--session", "s-1", "--from", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
