"""Whatever travels together, every caller gets the answer to its own transaction: random batches, a real etcd.

Poisoned members are mixed in: those that etcd refuses together with their neighbours, and those that it refuses always.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest
from conftest import RunningEtcd
from history_store import check, read_fleet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.engine.claiming import ClaimCommand, claim
from coordinator.engine.finishing import FinishCommand, complete, release
from coordinator.engine.layout import ROOT, FleetPaths, WorkPaths
from coordinator.engine.reading import get
from coordinator.engine.renewing import RenewCommand, renew
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import Delete, KeyValue, Put, Range, Txn, TxnReply, end_of_prefix, is_absent
from coordinator.errors import InternalError, NotHolder
from coordinator.keys import WorkKey
from coordinator.model import Claim, Denial, DenialReason, Outcome, Record, State, Story
from coordinator.recorder import NullRecorder
from coordinator.store.channel import EtcdChannel, Method, Methods
from coordinator.store.codec import decode_txn, encode_txn
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.failures import LeaseGone
from coordinator.store.group_commit import GroupCommit
from coordinator.store.leases import LeasePool
from coordinator.store.runner import Runner

T = TypeVar("T")
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))
#: A lease that nobody has granted.
DEAD = 0x7E57_0000_0000_0001
#: Some of these fill a batch.
LARGE = b"x" * (300 * 1024)
#: More than etcd's limit on a request, 1.5 MiB, and less than its gRPC server's, which is half a MiB above that.
TOO_LARGE = b"x" * (1600 * 1024)
#: LeaseRevokeRequest has the lease's id where LeaseTimeToLiveRequest has it, and its response is a bare header.
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc.PutResponse)


class Batches(NullRecorder):
    """Hears how many travelled together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch_sent(self, size: int) -> None:
        self.sizes.append(size)


class Replica:
    """What one coordinator has between its callers and etcd, on an event loop of its own."""

    def __init__(self, endpoint: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.batches = Batches()
        self.channel = self.run(self._open(endpoint))
        self.commits = GroupCommit(self.channel, self.batches)
        self.pool = LeasePool(self.channel)
        self.runner = Runner(self.channel, self.pool, self.batches)

    @staticmethod
    async def _open(endpoint: str) -> EtcdChannel:
        return EtcdChannel([endpoint])

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def together(self, coroutines: Sequence[Awaitable[Any]]) -> list[Any]:
        """Run them at once; an error takes the place of a result."""

        async def gather() -> list[Any]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return self.run(gather())

    def commit(self, *txns: Txn) -> list[TxnReply | BaseException]:
        return self.together([self.commits.commit(txn, deadline=soon()) for txn in txns])

    def directly(self, txn: Txn) -> TxnReply:
        return decode_txn(self.run(self.channel.call(Methods.TXN, encode_txn(txn), deadline=soon())))

    def read(self, prefix: bytes) -> dict[bytes, KeyValue]:
        reply = self.directly(Txn((), (Range(prefix, end_of_prefix(prefix)),)))
        return {kv.key: kv for kv in reply.range(0).kvs}

    def close(self) -> None:
        self.run(self.channel.close())
        self._loop.close()


@pytest.fixture(scope="module")
def shared_replica(etcd: RunningEtcd) -> Iterator[Replica]:
    replica = Replica(etcd.endpoint)
    yield replica
    replica.close()


@pytest.fixture
def replica(shared_replica: Replica) -> Replica:
    shared_replica.batches.sizes.clear()
    return shared_replica


def soon() -> float:
    return time.monotonic() + 20


def fresh_prefix() -> bytes:
    return f"{ROOT}batch-{uuid.uuid4().hex[:12]}/".encode()


# ---- single transactions


class Member(NamedTuple):
    """A member of a batch. ``number`` tells it from others, and is what it writes."""

    kind: str
    number: int

    @property
    def name(self) -> bytes:
        return b"%s/%04d" % (self.kind.encode(), self.number)


#: Kinds of which only one is in a batch, since it is slow, or one is as good as many.
RARE = ("too large", "too many operations", "twice itself")
KINDS = (
    "free",
    "free",
    "free",
    "taken",
    "contended",
    "twins",
    "dead lease",
    "untaken dead lease",
    "read",
    "large",
    "gone",
)


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=40))
    kinds += draw(st.lists(st.sampled_from(RARE), unique=True, max_size=2))
    return [Member(kind, number) for number, kind in enumerate(draw(st.permutations(kinds)))]


def txn_of(member: Member, prefix: bytes) -> Txn:
    own, taken, contended, value = prefix + member.name, prefix + b"taken", prefix + b"contended", b"%d" % member.number
    put, seen = Put(own, value), (Range(own),)
    free = Txn((is_absent(own),), (put,), seen)
    txns = {
        "contended": Txn((is_absent(contended),), (Put(contended, value),), (Range(contended),)),
        # Nothing that they compare tells that they write the same key.
        "twins": free._replace(success=(Put(prefix + b"twins", value), put)),
        "dead lease": free._replace(success=(Put(own, value, DEAD),)),
        "untaken dead lease": Txn((is_absent(taken),), (Put(own, value, DEAD),), (Range(taken),)),
        # Each is about a key of its own, and all find the same.
        "taken": Txn((is_absent(own), is_absent(taken)), (put,), (Range(taken),)),
        "read": Txn((), (Range(taken),)),
        "gone": Txn((is_absent(own),), (Delete(own), Delete(prefix + b"gone"))),
        "large": free._replace(success=(Put(own, LARGE),)),
        "too large": free._replace(success=(Put(own, TOO_LARGE),)),
        "too many operations": free._replace(success=tuple(Put(own + b"/%d" % index, value) for index in range(130))),
        "twice itself": free._replace(success=(put, put)),
    }
    return txns.get(member.kind, free)


#: What a member that is refused always is told.
GUILTY = {
    "dead lease": (LeaseGone, "lease not found"),
    "too large": (InternalError, "too large"),
    "too many operations": (InternalError, "too many operations"),
    "twice itself": (InternalError, "duplicate key"),
}


def check_answer(
    member: Member, answer: TxnReply | BaseException, prefix: bytes, stored: dict[bytes, KeyValue]
) -> None:
    own = stored.get(prefix + member.name)
    if member.kind in GUILTY:
        kind, message = GUILTY[member.kind]
        assert isinstance(answer, kind), (member, answer)
        assert message in str(answer)
        assert own is None
        return
    assert isinstance(answer, TxnReply), (member, answer)
    match member.kind:
        case "taken" | "untaken dead lease":
            assert not answer.succeeded
            assert answer.range(0).kvs == (stored[prefix + b"taken"],)
            assert own is None
        case "read":
            assert answer.range(0).kvs == (stored[prefix + b"taken"],)
        case "gone":
            assert answer.succeeded
        case "contended":
            won = stored[prefix + b"contended"]
            assert answer.succeeded == (won.value == b"%d" % member.number)
            assert won.create_revision == won.mod_revision
            if answer.succeeded:
                assert answer.revision == won.create_revision
            else:
                assert answer.range(0).kvs == (won,)
        case _:
            assert answer.succeeded
            assert own is not None
            # Written once, by the transaction that was answered.
            assert own.create_revision == own.mod_revision == answer.revision


@settings(COMMON, max_examples=100)
@given(batch=members())
def test_everybody_is_answered_for_itself_whoever_is_in_the_batch(replica: Replica, batch: list[Member]) -> None:
    """Case 7: a batch with a duplicate key, a dead lease and a denied key; innocents get their own right answers."""
    prefix = fresh_prefix()
    replica.directly(Txn((), (Put(prefix + b"taken", b"before"), Put(prefix + b"gone", b"before"))))
    answers = replica.commit(*(txn_of(member, prefix) for member in batch))
    stored = replica.read(prefix)
    for member, answer in zip(batch, answers, strict=True):
        check_answer(member, answer, prefix, stored)
    kinds = [member.kind for member in batch]
    contended = [answer for kind, answer in zip(kinds, answers, strict=True) if kind == "contended"]
    assert sum(isinstance(answer, TxnReply) and answer.succeeded for answer in contended) == bool(contended)
    twins = [stored[prefix + member.name].mod_revision for member in batch if member.kind == "twins"]
    assert len(set(twins)) == len(twins), "each of them wrote the same key, so no two at one revision"
    assert (prefix + b"gone" in stored) == ("gone" not in kinds)


def test_a_duplicate_key_a_dead_lease_and_a_denied_key_in_one_batch(replica: Replica) -> None:
    """Case 7 in the small: all of them travel in one batch first, and are told apart by splitting it."""
    prefix = fresh_prefix()
    replica.directly(Txn((), (Put(prefix + b"taken", b"before"),)))
    kinds = ["free", "twins", "taken", "dead lease", "twins", "untaken dead lease", "free"]
    batch = [Member(kind, number) for number, kind in enumerate(kinds)]
    answers = replica.commit(*(txn_of(member, prefix) for member in batch))
    stored = replica.read(prefix)
    for member, answer in zip(batch, answers, strict=True):
        check_answer(member, answer, prefix, stored)
    assert replica.batches.sizes[0] == len(batch)


# ---- whole operations

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
            return get(paths, now)


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
    """Have every lease die that the pool would hand out; the pool is not told."""
    for pooled in replica.pool._open:
        request = rpc.LeaseTimeToLiveRequest(id=pooled.id)
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
    """Check what the holder was told of the one thing it did."""
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
            assert isinstance(answer, Story), answer


def check_other(asking: Asking, answer: Any, holder: Claim, then: str) -> bool:
    """Check what somebody else was told while the holder did ``then``; return whether it was granted the work."""
    if asking.verb == "get":
        assert isinstance(answer, Story), answer
        return False
    if asking.verb == "claim":
        if isinstance(answer, Claim):
            assert then == "release"
            assert answer.session == SESSIONS[asking.session]
            assert answer.attempt > holder.attempt
            assert answer.fencing_token > holder.fencing_token
            return True
        assert isinstance(answer, Denial), answer
        # What was released may have been claimed and completed by somebody else in between.
        assert answer.reason is DenialReason.HELD or then in ("complete", "release")
        return False
    # Whoever is granted what was released in this round, and also asked for this, may have been let do it.
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
