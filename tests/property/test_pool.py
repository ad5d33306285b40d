"""Submitted work, in random histories on a real etcd, is what a model says: one request after the other, and in races.

In a race two requests are interleaved transaction by transaction, in an order that is drawn. What comes of it must be
what comes of one of them after the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coordinator import model as words
from coordinator.engine import finish, reap
from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import Failed, Pooled, StoredWork
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.layout import ROOT, FleetPaths
from coordinator.engine.pool import dependencies, failures
from coordinator.engine.pool import submit as submitting
from coordinator.engine.pool.entry import PoolChange, pool_entry
from coordinator.engine.pool.submit import SubmitCommand, submit
from coordinator.engine.reap import reap as record_expiry
from coordinator.engine.reopen import ReopenCommand, reopen
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Delete, Range, Txn, end_of_prefix, in_turn
from coordinator.errors import Contended, Refused
from coordinator.keys import WorkKey
from coordinator.model import PoolState
from tests.conftest import RunningEtcd
from tests.property.history_world import World
from tests.property.pool_model import (
    MAX_ATTEMPTS,
    Claim,
    End,
    Expire,
    Piece,
    PutBack,
    Request,
    Submit,
    apply,
)
from tests.property.pool_model import World as Pieces

EXAMPLES = int(os.environ.get("COORDINATION_EXAMPLES", "30"))
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
KEYS = tuple(f"task:{letter}" for letter in "abc")
SESSIONS = ("s-1", "s-2")

keys = st.sampled_from(KEYS)
sessions = st.sampled_from(SESSIONS)
some_keys = st.lists(keys, unique=True, max_size=2).map(tuple)
submissions = st.builds(
    Submit,
    key=keys,
    request_id=st.sampled_from([f"r-{number}" for number in range(6)]),
    priority=st.none() | st.integers(-2, 2),
    brief=st.none() | st.sampled_from(["", "do it", "do it well"]),
    depends=st.none() | some_keys,
    withdraw=st.integers(0, 4).map(lambda number: number == 0),
)
requests: st.SearchStrategy[Request] = st.one_of(
    submissions,
    submissions,
    st.builds(Claim, keys, sessions),
    st.builds(End, keys, sessions, st.sampled_from(["complete", "release", "fail"])),
    st.builds(Expire, keys, st.booleans()),
    st.builds(PutBack, keys, st.uuids().map(str)),
)


class Fleet:
    """A fleet of its own in a real etcd, and the requests of the model carried out there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.paths = FleetPaths(f"f-{uuid.uuid4().hex[:12]}")
        self._numbers = itertools.count()

    def operation(self, request: Request) -> Callable[[], Operation[str]]:
        """Return what carries a request out, however often it is begun; a refusal is "no"."""
        number = next(self._numbers)
        return lambda: self._answered(request, f"id-{number}")

    def _answered(self, request: Request, request_id: str) -> Operation[str]:
        try:
            return (yield from self._carry_out(request, request_id))
        except Refused:
            return "no"

    def _carry_out(self, request: Request, request_id: str) -> Operation[str]:
        kind, _, identity = request.key.partition(":")
        paths, now = self.paths.of(WorkKey(kind, identity)), self.world.now
        match request:
            case Submit():
                command = SubmitCommand(
                    "s-9",
                    request.request_id,
                    now,
                    request.priority,
                    request.brief,
                    request.depends,
                    withdraw=request.withdraw,
                )
                return (yield from submit(command, paths)).outcome.value
            case Claim():
                answer = yield from claim(ClaimCommand(request.session, request_id, now, instance=request_id), paths)
                return "no" if isinstance(answer, words.Denial) else f"granted {answer.brief or ''}"
            case End():
                failed = request.how == "fail"
                finishing = FinishCommand(request.session, request_id, now, failed=failed, max_attempts=MAX_ATTEMPTS)
                yield from (complete if request.how == "complete" else release)(finishing, paths)
                return "done"
            case Expire():
                # What etcd does when the lease ends, and what is written down of it.
                yield from commit(Txn((), (Delete(paths.claim),)))
                failing_after = MAX_ATTEMPTS if request.counts else None
                return "done" if (yield from record_expiry(paths, now, failing_after=failing_after)) else "no"
            case PutBack():
                yield from reopen(ReopenCommand(request.request_id, now), paths)
                return "done"

    def run(self, request: Request) -> str:
        return self.world.ask(self.operation(request))

    def pieces(self) -> Pieces:
        """Return what is stored, in the model's words; checks that the pool agrees with what was submitted."""
        prefix = f"{ROOT}{self.paths.fleet}/".encode()
        txn = Txn((), (Range(prefix, end_of_prefix(prefix)),))
        stored = {kv.key: kv.value for kv in self.world.ask(lambda: commit(txn)).range(0).kvs}
        found: Pieces = {}
        for name in KEYS:
            paths = self.paths.of(WorkKey("task", name.partition(":")[2]))
            work = StoredWork.decode(stored[paths.work]) if paths.work in stored else None
            pooled = Pooled.decode(stored[paths.pool]) if paths.pool in stored else None
            failed = Failed.decode(stored[paths.failed]) if paths.failed in stored else None
            assert (pooled is None) or (work is not None and pooled == pool_entry(work)), (name, pooled, work)
            assert (failed is not None) == (
                work is not None
                and work.failed_at is not None
                and pooled is None
                and not self._finished(stored, paths.record)
            ), (name, failed, work)
            if work is None:
                found[name] = Piece()
                continue
            if work.withdrawn_at is not None:
                state = PoolState.WITHDRAWN
            else:
                state = (
                    PoolState.POOLED
                    if pooled is not None
                    else PoolState.FAILED
                    if failed is not None
                    else PoolState.COMPLETED
                )
            found[name] = Piece(
                pool=state,
                priority=work.priority,
                brief=work.brief,
                depends=work.depends,
                failures=work.failures,
                returned_by=work.returned_by,
            )
        return found

    @staticmethod
    def _finished(stored: dict[bytes, bytes], record: bytes) -> bool:
        return b'"state":"completed"' in stored.get(record, b"")


def in_pool_only(pieces: Pieces) -> Pieces:
    """What ``Fleet.pieces`` shows of the model's."""
    shown = {}
    for name in KEYS:
        piece = pieces.get(name, Piece())
        shown[name] = (
            Piece()
            if piece.pool is None
            else Piece(
                pool=piece.pool,
                priority=piece.priority,
                brief=piece.brief,
                depends=piece.depends,
                failures=piece.failures,
                returned_by=piece.returned_by,
            )
        )
    return shown


@pytest.fixture(scope="module")
def world(etcd: RunningEtcd) -> Iterator[World]:
    world = World(etcd.endpoint)
    yield world
    world.close()


def one_after_the_other(world: World, history: Sequence[Request]) -> tuple[Fleet, Pieces]:
    fleet, pieces = Fleet(world), Pieces()
    for request in history:
        world.advance(1)
        pieces, expected = apply(pieces, request)
        assert fleet.run(request) == expected, request
        assert fleet.pieces() == in_pool_only(pieces), request
    return fleet, pieces


def test_random_histories_agree_with_the_model(world: World) -> None:
    @settings(COMMON, max_examples=EXAMPLES)
    @given(st.lists(requests, min_size=5, max_size=25))
    def check(history: list[Request]) -> None:
        one_after_the_other(world, history)

    check()


def race(world: World, before: Sequence[Request], two: tuple[Request, Request], order: Sequence[int]) -> None:
    fleet, pieces = one_after_the_other(world, before)
    operations = [fleet.operation(each) for each in two]
    try:
        answers = world.operations_interleaved(operations, order)
    except Contended:
        return
    possible: list[tuple[Any, ...]] = []
    for first, second in ((0, 1), (1, 0)):
        answered = ["", ""]
        after, answered[first] = apply(pieces, two[first])
        after, answered[second] = apply(after, two[second])
        possible.append((answered, in_pool_only(after)))
    assert (answers, fleet.pieces()) in possible, (before, two, order)


#: Expiries are two steps, and others may come in between: they are left to the histories above.
racing = requests.filter(lambda request: not isinstance(request, Expire))
RACES = given(st.lists(requests, max_size=6), st.tuples(racing, racing), st.lists(st.integers(0, 1), max_size=12))


def test_two_requests_at_once_come_to_what_one_after_the_other_would(world: World) -> None:
    @settings(COMMON, max_examples=4 * EXAMPLES)
    @RACES
    def check(before: list[Request], two: tuple[Request, Request], order: list[int]) -> None:
        race(world, before, two, order)

    check()


def _compares_no_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "walk", _walk_without_comparing)


def _walk_without_comparing(*arguments: Any) -> Operation[dependencies.Walk]:
    return (yield from dependencies.walk(*arguments))._replace(compares=())


def _ends_over_any_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    def after_end(*arguments: Any, **more: Any) -> PoolChange:
        return failures.after_end(*arguments, **more)._replace(compares=())

    monkeypatch.setattr(finish, "after_end", after_end)
    monkeypatch.setattr(reap, "after_end", after_end)


def _submits_over_any_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_as_found", lambda paths, _: (in_turn(paths.claim),))


BEFORE: dict[str, list[Request]] = {
    "_compares_no_dependencies": [],
    "_ends_over_any_submission": [Submit("task:a", "r-0"), Claim("task:a", "s-1")],
    "_submits_over_any_record": [Claim("task:a", "s-1")],
}
TWO: dict[str, tuple[Request, Request]] = {
    "_compares_no_dependencies": (
        Submit("task:a", "r-1", depends=("task:b",)),
        Submit("task:b", "r-2", depends=("task:a",)),
    ),
    "_ends_over_any_submission": (Submit("task:a", "r-1", priority=2), End("task:a", "s-1", "fail")),
    "_submits_over_any_record": (Submit("task:a", "r-1"), End("task:a", "s-1", "complete")),
}
ORDERS = [list(order) for order in itertools.product((0, 1), repeat=5)]


@pytest.mark.parametrize("name", BEFORE)
def test_races_that_matter_in_every_order(world: World, name: str) -> None:
    for order in ORDERS:
        race(world, BEFORE[name], TWO[name], order)


@pytest.mark.parametrize(
    "break_engine", [_compares_no_dependencies, _ends_over_any_submission, _submits_over_any_record]
)
def test_a_broken_engine_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, break_engine: Callable[[pytest.MonkeyPatch], None]
) -> None:
    break_engine(monkeypatch)
    name = break_engine.__name__
    wrong = 0
    for order in ORDERS:
        with contextlib.suppress(AssertionError):
            race(world, BEFORE[name], TWO[name], order)
            continue
        wrong += 1
    assert wrong
