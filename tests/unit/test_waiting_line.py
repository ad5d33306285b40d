"""The line of those who wait: who is offered what has become free."""

from __future__ import annotations

import pytest

from coordinator.engine.look import Sight
from coordinator.service.waiters.line import Group, Line, Standing, Waiter


def stands(_key: bytes, _sight: Sight) -> Standing:
    return Standing.FREE


class World:
    def __init__(self) -> None:
        self.line = Line()
        self.made = 0

    def wait(self, *keys: bytes) -> Waiter:
        self.made += 1
        return self.line.join(keys, Group({}, stands, keys), self.made, ("s", str(self.made)))

    def leave(self, waiter: Waiter) -> None:
        self.line.leave(waiter.group.keys, waiter)


@pytest.fixture
async def world() -> World:
    return World()


def offered(*waiters: Waiter) -> list[bytes | None]:
    return [waiter.offer.result() if waiter.offer.done() else None for waiter in waiters]


async def test_the_first_is_offered_what_is_free_and_no_other(world: World) -> None:
    first, second = world.wait(b"a"), world.wait(b"a")
    world.line.freed(b"a")
    assert offered(first, second) == [b"a", None]


async def test_the_first_of_all_lists_is_offered_it(world: World) -> None:
    waiters = world.wait(b"a", b"b"), world.wait(b"b"), world.wait(b"b", b"c")
    for key, expected in ((b"b", [b"b", None, None]), (b"c", [b"b", None, b"c"])):
        world.line.freed(key)
        assert offered(*waiters) == expected


async def test_what_was_not_taken_is_offered_to_the_next(world: World) -> None:
    first, second = world.wait(b"a"), world.wait(b"a")
    world.line.freed(b"a")
    world.line.tried(first, may_be_free=True)
    assert offered(first, second) == [None, b"a"]
    world.line.tried(second, may_be_free=True)
    assert offered(first, second) == [None, None]
    assert not world.line.is_offered(b"a")


async def test_what_was_taken_is_offered_to_none(world: World) -> None:
    first, second = world.wait(b"a"), world.wait(b"a")
    world.line.freed(b"a")
    world.line.tried(first, may_be_free=False)
    assert offered(first, second) == [None, None]


async def test_what_has_become_free_again_meanwhile_is_offered_again(world: World) -> None:
    first, second = world.wait(b"a"), world.wait(b"a")
    for _ in range(2):
        world.line.freed(b"a")
    world.line.tried(first, may_be_free=False)
    assert offered(first, second) == [b"a", None]


async def test_one_that_leaves_hands_its_offer_on(world: World) -> None:
    first, second = world.wait(b"a"), world.wait(b"a")
    world.line.freed(b"a")
    world.leave(first)
    assert offered(second) == [b"a"]


async def test_what_became_free_while_all_were_busy_is_offered_then(world: World) -> None:
    waiter = world.wait(b"a", b"b")
    for key in (b"a", b"b"):
        world.line.freed(key)
    assert offered(waiter) == [b"a"]
    world.line.tried(waiter, may_be_free=False)
    assert offered(waiter) == [b"b"]


async def test_one_whose_request_was_granted_is_woken(world: World) -> None:
    waiter = world.wait(b"a")
    world.line.granted(("s", "1"))
    assert waiter.offer.done()


async def test_nothing_is_left_of_those_who_have_gone(world: World) -> None:
    for waiter in [world.wait(b"a", b"b"), world.wait(b"a", b"b"), world.wait(b"b")]:
        world.leave(waiter)
    assert not world.line.groups
    assert not world.line._by_key
    assert not world.line._by_request
