"""The examples in the docstrings of what callers use, run against a coordinator."""

from __future__ import annotations

import asyncio
import doctest
from types import ModuleType

import pytest

import coordinator as package
from coordinator.client import AsyncClient, Client, _async, _sync
from tests.conftest import RunningCoordinator


@pytest.mark.parametrize("module", [package, _async, _sync], ids=["package", "async", "sync"])
def test_the_examples_are_true(
    module: ModuleType, coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The examples name no fleet. Each run has its own all the same, so that their work is never finished already.
    for client in (AsyncClient, Client):
        defaults = client.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "fleet", fleet)
    names = {"endpoint": coordinator.endpoint, "run": asyncio.run, "AsyncClient": AsyncClient, "Client": Client}
    said: list[str] = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(module, extraglobs=names):
        runner.run(example, out=said.append)
    assert runner.failures == 0, "".join(said)
    assert runner.tries >= 2
