"""The places of those who wait: how many there are, and how they are shared."""

from __future__ import annotations

from contextlib import ExitStack

from coordinator.server_limits import MAX_WAITERS_OF_A_CONNECTION
from coordinator.service.waiters.places import Places


def fill(
    stack: ExitStack, places: Places, connection: str, credential: str = "", *, keys: int = 1, size: int = 1
) -> int:
    """Take places until there is none; returns how many those were."""
    count = 0
    while (place := places.take(connection, credential, size, (connection, count), keys)) is not None:
        stack.enter_context(place)
        count += 1
    return count


def test_one_connection_gets_half_of_what_is_left_at_most() -> None:
    with ExitStack() as stack:
        places = Places(60)
        assert fill(stack, places, "a") == 30
        assert fill(stack, places, "b") == 15
    assert places.taken == 0
    assert not places._held
    assert not places._lists


def test_one_connection_has_room_for_other_calls() -> None:
    with ExitStack() as stack:
        assert fill(stack, Places(10_000), "a") == MAX_WAITERS_OF_A_CONNECTION


def test_however_many_connections_one_credential_opens_there_is_a_place_for_another() -> None:
    with ExitStack() as stack:
        places = Places(90)
        assert sum(fill(stack, places, f"a-{number}", "a") for number in range(10_000)) == 60
        assert fill(stack, places, "b", "b") > 1


def test_ten_thousand_calls_of_one_caller_fill_no_memory() -> None:
    with ExitStack() as stack:
        places = Places(10_000, most_bytes=1_000_000, most_keys=20_000)
        for number in range(10_000):
            place = places.take(f"c-{number % 200}", "", 10_000, number, 1_000)
            if place is not None:
                stack.enter_context(place)
        assert places._taken["bytes"] <= 1_000_000
        assert places._taken["keys"] <= 20_000
        with ExitStack() as others:
            assert fill(others, places, "other", keys=0, size=0) > 1


def test_a_list_that_several_wait_for_counts_once() -> None:
    with ExitStack() as stack:
        places = Places(100, most_keys=1_000)
        for _ in range(10):
            place = places.take("a", "", 1, "list", 500)
            assert place is not None
            stack.enter_context(place)
        assert places._taken["keys"] == 500
    assert places._taken["keys"] == 0
