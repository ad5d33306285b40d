"""What the README shows is what the commands answer."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.conftest import Coordination, RunningCoordinator

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _exchanges() -> list[tuple[str, str]]:
    """The commands of the article's transcript, each with what the README says it answers."""
    found = re.search(r"<!-- transcript: article -->\n```console\n(.*?)```", README, re.DOTALL)
    assert found is not None
    exchanges = re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]
    return [(command, answer) for command, _, answer in (exchange.partition("\n") for exchange in exchanges)]


def test_the_commands_answer_as_the_readme_says(coordination: Coordination) -> None:
    exchanges = _exchanges()
    assert len(exchanges) >= 10
    for command, answer in exchanges:
        program, *arguments = shlex.split(command)
        assert program == "coordination"
        done = coordination(*arguments)
        assert TIME.sub("TIME", done.stdout) == TIME.sub("TIME", answer), command
        assert done.returncode == (1 if answer.startswith("DENIED") else 0), command


def test_the_python_example_runs(coordinator: RunningCoordinator) -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    names: dict[str, object] = {}
    exec(found[1].replace("127.0.0.1:7420", coordinator.endpoint), names)  # noqa: S102  # the README's own code
    assert names["token"] == names["answer"].fencing_token  # type: ignore[attr-defined]  # it was granted


def test_every_file_it_points_to_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
