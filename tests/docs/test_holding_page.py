"""The examples of docs/holding.md run, and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from coordinator import Client, State
from tests.conftest import RunningCoordinator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "holding.md").read_text(encoding="utf-8")


def test_the_examples_run(
    coordinator: RunningCoordinator, fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COORDINATION_FLEET", fleet)
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 5
    names: dict[str, Any] = {}
    for example in examples:
        exec(example.replace("127.0.0.1:7420", coordinator.endpoint), names)  # noqa: S102  # the page's own code

    assert names["token"] > 0
    assert names["done"] == names["backlog"]
    assert names["state"] is State.COMPLETED
    assert capsys.readouterr().out == "users True\norders True\ntask:translate docs/run.md, into French\n"
    with Client(coordinator.endpoint) as client:
        assert client.get("github:gptme/gptme#2880").record.result == "PR 2901"
