"""tests/mutants: each patch still applies, and the tests that must fail with it exist. `make mutants` runs them."""

from __future__ import annotations

import subprocess
import tomllib
from typing import Any

import pytest
from named_tests import ROOT, is_there

MUTANTS = ROOT / "tests" / "mutants"
TABLE: dict[str, dict[str, Any]] = tomllib.loads((MUTANTS / "mutants.toml").read_text(encoding="utf-8"))


def test_the_table_and_the_patches_go_together() -> None:
    assert sorted(TABLE) == sorted(patch.stem for patch in MUTANTS.glob("*.patch"))


@pytest.mark.parametrize("name", TABLE)
def test_a_mutant_applies_and_its_tests_exist(name: str) -> None:
    assert TABLE[name].keys() == {"guard", "tests"}
    assert TABLE[name]["guard"]
    assert TABLE[name]["tests"]
    assert [test for test in TABLE[name]["tests"] if not is_there(test)] == []
    command = ["git", "apply", "--check", str(MUTANTS / f"{name}.patch")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make the patch anew: {done.stderr}"
