"""Every mutant still fits the code, so that `make mutants`, which is run seldom, can be run at any time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("mutants", ROOT / "scripts/mutants.py")
assert _SPEC is not None
assert _SPEC.loader is not None
mutants = importlib.util.module_from_spec(_SPEC)
sys.modules["mutants"] = mutants
_SPEC.loader.exec_module(mutants)


@pytest.mark.parametrize("mutant", mutants.read_mutants(), ids=lambda mutant: mutant.name)
def test_the_text_that_a_mutant_replaces_is_there_exactly_once(mutant: Any, tmp_path: Path) -> None:
    for edit in mutant.edits:
        copy = tmp_path / edit.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            copy.write_text((ROOT / edit.file).read_text())
    for edit in mutant.edits:
        edit.apply(tmp_path)


@pytest.mark.parametrize("mutant", mutants.read_mutants(), ids=lambda mutant: mutant.name)
def test_the_tests_that_a_mutant_names_are_there(mutant: Any) -> None:
    for node in mutant.tests:
        path, *names = node.split("::")
        text = (ROOT / path).read_text()
        for name in names:
            assert name.partition("[")[0] in text


def test_text_that_is_not_there_or_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "guards.py").write_text("if held:\n    deny()\nif held:\n    deny()\n")
    for old in ("if free:", "    deny()\n"):
        with pytest.raises(ValueError, match="not once"):
            mutants.Edit("guards.py", old, "").apply(tmp_path)
