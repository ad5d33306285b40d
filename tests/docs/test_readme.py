"""What the README shows is what the commands answer."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Coordination, RunningCoordinator

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _exchanges(name: str) -> list[tuple[str, str]]:
    """The commands of a transcript, each with what the README says it answers."""
    found = re.search(rf"<!-- transcript: {name} -->\n```console\n(.*?)```", README, re.DOTALL)
    assert found is not None
    exchanges = re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]
    return [(command, answer) for command, _, answer in (exchange.partition("\n") for exchange in exchanges)]


def test_the_commands_answer_as_the_readme_says(
    coordination: Coordination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not in this checkout: a briefing is of its repository.
    monkeypatch.chdir(tmp_path)
    exchanges = _exchanges("article")
    assert len(exchanges) >= 10
    for command, answer in exchanges:
        program, *arguments = shlex.split(command)
        assert program == "coordination"
        done = coordination(*arguments)
        assert TIME.sub("TIME", done.stdout) == TIME.sub("TIME", answer), command
        assert done.returncode == (1 if answer.startswith("DENIED") else 0), command


def test_run_and_next_answer_as_the_readme_says(coordinator: RunningCoordinator, fleet: str, tmp_path: Path) -> None:
    exchanges = [*_exchanges("run"), *_exchanges("next")]
    assert len(exchanges) == 4
    (tmp_path / "backlog.txt").write_text(dict(exchanges)["cat backlog.txt"])
    (tmp_path / "agent.sh").touch(mode=0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATION_")}
    there = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}
    there["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    for command, answer in exchanges:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=kept | there, capture_output=True, text=True, timeout=60
        )
        assert TIME.sub("TIME", done.stdout + done.stderr).strip() == TIME.sub("TIME", answer).strip(), command
        assert done.returncode == (75 if answer.startswith("DENIED") else 0), command


def test_the_figures_are_those_of_the_simulation() -> None:
    from benchmarks.simulate.page import DATA, PAGE, with_table

    found = json.loads(DATA.read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, found) == page
    without, claims, asking = (found["ways"][way][-1] for way in ("nothing", "claims", "next"))
    assert (
        f"{without['sessions']} sessions, {found['pieces']} pieces of work. "
        f"Without claims, {without['done_twice']:.0f} are done twice "
        f"and {without['covered_percent']:.0f} % of the list is covered. "
        f"With claims, none and {claims['covered_percent']:.0f} %: "
        f"by {claims['calls_per_piece']:.0f} calls for each piece with work-claim, "
        f"by {asking['calls_per_piece']:.0f} with work-next."
    ) in README
    assert [row["done_twice"] for way in ("claims", "next") for row in found["ways"][way] if row["done_twice"]] == []


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
