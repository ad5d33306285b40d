"""What tests of hooks share: coordinators in each state in which a hook may find one."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd

TOKENS = f'''
[[credential]]
name = "someone"
token_sha256 = "{hashlib.sha256(b"a token that no one has").hexdigest()}"
sessions = ["*"]
'''


@pytest.fixture(scope="session")
def silent() -> Iterator[str]:
    """An address at which connections are taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="session")
def refusing(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCoordinator]:
    """A coordinator that asks for a token which hooks do not have."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    tokens.touch(0o600)
    tokens.write_text(TOKENS)
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--tokens", str(tokens)) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, in which stamps are kept."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for variable in ("XDG_STATE_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "COORDINATION_HOOKS"):
        monkeypatch.delenv(variable, raising=False)
    return path
