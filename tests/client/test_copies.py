"""Errors and values that are pickled and copied, as process pools do with what their workers raise and return.

This is number 13 of issue 12: "``ClaimDenied`` cannot be unpickled or copied: process pools hang or break".
"""

from __future__ import annotations

import copy
import enum
import json
import pickle
import subprocess
import sys
import threading
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator import ClaimDenied, CoordinatorError, NotHolder, OutcomeUnknown, Unavailable, clock, errors, model
from coordinator.diagnosis import findings
from tests.conftest import RunningCoordinator

NOW = datetime(2026, 6, 14, 1, 45, 11, tzinfo=UTC)
DENIAL = model.Denial("task:a", model.DenialReason.HELD, holder="session-1", expires_at=NOW, retry_after_seconds=3.5)


def _pickled(value: Any, *, protocol: int | None = None) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # what was written here


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle-{number}": partial(_pickled, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
    "twice": lambda value: _pickled(copy.copy(value)),
}
ERRORS = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]
VALUES = [
    value
    for module in (model, findings)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__.startswith(module.__name__)
    if issubclass(value, enum.Enum | tuple)
]


def _error(kind: type[CoordinatorError]) -> CoordinatorError:
    if issubclass(kind, ClaimDenied):
        return kind(DENIAL)
    return kind("no", hint="go", field="ttl", holder="s", retry_after_seconds=1.5, request_id="r")


def _value(kind: Any) -> Any:
    """Make a value of a type with every field set."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_value(argument) for argument in arguments if argument is not ...)
    if origin in (types.UnionType, typing.Union):
        return _value(arguments[0])
    if issubclass(kind, enum.Enum):
        return list(kind)[-1]
    if issubclass(kind, tuple):
        return kind(**{name: _value(hint) for name, hint in typing.get_type_hints(kind).items()})
    return {str: "text", int: 7, float: 7.5, bool: True, datetime: NOW}[kind]


def _all_of(error: BaseException) -> Any:
    """Return everything that an error says."""
    cause = error.__cause__
    return type(error), error.args, str(error), vars(error), error.__suppress_context__, cause and _all_of(cause)


class TooLate(ClaimDenied):
    """An error of a user's own, with arguments of its own."""

    def __init__(self, denial: model.Denial, branch: str, *, tries: int) -> None:
        super().__init__(denial)
        self.branch, self.tries = branch, tries


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_can_be_copied_with_all_that_it_says(
    kind: type[CoordinatorError], copied: Callable[[Any], Any]
) -> None:
    error = _error(kind)
    error.add_note("of a fleet")
    found = copied(error)
    assert found is not error
    assert _all_of(found) == _all_of(error)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_without_anything_can_be_copied(kind: type[CoordinatorError]) -> None:
    error = kind(model.Denial("task:a", model.DenialReason.COMPLETED)) if kind is ClaimDenied else kind()
    for copied in COPIES.values():
        assert _all_of(copied(error)) == _all_of(error)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_causes_are_copied_with_their_errors(copied: Callable[[Any], Any]) -> None:
    unknown = OutcomeUnknown("the outcome is unknown")
    unknown.name_request("r-1")
    unknown.__cause__ = Unavailable("no coordinator answers", hint="start one")
    unknown.__cause__.__cause__ = OSError(111, "Connection refused")
    found = copied(unknown)
    assert [type(error) for error in (found.__cause__, found.__cause__.__cause__)] == [
        Unavailable,
        ConnectionRefusedError,
    ]
    assert (found.request_id, found.hint, found.__cause__.hint) == ("r-1", unknown.hint, "start one")
    assert found.__cause__.__cause__.args == (111, "Connection refused")


def test_a_cause_that_cannot_be_copied_does_not_keep_its_error_from_it() -> None:
    class Locked(Exception):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    class Demanding(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} {two}")

    for cause in (Locked(), Demanding(1, 2)):
        error = ClaimDenied(DENIAL)
        error.__cause__ = cause
        for copied in COPIES.values():
            found = copied(error)
            assert (found.denial, found.__cause__) == (DENIAL, None)


def test_a_long_chain_of_causes_and_a_ring_are_copied() -> None:
    first = last = NotHolder("0")
    for number in range(1, 60):
        last.__cause__ = NotHolder(str(number))
        last = last.__cause__
    for copied in COPIES.values():
        found, depth = copied(first), 0
        while found is not None:
            found, depth = found.__cause__, depth + 1
        assert depth == 60
    last.__cause__ = first
    assert str(_pickled(first).__cause__) == "1"


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_an_error_of_a_user_with_arguments_of_its_own_can_be_copied(copied: Callable[[Any], Any]) -> None:
    found = copied(TooLate(DENIAL, "main", tries=3))
    assert (type(found), found.denial, found.branch, found.tries) == (TooLate, DENIAL, "main", 3)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("kind", VALUES)
def test_every_value_can_be_copied(kind: type, copied: Callable[[Any], Any]) -> None:
    value = _value(kind)
    assert copied(value) == value


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_answers_that_hold_errors_and_denials_can_be_copied(copied: Callable[[Any], Any]) -> None:
    denial, error = copied([DENIAL, NotHolder("no", holder="s")])
    assert (denial, _all_of(error)) == (DENIAL, _all_of(NotHolder("no", holder="s")))


@pytest.mark.parametrize("before", ["other-boot", "", "eb5c70ca-b657-44bc-9488-696920b3c2ab time:[1]"])
def test_a_claim_of_another_boot_has_no_deadline_here(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    claim = model.Claim("task:a", "task", "s", 1, 7, 60.0, NOW, NOW, 60.0, deadline=clock.boot_seconds() + 60)
    assert _pickled(claim).deadline == claim.deadline
    with monkeypatch.context() as patched:
        patched.setattr(model.claims, "this_boot", lambda: before)
        written = pickle.dumps(claim)
    found = pickle.loads(written)  # noqa: S301  # what was written here
    assert (found.deadline, found.is_lost()) == (None, True)
    assert found._replace(deadline=claim.deadline) == claim


@pytest.mark.long_but_for("fork", "spawn")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes_pass_errors_on(coordinator: RunningCoordinator, fleet: str, method: str) -> None:
    script = Path(__file__).with_name("pooled_claims.py")
    ran = subprocess.run(
        [sys.executable, str(script), coordinator.endpoint, fleet, method],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    for pool, reported in json.loads(ran.stdout).items():
        if pool.endswith("claim"):
            (winner,) = (f"s{number}" for number, answer in enumerate(reported) if answer == "granted")
            assert sorted(reported) == [f"ClaimDenied None held {winner}"] * 2 + ["granted"]
        else:
            assert [answer.partition(" ")[0] for answer in reported] == ["InvalidInput", "NotFound", "InvalidInput"]
