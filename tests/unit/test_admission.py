"""How many calls are let in at a time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from coordinator.errors import LimitExceeded
from coordinator.server_limits import MAX_WAITING_BYTES
from coordinator.service.admission.admission import Admission

SMALL, LARGE = 20, MAX_WAITING_BYTES + 1


def test_all_places_together_are_bounded_and_given_back() -> None:
    admission = Admission(max_calls=4)
    with ExitStack() as calls:
        for peer in ("a", "b", "c", "d"):
            calls.enter_context(admission.place(peer, SMALL))
        with pytest.raises(LimitExceeded, match="answering 4 calls already") as caught, admission.place("e", SMALL):
            pass
        assert (caught.value.retry_after_seconds or 0) > 0
        assert "nothing was changed" in (caught.value.hint or "")
    with admission.place("c", SMALL):
        pass


def test_one_connection_gets_half_of_the_places() -> None:
    admission = Admission(max_calls=4)
    with ExitStack() as calls:
        for _ in range(2):
            calls.enter_context(admission.place("greedy", SMALL))
        with pytest.raises(LimitExceeded, match="2 calls of this connection"), admission.place("greedy", SMALL):
            pass
        calls.enter_context(admission.place("polite", SMALL))


def test_however_many_flood_one_that_does_not_gets_a_place() -> None:
    admission = Admission(max_calls=100)
    with ExitStack() as calls:
        taken = dict.fromkeys(("a", "b", "c"), 0)
        for _ in range(100):
            for name in taken:
                try:
                    calls.enter_context(admission.place(name, SMALL))
                except LimitExceeded:
                    continue
                taken[name] += 1
        assert all(24 <= count <= 26 for count in taken.values()), taken
        for _ in range(10):
            calls.enter_context(admission.place("polite", SMALL))


def test_one_credential_gets_two_thirds_over_all_its_connections() -> None:
    admission = Admission(max_calls=90)
    with ExitStack() as calls:
        with pytest.raises(LimitExceeded, match="60 calls of this credential"):
            for number in range(90):
                calls.enter_context(admission.place(f"connection-{number % 9}", SMALL, credential="greedy"))
        for number in range(10):
            calls.enter_context(admission.place(f"other-{number}", SMALL, credential="polite"))


def test_a_connection_that_floods_leaves_places_to_others_of_its_credential() -> None:
    admission = Admission(max_calls=90)
    with ExitStack() as calls:
        with pytest.raises(LimitExceeded, match="45 calls of this connection"):
            for _ in range(90):
                calls.enter_context(admission.place("greedy", SMALL, credential="both"))
        for _ in range(5):
            calls.enter_context(admission.place("polite", SMALL, credential="both"))


def test_each_item_of_a_claim_many_takes_a_place() -> None:
    admission = Admission(max_calls=100)
    with admission.place("a", SMALL, 40), admission.place("b", SMALL, 40):
        with pytest.raises(LimitExceeded), admission.place("c", SMALL, 40):
            pass
        with admission.place("c", SMALL):
            pass


def test_the_bytes_of_all_requests_are_bounded_but_one_that_is_alone_is_let_in() -> None:
    admission = Admission(max_calls=100)
    with admission.place("a", LARGE), pytest.raises(LimitExceeded), admission.place("b", SMALL):
        pass
    with admission.place("b", SMALL), pytest.raises(LimitExceeded), admission.place("a", LARGE):
        pass


def test_a_call_that_fails_gives_its_place_back() -> None:
    admission = Admission(max_calls=2)
    for _ in range(5):
        with pytest.raises(ValueError, match="failed"), admission.place("a", SMALL):
            raise ValueError("failed")
