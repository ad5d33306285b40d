"""What docs/interop.md shows of ``buf curl`` is what a coordinator answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import COMMAND, RunCoordinator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/interop.md").read_text()
#: gRPC's number of FAILED_PRECONDITION and PERMISSION_DENIED.
STATUSES = {"failed_precondition": 9, "permission_denied": 7}

#: What differs from run to run.
VARYING = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z|(?<="fencingToken": )"\d+"|(?<="revision": )"\d+"|"\d+(?:\.\d+)?s"')


def exchanges(name: str) -> list[tuple[str, str]]:
    """The commands of a transcript, each with what the page says it answers."""
    found = re.search(rf"<!-- transcript: {name} -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    parts = re.split(r"^\$ ", found[1], flags=re.MULTILINE)[1:]
    return [(command, answer) for command, _, answer in (part.partition("\n") for part in parts)]


def see_them_answered(name: str, endpoint: str, directory: Path) -> None:
    """Have a shell run the commands of a transcript in a directory, and compare what they answer."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, answer in exchanges(name):
        done = subprocess.run(
            ["sh", "-c", command.replace("127.0.0.1:7420", endpoint)],
            cwd=directory,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert VARYING.sub("…", done.stdout + done.stderr) == VARYING.sub("…", answer), command
        status = re.search(r'"code": "(\w+)"', answer)
        assert done.returncode == (8 * STATUSES[status[1]] if status else 0), command


def test_the_commands_answer_as_the_page_says(run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    assert len(exchanges("buf")) >= 5
    with run_coordinator("up", "--data-dir", str(tmp_path / "data")) as running:
        see_them_answered("buf", running.endpoint, tmp_path)


def test_with_tls_and_a_token_too(run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    assert len(exchanges("buf with a token")) >= 3
    token = ("--tokens", "tokens.toml", "--out", "agents.token", "--sessions", "session-*")
    for arguments in (("certs", "."), ("token", "agents", *token)):
        subprocess.run([COMMAND, *arguments], cwd=tmp_path, check=True, capture_output=True)
    tls = ("--tls-cert", str(tmp_path / "server.crt"), "--tls-key", str(tmp_path / "server.key"))
    data = ("--data-dir", str(tmp_path / "data"))
    with run_coordinator("up", *data, *tls, "--tokens", str(tmp_path / "tokens.toml")) as running:
        see_them_answered("buf with a token", running.endpoint, tmp_path)


def test_every_file_it_points_to_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
