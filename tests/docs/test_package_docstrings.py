"""A package says why it has many files (docs/adr/0028-packages-and-names.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: More files than one finds something in at a glance; sub-packages do not count.
FEW = 12
GENERATED = {"v1", "v3"}


def large_packages() -> list[Path]:
    found = [init.parent for init in (ROOT / "coordinator").rglob("__init__.py")]
    modules = {package: [each for each in package.glob("*.py") if each.name != "__init__.py"] for package in found}
    return sorted(package for package in found if len(modules[package]) > FEW and package.name not in GENERATED)


@pytest.mark.parametrize("package", large_packages(), ids=lambda package: str(package.relative_to(ROOT)))
def test_a_package_of_many_files_says_why(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert "There are more than twelve files" in docstring
    assert "because" in docstring
