"""tests/mutants: every edit fits the code, and the tests that must fail with it exist; `make mutants` runs them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.named_tests import ROOT, is_there

_SPEC = importlib.util.spec_from_file_location("mutants", ROOT / "scripts/mutants.py")
assert _SPEC is not None
assert _SPEC.loader is not None
mutants = importlib.util.module_from_spec(_SPEC)
sys.modules["mutants"] = mutants
_SPEC.loader.exec_module(mutants)


@pytest.mark.parametrize("mutant", mutants.read_mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_and_its_tests_exist(mutant: Any, tmp_path: Path) -> None:
    assert mutant.guard
    assert [test for test in mutant.tests if not is_there(test)] == []
    for edit in mutant.edits:
        copy = tmp_path / edit.file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            copy.write_text((ROOT / edit.file).read_text())
    for edit in mutant.edits:
        edit.apply(tmp_path)


def test_text_that_is_not_there_or_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "guards.py").write_text("if held:\n    deny()\nif held:\n    deny()\n")
    for old in ("if free:", "    deny()\n"):
        with pytest.raises(ValueError, match="not once"):
            mutants.Edit("guards.py", old, "").apply(tmp_path)


def test_what_tests_leave_running_is_ended() -> None:
    leave = "sleep 600 & echo $!; setsid sleep 600 & echo $!; exit 7"
    command = [sys.executable, "-I", str(mutants.CONTAINED), "sh", "-c", leave]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 7
    assert [pid for pid in done.stdout.split() if Path("/proc", pid).exists()] == []
