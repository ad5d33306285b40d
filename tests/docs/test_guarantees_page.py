"""docs/guarantees.md names tests that exist, for every promise and for each of the twelve cases."""

from __future__ import annotations

import re

import pytest

from tests.docs.named_tests import ROOT, is_there

PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:2] == "| "]
PROMISES = [row for row in ROWS if row[0] not in ("promise", "case")]


@pytest.mark.parametrize("named", NAMED)
def test_what_it_names_is_there(named: str) -> None:
    # The page names its own test as a whole.
    assert is_there(named) if "::" in named else (ROOT / named).is_file()


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: str(row[0])[:40])
def test_each_promise_is_shown_by_something(row: list[str]) -> None:
    promise, shown_by = row
    assert promise
    assert re.fullmatch(r"`tests/[^`]+::[^`]+`(, `tests/[^`]+::[^`]+`)*", shown_by)


def test_all_twelve_cases_are_there() -> None:
    cases = [int(found[1]) for row in ROWS if (found := re.match(r"(\d+)\. ", row[0]))]
    assert cases == list(range(1, 13))


def test_the_figures_are_those_of_the_code() -> None:
    from coordinator.engine.briefing import survey as briefing_survey
    from coordinator.limits import HISTORY_LIMIT
    from coordinator.reaper import ReaperSettings

    settings = ReaperSettings()
    assert settings.retention is not None
    text = " ".join(PAGE.split())
    assert f"Retention ({settings.retention / 86_400:.0f} days)" in text
    assert f"the clock allowance ({settings.allowance / 60:.0f} min)" in text
    assert f"the interval between checks ({settings.overdue_every / 60:g} min)" in text
    assert f"at most {settings.sweep_grace:.0f} s of grace" in text
    assert f"the last {HISTORY_LIMIT} attempts are kept" in text
    assert f"Of more than {briefing_survey._ENOUGH_ENDED:,} ends" in text
