"""What `coordinator` offers is listed once, is there, and is all."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import coordinator
from coordinator import errors, model

#: Types that callers are handed, but have no reason to name: they come inside others.
UNNAMED = {
    "ConvergenceRate",
    "CoordinatorStatus",
    "EtcdStatus",
    "Previous",
    "ReaperStatus",
    "TaskStatus",
}


def test_names_are_listed_once() -> None:
    assert len(coordinator.__all__) == len(set(coordinator.__all__))


@pytest.mark.parametrize("name", coordinator.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(coordinator, name) is not None


def test_names_can_be_imported_with_a_star() -> None:
    found: dict[str, object] = {}
    exec("from coordinator import *", found)  # noqa: S102  # a star is allowed nowhere else than in a module
    assert found.keys() - {"__builtins__"} == set(coordinator.__all__)


def test_nothing_else_is_offered() -> None:
    assert dir(coordinator) == sorted(coordinator.__all__)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'coordinator' has no attribute 'Nothing'"):
        _ = coordinator.Nothing
    with pytest.raises(ImportError):
        exec("from coordinator import Nothing", {})  # noqa: S102  # a type checker would refuse it outside of exec


@pytest.mark.parametrize("module", [errors, model])
def test_every_error_and_type_that_callers_meet_is_public(module: ModuleType) -> None:
    classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert classes - UNNAMED <= set(coordinator.__all__)


def test_importing_it_loads_nothing_of_grpc() -> None:
    program = "import coordinator, sys; print([n for n in sys.modules if n.split('.')[0] in ('grpc', 'google')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
