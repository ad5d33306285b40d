"""Writing the log: the caller continues, whatever becomes of the log."""

from __future__ import annotations

import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.logs.writer import LogFile, LogWriter, write_all


def notice(lines: int) -> bytes:
    return b"dropped %d\n" % lines


class Gate:
    """A log that takes nothing until it is opened, as a pipe that is not read."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.written = b""

    def write(self, text: bytes) -> None:
        self.reached.set()
        assert self.opened.wait(30)
        self.written += text


class TestWriter:
    def test_no_caller_waits_and_what_is_beyond_the_limit_is_dropped_and_counted(self) -> None:
        gate = Gate()
        writer = LogWriter(gate.write, notice, limit_bytes=8)
        writer.put(b"on its way\n"[:8], 1)
        assert gate.reached.wait(30)
        for text in (b"one\n", b"two\n", b"lost\n", b"and lost\n"):
            writer.put(text, 1)
        writer.put(b"\n\n\n", 3)
        assert gate.written == b""
        gate.opened.set()
        assert writer.close(30)
        assert gate.written == b"on its w" + b"one\ntwo\ndropped 5\n"
        assert writer.dropped_lines == 5

    def test_it_goes_on_after_the_drop(self) -> None:
        gate = Gate()
        writer = LogWriter(gate.write, notice, limit_bytes=4)
        writer.put(b"one\n", 1)
        assert gate.reached.wait(30)
        writer.put(b"two\n", 1)
        writer.put(b"lost\n", 1)
        gate.opened.set()
        with writer._changed:
            assert writer._changed.wait_for(lambda: not writer._waiting and not writer._busy, 30)
        writer.put(b"new\n", 1)
        assert writer.close(30)
        assert gate.written == b"one\ntwo\ndropped 1\nnew\n"

    def test_what_could_not_be_written_is_counted_too(self) -> None:
        written: list[bytes] = []
        full = True

        def write(text: bytes) -> None:
            if full:
                raise OSError
            written.append(text)

        writer = LogWriter(write, notice)
        for _ in range(2):
            writer.put(b"lost\nlost\n", 2)
            with writer._changed:
                assert writer._changed.wait_for(lambda: not writer._waiting and not writer._busy, 30)
        full = False
        writer.put(b"new\n", 1)
        assert writer.close(30)
        assert written == [b"new\ndropped 4\n"]

    def test_a_reader_that_is_gone_stops_no_other(self) -> None:
        reader, file = os.pipe()
        os.close(reader)
        writer = LogWriter(partial(write_all, file), notice)
        for _ in range(3):
            writer.put(b"unheard\n", 1)
        assert writer.close(30)
        os.close(file)

    def test_the_end_waits_no_longer_than_given(self) -> None:
        gate = Gate()
        writer = LogWriter(gate.write, notice)
        writer.put(b"stuck\n", 1)
        assert not writer.close(0.01)
        writer.put(b"too late\n", 1)
        gate.opened.set()
        assert writer.close(30)
        assert gate.written == b"stuck\n"

    def test_a_pipe_that_does_not_block_gets_all(self) -> None:
        reader, file = os.pipe()
        os.set_blocking(file, False)
        writer = LogWriter(partial(write_all, file), notice)
        writer.put(b"x" * 300_000, 1)
        found = b""
        while len(found) < 300_000:
            found += os.read(reader, 65536)
        assert writer.close(30)
        os.close(reader)
        os.close(file)


class TestFile:
    def test_it_is_rotated_by_size_and_only_its_owner_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.touch(mode=0o644)
        file = LogFile(path, limit_bytes=10, kept=2)
        for number in range(9):
            file.write(b"line %d\n" % number)
        file.close()
        found = {entry.name: entry.read_text().split() for entry in tmp_path.iterdir()}
        assert found == {
            "log": ["line", "8"],
            "log.1": ["line", "6", "line", "7"],
            "log.2": ["line", "4", "line", "5"],
        }
        assert {stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()} == {0o600}

    @pytest.mark.parametrize("how", ["moved", "deleted"])
    def test_one_that_was_taken_away_is_begun_anew(self, how: str, tmp_path: Path) -> None:
        path = tmp_path / "log"
        file = LogFile(path)
        file.write(b"before\n")
        if how == "moved":
            path.rename(tmp_path / "elsewhere")
        else:
            path.unlink()
        file.write(b"after\n")
        file.close()
        assert path.read_text() == "after\n"

    def test_one_that_cannot_be_rotated_goes_on(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        (tmp_path / "log.1").mkdir()
        (tmp_path / "log.1" / "in the way").touch()
        (tmp_path / "log.2").mkdir()
        (tmp_path / "log.2" / "in the way").touch()
        file = LogFile(path, limit_bytes=1)
        for _ in range(3):
            file.write(b"line\n")
        file.close()
        assert path.read_text() == "line\n" * 3

    def test_one_that_cannot_be_written(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "unread")
        for path in (tmp_path, tmp_path / "none" / "log", tmp_path / "nul\0", tmp_path / "unread"):
            with pytest.raises(InvalidInput, match="cannot be written") as caught:
                LogFile(path)
            assert caught.value.field == "log-file"
