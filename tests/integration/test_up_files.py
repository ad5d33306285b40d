"""Files of a coordinator on a host with other users: nothing is written through links, nothing of others is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.server_running import FREE_PORTS, run
from tests.other_users import Giving

VICTIM = "what must stay as it is"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text(VICTIM)
    return path


def refused(data_dir: Path, said: str, *options: str) -> None:
    done = run("up", "--data-dir", str(data_dir), *FREE_PORTS, *options)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long_but_for("victim-lock", "victim-etcd", "directory-etcd.log", "nowhere-sockets")
@pytest.mark.parametrize("name", ["lock", "etcd.log", "etcd", "sockets"])
@pytest.mark.parametrize("target", ["victim", "directory", "nowhere"])
def test_a_link_in_the_data_directory_is_not_followed(name: str, target: str, victim: Path) -> None:
    data_dir = victim.parent / "data"
    data_dir.mkdir(mode=0o700)
    (victim.parent / "directory").mkdir(mode=0o755)
    (data_dir / name).symlink_to(victim.parent / target)
    refused(data_dir, f"{data_dir} cannot be used as data directory")
    assert victim.read_text() == VICTIM
    assert not [*(victim.parent / "directory").iterdir()]
    assert (victim.parent / "directory").stat().st_mode & 0o777 == 0o755
    assert not (victim.parent / "nowhere").exists()


@pytest.mark.parametrize("name", ["lock", "etcd.log"])
def test_a_file_with_another_name_is_not_written(name: str, victim: Path) -> None:
    data_dir = victim.parent / "data"
    data_dir.mkdir(mode=0o700)
    os.link(victim, data_dir / name)
    refused(data_dir, "has another name")
    assert victim.read_text() == VICTIM


@pytest.mark.long_but_for("link---log-file", "hard link---audit-log")
@pytest.mark.parametrize("option", ["--log-file", "--audit-log"])
@pytest.mark.parametrize("how", ["link", "dangling", "hard link"])
def test_a_log_is_not_written_through_a_link(option: str, how: str, victim: Path) -> None:
    log = victim.parent / "log"
    if how == "hard link":
        os.link(victim, log)
    else:
        log.symlink_to(victim if how == "link" else victim.parent / "nowhere")
    said = "has another name" if how == "hard link" else "is a symbolic link, which is not followed"
    for detach in ((), ("--detach",)):
        refused(victim.parent / "data", said, option, str(log), *detach)
    assert victim.read_text() == VICTIM
    assert not (victim.parent / "nowhere").exists()


@pytest.mark.long_but_for("0-511", "1-455")
@pytest.mark.parametrize("mode", [0o777, 0o707])
@pytest.mark.parametrize("above", [0, 1])
def test_a_data_directory_in_which_others_write_is_refused(mode: int, above: int, tmp_path: Path) -> None:
    data_dir = tmp_path / "one" / "data"
    data_dir.mkdir(parents=True, mode=0o700)
    changed = data_dir if above == 0 else data_dir.parent
    changed.chmod(mode)
    refused(data_dir, f"others can write in {changed}, whose mode is {mode:04o}")
    assert not [*data_dir.iterdir()]


@pytest.mark.long_but_for("", "etcd.log", "sockets")
@pytest.mark.parametrize("name", ["", "lock", "etcd.log", "etcd", "sockets"])
def test_what_another_user_has_put_there_is_refused(name: str, tmp_path: Path, give_away: Giving) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    if name.startswith(("etcd", "sockets")) and name != "etcd.log":
        (data_dir / name).mkdir()
    elif name:
        (data_dir / name).touch()
    give_away(data_dir / name)
    refused(data_dir, "belongs to")


def test_a_tokens_file_that_others_write_is_refused_at_the_start(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.touch(mode=0o600)
    tokens.chmod(0o664)
    refused(tmp_path / "data", f"{tokens} (tokens) can be written by its group", "--tokens", str(tokens))
    assert "hint: chmod go-w" in run("up", "--data-dir", str(tmp_path / "data"), "--tokens", str(tokens)).stderr


def test_a_token_is_added_through_no_link(victim: Path) -> None:
    (victim.parent / "tokens.toml").symlink_to(victim)
    out = victim.parent / "a.token"
    done = run("token", "a", "--tokens", str(victim.parent / "tokens.toml"), "--out", str(out), "--sessions", "a")
    assert done.returncode == 2
    assert "is a symbolic link, which is not followed" in done.stderr
    assert victim.read_text() == VICTIM
    assert not out.exists()
