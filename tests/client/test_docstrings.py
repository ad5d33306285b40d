"""The docstrings of what callers use: they explain every argument, and their examples run against a coordinator."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import re
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


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_every_argument_and_answer_is_explained(client: type) -> None:
    public = {name: method for name, method in vars(client).items() if not name.startswith("_")}
    assert len(public) >= 20
    for name, method in {"": client, **public}.items():
        signature = inspect.signature(method)
        arguments = [each for each in signature.parameters if each != "self"]
        sections = _sections(inspect.getdoc(method) or "")
        explained = re.findall(r"^    (\w+): \S", sections.get("Args", ""), re.MULTILINE)
        assert explained == arguments, name
        assert ("Returns" in sections) == (signature.return_annotation not in ("None", inspect.Signature.empty)), name


def _sections(docstring: str) -> dict[str, str]:
    """Return the sections of a docstring by their headings."""
    parts = re.split(r"^(Args|Returns|Raises):\n", docstring, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
