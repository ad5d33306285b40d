"""Whatever travels together, every caller gets the answer to its own transaction: random batches, a real etcd.

Poisoned members are mixed in: those that etcd refuses together with their neighbours, and those that it refuses always.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.engine.transaction import Put, Txn, TxnReply
from tests.conftest import RunningEtcd
from tests.property.batch_world import Member, Replica, check_answer, fresh_prefix, txn_of

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def shared_replica(etcd: RunningEtcd) -> Iterator[Replica]:
    replica = Replica(etcd.endpoint)
    yield replica
    replica.close()


@pytest.fixture
def replica(shared_replica: Replica) -> Replica:
    shared_replica.batches.sizes.clear()
    return shared_replica


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


@settings(COMMON, max_examples=100)
@given(batch=members())
def test_each_is_answered_for_itself_whatever_is_in_the_batch(replica: Replica, batch: list[Member]) -> None:
    """Case 7: a batch with a duplicate key, a dead lease and a denied key; the others get their own correct answers."""
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
    """Case 7 in the small: all of them travel in one batch first, and are distinguished by splitting it."""
    prefix = fresh_prefix()
    replica.directly(Txn((), (Put(prefix + b"taken", b"before"),)))
    kinds = ["free", "twins", "taken", "dead lease", "twins", "untaken dead lease", "free"]
    batch = [Member(kind, number) for number, kind in enumerate(kinds)]
    answers = replica.commit(*(txn_of(member, prefix) for member in batch))
    stored = replica.read(prefix)
    for member, answer in zip(batch, answers, strict=True):
        check_answer(member, answer, prefix, stored)
    assert replica.batches.sizes[0] == len(batch)
