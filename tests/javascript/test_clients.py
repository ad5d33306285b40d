"""What docs/http.md shows of JavaScript runs: a client from npm whose code is generated, and nothing but fetch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator import Client, State
from tests.conftest import RunningCoordinator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = (ROOT / "docs/http.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: ([^>]+) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL))
#: Where `make javascript-test` has installed what the lock file names.
PACKAGES = ROOT / ".venv-node/node_modules"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as the page describes it: the packages, and the code that is generated for them."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    programs = f"{PACKAGES}/.bin{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / "buf.gen.yaml").write_text(RECIPES["buf"])
    generate = ["buf", "generate", str(ROOT / "proto"), "--path", str(ROOT / "proto/coordinator/v1")]
    done = subprocess.run(
        generate, cwd=tmp_path, env=os.environ | {"PATH": programs}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def run(script: Path, **environment: str) -> str:
    done = subprocess.run(
        ["node", str(script)], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_shows_the_files_that_are_tested() -> None:
    assert RECIPES["connect"] == (HERE / "claims.js").read_text(encoding="utf-8")
    assert RECIPES["buf"] == (HERE / "buf.gen.yaml").read_text(encoding="utf-8").removeprefix("---\n")


def test_a_connect_client_claims_is_denied_and_learns_of_errors(coordinator: RunningCoordinator, project: Path) -> None:
    script = project / "claims.js"
    script.write_text((HERE / "claims.js").read_text(encoding="utf-8"))
    lines = run(script, COORDINATION_HTTP=coordinator.http_url).splitlines()
    assert re.fullmatch(r"session-7f8b: mine, with fencing token \d+", lines[0])
    assert re.fullmatch(r"session-9a2c: taken by session-7f8b, try again in 60\d s", lines[1])
    assert lines[2] == "completed task:from-javascript"
    assert lines[3].startswith("NotFound: task:never-claimed has never been claimed, so there is nothing to complete (")
    assert len(lines) == 4
    with Client(coordinator.endpoint, instance="") as client:
        record = client.get("task:from-javascript").record
    assert record is not None
    assert (record.state, record.result) == (State.COMPLETED, "PR 8")


def test_fetch_alone_is_enough(coordinator: RunningCoordinator, tmp_path: Path) -> None:
    script = tmp_path / "claim.mjs"
    script.write_text(RECIPES["javascript"].replace("http://127.0.0.1:7421", coordinator.http_url))
    assert re.fullmatch(r"mine, fencing token \d+\n", run(script))
    other = script.read_text().replace("session-7f8b", "session-9a2c")
    script.write_text(other)
    assert run(script) == "taken by session-7f8b\n"
