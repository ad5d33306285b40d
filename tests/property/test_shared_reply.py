"""A reply made from the reply to another transaction is the one that etcd would have given.

Both transactions are committed to a real etcd one after the other; wherever a reply to the second could be made without
it, the two are compared, and so is what the second changed.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.layout import ROOT, FleetPaths, WorkPaths
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.shared_reply import answer_from
from coordinator.engine.steps import Lease, NeedLease, TimeLeft
from coordinator.engine.steps import Operation as EngineOperation
from coordinator.engine.transaction import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    Range,
    Relation,
    Target,
    Txn,
    TxnReply,
    end_of_prefix,
    is_absent,
    is_present,
    only_reads,
)
from coordinator.errors import InternalError, Refused
from coordinator.keys import WorkKey
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from tests.conftest import RunningEtcd
from tests.examples import examples

T = TypeVar("T")
NOW = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
EXAMPLES = examples(100)
COMMON = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


class Etcd:
    """A real etcd, an event loop to ask it on, and a lease that outlasts the test."""

    def __init__(self, endpoint: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._channel = self.run(self._open(endpoint))
        granted = self.run(self._channel.call(Methods.LEASE_GRANT, rpc.LeaseGrantRequest(ttl=3600), deadline=soon()))
        self.lease = Lease(int(granted.id), NOW + timedelta(hours=1), 3600.0)

    @staticmethod
    async def _open(endpoint: str) -> EtcdChannel:
        return EtcdChannel([endpoint])

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def commit(self, txn: Txn) -> TxnReply:
        return decode_txn(self.run(self._channel.call(Methods.TXN, encode_txn(txn), deadline=soon())))

    def read(self, prefix: bytes) -> dict[bytes, KeyValue]:
        reply = self.commit(Txn((), (Range(prefix, end_of_prefix(prefix)),)))
        return {kv.key: kv for kv in reply.range(0).kvs}

    def close(self) -> None:
        self.run(self._channel.close())
        self._loop.close()


@pytest.fixture(scope="module")
def store(etcd: RunningEtcd) -> Iterator[Etcd]:
    store = Etcd(etcd.endpoint)
    yield store
    store.close()


def soon() -> float:
    return time.monotonic() + 10


def fresh(what: str) -> str:
    return f"{what}-{uuid.uuid4().hex[:12]}"


def compare_with_etcd(store: Etcd, prefix: bytes, leader: Txn, follower: Txn) -> bool:
    """Commit both; return whether a reply to the follower could be made, having checked that it is etcd's own."""
    replied = store.commit(leader)
    shared = answer_from(leader, replied, follower)
    before = store.read(prefix)
    truth = store.commit(follower)
    after = store.read(prefix)
    if shared is None:
        return False
    assert truth.succeeded is shared.succeeded
    assert not truth.succeeded or before == after
    branch = follower.success if truth.succeeded else follower.failure
    nested = tuple(operation for operation in branch if isinstance(operation, Txn))
    assert shared.deferred == nested
    for operation, mine, etcds in zip(branch, shared.replies, truth.replies, strict=True):
        if isinstance(operation, Txn):
            assert isinstance(mine, TxnReply)
            assert isinstance(etcds, TxnReply)
            assert not mine.succeeded
            assert mine.replies == () == (() if etcds.succeeded else etcds.replies)
        else:
            assert mine == etcds
    noted = {operation.key for note in nested for operation in note.success if isinstance(operation, Put)}
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= noted
    # What was deferred brings about the rest.
    assert changed == noted or not all(reply.succeeded for reply in truth.replies if isinstance(reply, TxnReply))
    assert shared.revision == replied.revision
    return True


# ---- what the engine asks for


class Asking(NamedTuple):
    """A request of one of the engine's kinds, and which of its transactions is meant: the first one or its retry."""

    verb: str
    session: str
    request: str
    instance: str = ""
    reopen: bool = False
    ordinal: int = 1


ASKING = st.builds(
    Asking,
    verb=st.sampled_from(("claim", "claim", "claim", "claim", "renew", "complete", "release")),
    session=st.sampled_from(("session-1", "session-2", "session-3")),
    request=st.sampled_from(("request-1", "request-2", "request-3")),
    instance=st.sampled_from(("", "a", "b")),
    reopen=st.booleans(),
    ordinal=st.sampled_from((1, 1, 2)),
)


def ask(asking: Asking, paths: WorkPaths) -> EngineOperation[object]:
    match asking.verb:
        case "claim":
            command = ClaimCommand(
                asking.session, asking.request, NOW, 60.0, instance=asking.instance, reopen=asking.reopen
            )
            return claim(command, paths)
        case "renew":
            return renew(RenewCommand(asking.session, NOW, 60.0, instance=asking.instance), paths)
        case "complete":
            return complete(FinishCommand(asking.session, asking.request, NOW), paths)
        case _:
            return release(FinishCommand(asking.session, asking.request, NOW), paths)


def advance(store: Etcd, operation: EngineOperation[object], ordinal: int) -> Txn | None:
    """Run an operation up to its ``ordinal``-th transaction that may change something, 0 for its end."""
    answer: object = None
    seen = 0
    try:
        while True:
            step = operation.send(answer)
            answer = None
            if isinstance(step, Txn):
                seen += not only_reads(step)
                if ordinal and seen == ordinal:
                    return step
                answer = store.commit(step)
            elif isinstance(step, NeedLease):
                answer = store.lease
            elif isinstance(step, TimeLeft):
                answer = (3600.0,) * len(step.leases)
    except (StopIteration, Refused):
        return None


def test_what_the_engine_asks_for_is_answered_as_etcd_would(store: Etcd) -> None:
    tally: Counter[str] = Counter()

    @settings(COMMON)
    @given(before=st.lists(ASKING, max_size=4), leader=ASKING, follower=ASKING)
    def run(before: list[Asking], leader: Asking, follower: Asking) -> None:
        paths = FleetPaths(fresh("sharing")).of(WorkKey("task", "hot"))
        for asking in before:
            advance(store, ask(asking, paths), 0)
        first, second = (advance(store, ask(asking, paths), asking.ordinal) for asking in (leader, follower))
        if first is None or second is None:
            # It had its answer before it came to that, so there is nothing to share.
            first, second = (
                advance(store, ask(asking._replace(verb="claim"), paths), 1) for asking in (leader, follower)
            )
        assert first is not None
        assert second is not None
        answered = compare_with_etcd(store, paths.root.encode(), first, second)
        event("answered" if answered else "not answered")
        tally["answered" if answered else "not answered"] += 1

    run()
    assert tally["answered"] > 0.2 * tally.total(), tally


def test_claims_of_a_hot_key_are_answered_by_the_one_that_won(store: Etcd) -> None:
    paths = FleetPaths(fresh("sharing")).of(WorkKey("task", "hot"))
    first, second, third = (
        advance(store, ask(Asking("claim", f"session-{number}", f"request-{number}"), paths), 1) for number in (1, 2, 3)
    )
    assert first is not None
    assert second is not None
    assert third is not None
    assert compare_with_etcd(store, paths.root.encode(), first, second)
    assert compare_with_etcd(store, paths.root.encode(), second, third)


def test_a_renewal_does_not_show_when_the_claim_was_created(store: Etcd) -> None:
    paths = FleetPaths(fresh("sharing")).of(WorkKey("task", "hot"))
    advance(store, ask(Asking("claim", "session-1", "request-1"), paths), 0)
    renewal = advance(store, ask(Asking("renew", "session-1", "request-1"), paths), 1)
    other = advance(store, ask(Asking("claim", "session-2", "request-2"), paths), 1)
    assert renewal is not None
    assert other is not None
    reply = store.commit(renewal)
    assert reply.succeeded
    assert answer_from(renewal, reply, other) is None


def test_what_was_deleted_after_it_was_read_is_not_shown(store: Etcd) -> None:
    prefix = f"{ROOT}{fresh('sharing')}/".encode()
    first, second = prefix + b"a", prefix + b"b"
    store.commit(Txn((), (Put(first, b""), Put(second, b""))))
    everything = Delete(prefix, end_of_prefix(prefix))
    leader = Txn((is_absent(second),), (), (Range(first), Range(second), everything))
    follower = Txn((is_present(second),), (), (Range(first), Range(second)))
    assert compare_with_etcd(store, prefix, leader, follower)


# ---- anything at all


class Draft(NamedTuple):
    """An operation on one of two keys, or on a note of one's own; keys get their prefix when it is run."""

    what: str
    key: bytes
    value: bytes = b""


#: How a comparison stands to what is there before: most of them are about one of two keys, and many of them fail.
COMPARING = st.tuples(
    st.sampled_from((b"a", b"b")),
    st.sampled_from(("absent", "absent", "present", "unmodified", "recreated", "older", "never", "greater")),
)
KEYS = st.sampled_from((b"a", b"b"))
READING = st.builds(
    Draft, what=st.sampled_from(("range", "range", "range", "range", "count", "count", "all")), key=KEYS
)
WRITING = st.builds(
    Draft,
    what=st.sampled_from(("put", "put", "leased", "delete", "delete all", "delete all")),
    key=KEYS,
    value=st.binary(max_size=3),
)
NOTING = st.builds(Draft, what=st.sampled_from(("note", "note", "note", "nested", "nested delete")), key=KEYS)


class Drawn(NamedTuple):
    """A transaction before it is known what it meets."""

    compares: list[tuple[bytes, str]]
    success: list[Draft]
    failure: list[Draft]


LEADER = st.builds(
    Drawn,
    compares=st.lists(COMPARING, min_size=1, max_size=2),
    success=st.lists(st.one_of(WRITING, READING, NOTING), min_size=1, max_size=4),
    failure=st.lists(st.one_of(READING, READING, READING, WRITING, NOTING), max_size=3).map(
        lambda drafts: [Draft("range", b"a"), Draft("range", b"b"), *drafts]
    ),
)
FOLLOWER = st.builds(
    Drawn,
    compares=st.lists(COMPARING, min_size=1, max_size=2),
    success=st.lists(WRITING, max_size=2),
    failure=st.lists(st.one_of(READING, READING, READING, READING, NOTING), max_size=2),
)


def build(drawn: Drawn, prefix: bytes, known: dict[bytes, KeyValue], lease: int, name: bytes) -> Txn:
    def operation(number: int, draft: Draft) -> Operation:
        key, note = prefix + draft.key, prefix + b"note/" + name + b"/%d" % number
        built: dict[str, Callable[[], Operation]] = {
            "range": lambda: Range(key),
            "count": lambda: Range(key, count_only=True),
            "all": lambda: Range(prefix, end_of_prefix(prefix)),
            "put": lambda: Put(key, draft.value),
            "leased": lambda: Put(key, draft.value, lease),
            "delete": lambda: Delete(key),
            "delete all": lambda: Delete(prefix + b"a", prefix + b"c"),
            "note": lambda: Txn((is_present(key), is_absent(note)), (Put(note, name),)),
            "nested": lambda: Txn((is_absent(key),), (Put(key, name),), (Range(key),)),
            "nested delete": lambda: Txn((is_present(key),), (Range(key), Delete(key))),
        }
        return built[draft.what]()

    def comparison(key: bytes, how: str) -> Compare:
        found = known.get(prefix + key)
        created, modified = (found.create_revision, found.mod_revision) if found else (0, 0)
        revision, target, relation = {
            "absent": (0, Target.CREATE, Relation.EQUAL),
            "present": (0, Target.MOD, Relation.GREATER),
            "unmodified": (modified, Target.MOD, Relation.EQUAL),
            "recreated": (created, Target.CREATE, Relation.EQUAL),
            "older": (max(0, modified - 1), Target.MOD, Relation.EQUAL),
            "never": (1 << 40, Target.CREATE, Relation.GREATER),
            "greater": (modified, Target.MOD, Relation.GREATER),
        }[how]
        return Compare(prefix + key, target, relation, revision)

    return Txn(
        tuple(comparison(key, how) for key, how in drawn.compares),
        tuple(operation(number, draft) for number, draft in enumerate(drawn.success)),
        tuple(operation(number, draft) for number, draft in enumerate(drawn.failure)),
    )


def test_any_two_transactions_are_answered_as_etcd_would(store: Etcd) -> None:
    tally: Counter[str] = Counter()

    @settings(COMMON)
    @given(before=st.lists(st.tuples(KEYS, st.booleans()), max_size=4), leader=LEADER, follower=FOLLOWER)
    def run(before: list[tuple[bytes, bool]], leader: Drawn, follower: Drawn) -> None:
        prefix = f"{ROOT}{fresh('sharing')}/".encode()
        for key, is_put in before:
            store.commit(Txn((), (Put(prefix + key, b"before") if is_put else Delete(prefix + key),)))
        known = store.read(prefix)
        first = build(leader, prefix, known, store.lease.id, b"first")
        second = build(follower, prefix, known, store.lease.id, b"second")
        try:
            answered = compare_with_etcd(store, prefix, first, second)
        except InternalError as refusal:
            assume("duplicate key" not in str(refusal))
            raise
        event("answered" if answered else "not answered")
        tally["answered" if answered else "not answered"] += 1

    run()
    assert tally.total() >= EXAMPLES
    assert tally["answered"] > 0.2 * tally.total(), tally
