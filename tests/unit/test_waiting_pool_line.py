"""The line of those who wait for work of a pool: who is offered what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.engine.documents import Pooled
from coordinator.engine.layout import FleetPaths
from coordinator.keys import parse_work_key
from coordinator.service.next import Piece
from coordinator.service.waiters.pool_line import LOOKED_AT, PoolLine, PoolWaiter

NOW = datetime(2026, 6, 14, 12, tzinfo=UTC)


def piece(key: str, *, returned_by: tuple[str, ...] = (), not_before: datetime | None = None) -> Piece:
    entry = Pooled(submitted_at=NOW, returned_by=returned_by, not_before=not_before)
    work_key = parse_work_key(key)
    return Piece(key, work_key.kind, FleetPaths("f").of(work_key), entry, 1, (0, 0.0, key))


@pytest.fixture
async def line() -> PoolLine:
    return PoolLine()


def wait(line: PoolLine, order: int, kind: str = "", session: str = "") -> PoolWaiter:
    return line.join(kind, order, (session or f"s-{order}", "r"))


def offered(*waiters: PoolWaiter) -> list[str | None]:
    return [waiter.offer.result() if waiter.offer.done() else None for waiter in waiters]


async def test_each_piece_goes_to_the_first_that_may_have_it(line: PoolLine) -> None:
    late, docs, gave_back, first = (
        wait(line, 4),
        wait(line, 1, "docs"),
        wait(line, 2, session="gave-back"),
        wait(line, 3),
    )
    line.offer([piece("task:a", returned_by=("gave-back",)), piece("task:b")], NOW)
    assert offered(docs, gave_back, first, late) == [None, "task:b", "task:a", None]
    line.offer([piece("task:a"), piece("docs:c")], NOW)
    assert offered(docs, late) == ["docs:c", None]


async def test_what_was_denied_is_offered_to_none_until_it_has_changed(line: PoolLine) -> None:
    first, second = wait(line, 1), wait(line, 2)
    for _ in range(2):
        line.offer([piece("task:a")], NOW)
    line.denied(first)
    line.offer([piece("task:a")], NOW)
    assert offered(first, second) == [None, None]
    line.changed("task:a")
    line.offer([piece("task:a")], NOW)
    assert offered(first, second) == ["task:a", None]
    line.denied(first)
    line.look_again()
    line.offer([piece("task:a")], NOW)
    assert offered(first) == ["task:a"]


async def test_one_that_leaves_hands_on_what_it_was_offered(line: PoolLine) -> None:
    first, second = wait(line, 1), wait(line, 2)
    line.offer([piece("task:a")], NOW)
    line.leave(first)
    line.offer([piece("task:a")], NOW)
    assert offered(second) == ["task:a"]


async def test_it_says_when_what_was_given_back_is_to_be_offered(line: PoolLine) -> None:
    waiter = wait(line, 1)
    soon, later = NOW + timedelta(seconds=5), NOW + timedelta(seconds=60)
    assert line.offer([piece("task:a", not_before=later), piece("task:b", not_before=soon)], NOW) == soon
    assert (offered(waiter), line.is_offering) == ([None], False)
    assert line.offer([piece("task:b", not_before=soon)], soon) is None
    assert offered(waiter) == ["task:b"]


async def test_one_whose_request_was_granted_something_learns_that(line: PoolLine) -> None:
    waiter = wait(line, 1)
    line.granted(("s-1", "another request"))
    assert not waiter.offer.done()
    line.granted(("s-1", "r"))
    assert (waiter.offer.done(), waiter.trying) == (True, None)


async def test_a_round_looks_at_a_bounded_number_of_pieces(line: PoolLine) -> None:
    waiter = wait(line, 1, "docs")
    looked_at = 0

    def many() -> Iterator[Piece]:
        nonlocal looked_at
        for number in range(10 * LOOKED_AT):
            looked_at += 1
            yield piece(f"task:{number}")

    line.offer(many(), NOW)
    assert (looked_at <= LOOKED_AT + 1, offered(waiter)) == (True, [None])
