"""Certificates are read once for each change, however many connections come (42)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from coordinator.security.ca import make_certificates
from coordinator.security.pem import read_key_pair
from coordinator.service.connections.tls import FollowedFiles


class _World:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        make_certificates(directory, (), ())
        self.age(1000)
        self.now = self.file("server.crt").stat().st_ctime + 100
        self.reads = 0

        def counted(*arguments: Any) -> object:
            self.reads += 1
            return read_key_pair(*arguments)

        monkeypatch.setattr("coordinator.service.connections.tls.read_key_pair", counted)
        self.files = FollowedFiles(self.file("server.crt"), self.file("server.key"), None, clock=lambda: self.now)

    def file(self, name: str) -> Path:
        return self.directory / name

    def age(self, seconds: float) -> None:
        for name in ("server.crt", "server.key"):
            then = self.file(name).stat().st_mtime - seconds
            os.utime(self.file(name), (then, then))

    def replace(self) -> None:
        other = self.directory / f"other-{self.reads}"
        make_certificates(other, (), ())
        for name in ("server.key", "server.crt"):
            self.file(name).write_bytes((other / name).read_bytes())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _World:
    return _World(tmp_path / "certs", monkeypatch)


def test_nothing_is_given_and_nothing_read_while_files_are_the_same(world: _World) -> None:
    before = world.reads
    assert [world.files.changed() for _ in range(500)] == [None] * 500
    assert world.reads == before


def test_files_that_were_only_touched_are_not_given_again(world: _World) -> None:
    for _ in range(3):
        world.file("server.crt").touch()
        assert world.files.changed() is None
    assert world.reads > 1, "they were read"


def test_a_change_is_given_once(world: _World) -> None:
    world.replace()
    given = [world.files.changed() for _ in range(500)]
    assert given[0] is not None
    assert given[1:] == [None] * 499


def test_files_that_cannot_be_used_change_nothing_and_what_comes_then_does(world: _World) -> None:
    good = world.file("server.key").read_bytes()
    world.file("server.key").write_bytes(b"no key")
    assert world.files.changed() is None
    world.file("server.key").unlink()
    assert world.files.changed() is None
    world.file("server.key").touch(mode=0o600)
    world.file("server.key").write_bytes(good)
    assert world.files.changed() is None, "it is what is used already"
    world.replace()
    assert world.files.changed() is not None


def test_a_second_change_within_one_tick_of_the_clock_is_seen(world: _World) -> None:
    world.replace()
    times = {name: world.file(name).stat() for name in ("server.crt", "server.key")}
    world.now = max(each.st_mtime for each in times.values())
    assert world.files.changed() is not None
    before = world.reads
    world.files._signature = world.files._sign()
    world.now += 0.1
    world.files.changed()
    assert world.reads == before + 1, "files so fresh are read again"
    world.now += 10
    world.files.changed()
    world.now += 1
    after = world.reads
    world.files.changed()
    assert world.reads == after
