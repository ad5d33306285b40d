"""Operations that travel together come out as if each were alone: random rounds of claims, renewals and endings.

Poisoned transactions are mixed in, and leases that die unknown to the pool.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.details import get
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.layout import ROOT, FleetPaths, WorkPaths
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.steps import Operation
from coordinator.errors import NotHolder
from coordinator.keys import WorkKey
from coordinator.model import Claim, Denial, DenialReason, Outcome, Record, State, WorkDetails
from coordinator.store.etcd.errors import LeaseGone
from coordinator.store.etcd.methods import Method
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunningEtcd
from tests.property.batch_world import Member, Replica, check_answer, fresh_prefix, soon, txn_of
from tests.property.history_store import check, read_fleet

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))
#: LeaseRevokeRequest has the lease's id where LeaseTimeToLiveRequest has it, and its response is a bare header.
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc.PutResponse)


@pytest.fixture(scope="module")
def shared_replica(etcd: RunningEtcd) -> Iterator[Replica]:
    replica = Replica(etcd.endpoint)
    yield replica
    replica.close()


@pytest.fixture
def replica(shared_replica: Replica) -> Replica:
    shared_replica.batches.sizes.clear()
    return shared_replica


SESSIONS = tuple(f"session-{number}" for number in range(4))
WORK = tuple(WorkKey("task", f"work-{number}") for number in range(8))


class Asking(NamedTuple):
    """A request of a session for a work key. The numbers index ``SESSIONS`` and ``WORK``."""

    verb: str
    session: int
    work: int


CLAIMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=40)
#: What the holder does with each work key next.
NEXT = st.lists(st.sampled_from(("renew", "complete", "release", "get")), min_size=8, max_size=8)
OTHERS = st.lists(
    st.builds(
        Asking,
        verb=st.sampled_from(("claim", "renew", "complete", "release", "get")),
        session=st.integers(0, 3),
        work=st.integers(0, 7),
    ),
    max_size=30,
)
POISON = st.lists(st.sampled_from(("dead lease", "twins", "twice itself", "too many operations")), max_size=4)


def operation_of(asking: Asking, paths: WorkPaths, request: str) -> Operation[object]:
    session, now = SESSIONS[asking.session], datetime.now(UTC)
    match asking.verb:
        case "claim":
            return claim(ClaimCommand(session, request, now, 60.0, instance=request), paths)
        case "renew":
            return renew(RenewCommand(session, now, 60.0), paths)
        case "complete":
            return complete(FinishCommand(session, request, now), paths)
        case "release":
            return release(FinishCommand(session, request, now), paths)
        case _:
            return get(paths)


class Round:
    """Requests and poisoned transactions, sent to one replica at once."""

    def __init__(self, replica: Replica, fleet: FleetPaths, name: str) -> None:
        self.replica, self._fleet, self._name = replica, fleet, name

    def run(self, asked: Sequence[Asking], poison: Sequence[str]) -> list[Any]:
        """Return the answers to ``asked``; those to ``poison`` are checked here."""
        prefix = fresh_prefix()
        batch = [Member(kind, number) for number, kind in enumerate(poison)]
        calls: list[Awaitable[Any]] = [
            self.replica.runner.run(
                partial(operation_of, asking, self._fleet.of(WORK[asking.work]), f"{self._name}-{number}"),
                deadline=soon(),
            )
            for number, asking in enumerate(asked)
        ]
        calls += [self.replica.commits.commit(txn_of(member, prefix), deadline=soon()) for member in batch]
        answers = self.replica.together(calls)
        stored = self.replica.read(prefix)
        for member, answer in zip(batch, answers[len(asked) :], strict=True):
            check_answer(member, answer, prefix, stored)
        return answers[: len(asked)]


def revoke_open_leases(replica: Replica) -> None:
    """Have every lease die that the pool would hand out; the pool does not know."""
    for pooled in replica.pool._open:
        request = rpc.LeaseTimeToLiveRequest(id=pooled.id)
        # One that the pool has handed out before may have died by itself.
        with contextlib.suppress(LeaseGone):
            replica.run(replica.channel.call(LEASE_REVOKE, request, deadline=soon()))


def check_claims(asked: Sequence[Asking], answers: Sequence[Any]) -> dict[int, Claim]:
    """Check that of the claims of each work key one was granted, and return those."""
    holders: dict[int, Claim] = {}
    for asking, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, Claim | Denial), answer
        assert answer.work_key == str(WORK[asking.work])
        if isinstance(answer, Claim):
            assert answer.outcome is Outcome.GRANTED
            assert answer.session == SESSIONS[asking.session]
            assert asking.work not in holders, "granted twice"
            holders[asking.work] = answer
    for asking, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Denial):
            holder = holders[asking.work]
            assert (answer.reason, answer.holder) == (DenialReason.HELD, holder.session)
            assert answer.own_session == (holder.session == SESSIONS[asking.session])
    return holders


def check_finished(asking: Asking, answer: Any, holder: Claim) -> None:
    """Check the answer to the one request of the holder."""
    match asking.verb:
        case "renew":
            assert isinstance(answer, Claim), answer
            assert (answer.outcome, answer.fencing_token) == (Outcome.RENEWED, holder.fencing_token)
        case "complete" | "release":
            assert isinstance(answer, Record), answer
            ended = State.COMPLETED if asking.verb == "complete" else State.ABANDONED
            assert (answer.state, answer.session) == (ended, holder.session)
            assert answer.fencing_token == holder.fencing_token
        case _:
            assert isinstance(answer, WorkDetails), answer


def check_other(asking: Asking, answer: Any, holder: Claim, then: str) -> bool:
    """Check the answer to another session while the holder did ``then``; return whether it was granted the work."""
    if asking.verb == "get":
        assert isinstance(answer, WorkDetails), answer
        return False
    if asking.verb == "claim":
        if isinstance(answer, Claim):
            assert then == "release"
            assert answer.session == SESSIONS[asking.session]
            assert answer.attempt > holder.attempt
            assert answer.fencing_token > holder.fencing_token
            return True
        assert isinstance(answer, Denial), answer
        # What was released may have been claimed and completed by another in between.
        assert answer.reason is DenialReason.HELD or then in ("complete", "release")
        return False
    # A caller that is granted what was released in this round, and also asked for this, may have been let do it.
    assert isinstance(answer, NotHolder) or then == "release", answer
    return False


@settings(COMMON, max_examples=60)
@given(claims=CLAIMS, then=NEXT, others=OTHERS, poison=POISON, revoked=st.booleans())
def test_operations_in_random_batches_come_out_right(
    replica: Replica,
    claims: list[tuple[int, int]],
    then: list[str],
    others: list[Asking],
    poison: list[str],
    revoked: bool,
) -> None:
    """Case 7, by whole operations: claims of one key and of many, then what their holders and others do with them."""
    fleet = FleetPaths(f"batch-{uuid.uuid4().hex[:12]}")
    if revoked:
        revoke_open_leases(replica)
    asked = [Asking("claim", session, work) for session, work in claims]
    holders = check_claims(asked, Round(replica, fleet, "first").run(asked, poison))

    own = [Asking(then[work], SESSIONS.index(held.session), work) for work, held in holders.items()]
    foreign = [
        asking
        for asking in others
        if asking.work in holders and SESSIONS[asking.session] != holders[asking.work].session
    ]
    answers = Round(replica, fleet, "second").run(own + foreign, poison)
    for asking, answer in zip(own, answers, strict=False):
        check_finished(asking, answer, holders[asking.work])
    granted = [
        asking.work
        for asking, answer in zip(foreign, answers[len(own) :], strict=True)
        if check_other(asking, answer, holders[asking.work], then[asking.work])
    ]
    stored = read_fleet(fleet.fleet, replica.read(f"{ROOT}{fleet.fleet}/".encode()).values())
    assert set(stored) == {str(WORK[work]) for work in holders}
    for work, held in holders.items():
        found = stored[str(WORK[work])]
        check(found, {held.attempt: held.fencing_token})
        assert len(found.history) >= granted.count(work)
        if then[work] in ("renew", "get"):
            assert found.held is not None
            assert found.held.session == held.session
