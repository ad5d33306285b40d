"""When the last hook of a session came, for the server of the same agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.agents import stamps


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of stamps."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "coordination/hooks"


def test_a_stamp_says_when_the_hook_came() -> None:
    before = stamps.now()
    assert stamps.last_hook("s") == 0.0
    stamps.save("s", stamps.Stamp(quiet_until=before + 1000))
    assert before <= stamps.last_hook("s") <= stamps.now()
    assert stamps.last_hook("other") == 0.0


@pytest.mark.parametrize("written", ["", "[]", '{"at": "x"}', '{"at": null}', "{}", "[" * 60_000])
def test_what_cannot_be_read_says_nothing(state: Path, written: str) -> None:
    stamps.save("s", stamps.Stamp())
    (state / "session-s").write_text(written)
    assert stamps.last_hook("s") == 0.0


def test_one_of_another_boot_that_lies_ahead_says_nothing(state: Path) -> None:
    stamps.save("s", stamps.Stamp())
    (state / "session-s").write_text(json.dumps({"at": stamps.now() + 1000}))
    assert stamps.last_hook("s") == 0.0


def test_one_that_others_can_write_is_not_read(state: Path) -> None:
    stamps.save("s", stamps.Stamp())
    (state / "session-s").chmod(0o666)
    assert stamps.last_hook("s") == 0.0
