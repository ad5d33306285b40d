"""Verbs of other tools: the command that is meant is named, and no other."""

from __future__ import annotations

import pytest

from coordinator.cli.app import MODULES
from coordinator.cli.mistaken_verbs import _INSTEAD, _MEANT, _NOTHING_LIKE, instead_of
from tests.conftest import Coordination

COMMANDS = {name for names in MODULES.values() for name in names}


def test_what_is_suggested_is_a_command_and_what_is_translated_is_none() -> None:
    assert set(_MEANT) <= COMMANDS
    assert not COMMANDS & {*_INSTEAD, *_NOTHING_LIKE}
    assert not set(_INSTEAD) & set(_NOTHING_LIKE)
    assert len(_INSTEAD) == sum(map(len, _MEANT.values()))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("done", "work-complete"),
        ("FINISH", "work-complete"),
        ("work-release", "work-abandon"),
        ("heartbeat", "work-renew"),
    ],
)
def test_the_command_that_is_meant_is_named(typed: str, meant: str, coordination: Coordination) -> None:
    done = coordination(typed, "session-1", "task:x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: no such command '{typed}'\nhint: what it means is `{meant}`: see coordination {meant} --help\n"
    )


@pytest.mark.parametrize(
    ("typed", "use"),
    [
        ("announce", "work-renew KEY --note"),
        ("fact-query", "work-show KEY"),
        ("queue-ingest", "work-submit KEY --brief"),
    ],
)
def test_a_verb_of_what_there_is_not_here_is_answered_with_what_to_use(
    typed: str, use: str, coordination: Coordination
) -> None:
    done = coordination(typed, "session-1", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: no such command '{typed}'\nhint: ")
    assert use in done.stderr


def test_a_text_that_is_one_argument_too_many_is_answered_with_its_option(coordination: Coordination) -> None:
    done = coordination("work-complete", "session-1", "task:x", "all tests pass")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: a text is given with --result; " in done.stderr


def test_other_mistakes_are_left_to_what_is_spelt_alike(coordination: Coordination) -> None:
    assert instead_of("No such command 'work-clam'. Did you mean 'work-claim'?") is None
    assert "Did you mean 'work-claim'" in coordination("work-clam").stderr
