"""Names of files and directories that would break a line, or show it in another order, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.store.embedded.data_directory import DataDirectory
from tests.integration.server_running import COMMAND, environment, run
from tests.loaded_command import shared_command

BAD = ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2066b", "a\u2028b", "a\x7fb", "a\udcffb"]
COMMANDS = [
    ("up", "--data-dir", "{}"),
    ("restore", "/dev/null", "--data-dir", "{}"),
    ("down", "--data-dir", "{}"),
    ("backup", "{}"),
    ("serve", "--etcd", "127.0.0.1:1", "--log-file", "{}"),
    ("serve", "--etcd", "127.0.0.1:1", "--audit-log", "{}"),
    ("serve", "--etcd", "127.0.0.1:1", "--listen", "unix:{}"),
    ("certs", "{}"),
    ("certs", "good", "--client", "{}"),
    ("certs", "good", "--host", "{}"),
    ("token", "x", "--tokens", "t.toml", "--out", "{}"),
    ("token", "{}", "--tokens", "t.toml", "--out", "x"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command)[:40])
def test_what_cannot_stand_in_a_line(command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for bad in BAD:
        done = run(*[part.format(tmp_path / bad if "unix:" in part else bad) for part in command])
        assert (done.returncode, done.stdout) == (2, ""), (bad, done)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("notice: ")]
        assert [line.partition(": ")[0] for line in lines] in (["error"], ["error", "hint"]), lines
        assert all(line.isprintable() for line in lines), lines
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("bad", BAD)
def test_a_data_directory_that_nobody_named(bad: str, tmp_path: Path) -> None:
    done = shared_command().run([COMMAND, "up"], environment(XDG_DATA_HOME=str(tmp_path / bad)), seconds=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be used as data directory: its path must be in UTF-8" in done.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("good", ["a b", "\u3000", "\u00e9\u00e8", "\u4f5c\u696d", "it's $x`", "-x", "#%zz"])
def test_what_can(good: str, tmp_path: Path) -> None:
    assert DataDirectory(tmp_path / good).make().is_dir()


def test_a_directory_below_one_of_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a\nb").mkdir()
    monkeypatch.chdir(tmp_path / "a\nb")
    with pytest.raises(InvalidInput, match="cannot be used as data directory: its path must be in UTF-8"):
        DataDirectory(Path("data")).make()
