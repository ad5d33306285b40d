"""docs/cli.md is what the command line makes, whatever the terminal and the settings of its user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("columns", ["20", "400"])
def test_the_page_is_what_the_command_line_makes(columns: str) -> None:
    settings = {"COLUMNS": columns, "COORDINATION_LISTEN": "127.0.0.1:1", "COORDINATION_FLEET": "other", "LC_ALL": "C"}
    command = [sys.executable, "scripts/cli_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_page_has_every_command() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in ("work-claim", "work-complete", "work-reap", "up", "serve", "status", "config show"):
        assert f"\n## {command}\n" in page
