"""How many calls are let in at a time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from coordinator.errors import LimitExceeded
from coordinator.limits import MAX_WAITING_BYTES
from coordinator.service.admission import Admission
from coordinator.v1 import service_pb2 as pb

SMALL = pb.ClaimRequest(work_key="task:a")


def test_all_places_together_are_bounded_and_given_back() -> None:
    admission = Admission(max_calls=4)
    with ExitStack() as calls:
        for peer in ("a", "a", "b", "b"):
            calls.enter_context(admission.place(SMALL, peer))
        with pytest.raises(LimitExceeded, match="answering 4 calls already") as caught, admission.place(SMALL, "c"):
            pass
        assert (caught.value.retry_after_seconds or 0) > 0
        assert "nothing was changed" in (caught.value.hint or "")
    with admission.place(SMALL, "c"):
        pass


def test_one_connection_gets_half_of_the_places() -> None:
    admission = Admission(max_calls=4)
    with ExitStack() as calls:
        for _ in range(2):
            calls.enter_context(admission.place(SMALL, "greedy"))
        with pytest.raises(LimitExceeded, match="2 calls of this connection"), admission.place(SMALL, "greedy"):
            pass
        calls.enter_context(admission.place(SMALL, "polite"))


def test_each_item_of_a_claim_many_takes_a_place() -> None:
    admission = Admission(max_calls=100)
    many = pb.ClaimManyRequest(items=[pb.ClaimItem(work_key=f"task:{number}") for number in range(40)])
    with admission.place(many, "a"), admission.place(many, "b"):
        with pytest.raises(LimitExceeded), admission.place(many, "c"):
            pass
        with admission.place(SMALL, "c"):
            pass


def test_the_bytes_of_all_requests_are_bounded_but_one_that_is_alone_is_let_in() -> None:
    admission = Admission(max_calls=100)
    large = pb.ClaimRequest(note="x" * (MAX_WAITING_BYTES + 1))
    with admission.place(large, "a"), pytest.raises(LimitExceeded), admission.place(SMALL, "b"):
        pass
    with admission.place(SMALL, "b"), pytest.raises(LimitExceeded), admission.place(large, "a"):
        pass


def test_a_call_that_fails_gives_its_place_back() -> None:
    admission = Admission(max_calls=2)
    for _ in range(5):
        with pytest.raises(ValueError, match="failed"), admission.place(SMALL, "a"):
            raise ValueError("failed")
