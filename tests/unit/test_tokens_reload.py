"""The tokens file while a coordinator runs: written in place, cut, emptied, replaced, or no file at all."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.security.tokens_file import read_credentials
from coordinator.service.access import CredentialsFile
from tests.other_users import Giving


def entry(number: int, sessions: str = "*") -> str:
    digest = f"{number:064x}"
    return f'[[credential]]\nname = "n{number}"\ntoken_sha256 = "{digest}"\nsessions = ["{sessions}"]\n'


THREE = "# The head.\n" + "".join(map(entry, range(3)))


class TestWrittenInPlace:
    """A file that is read in the middle of being written locks no caller out."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "tokens.toml"
        path.write_text(THREE)
        return path

    @pytest.mark.parametrize(
        "left",
        ["", "\n", "# The head.\n", " \r\n\t\n", "\ufeff", "credential = []\n", THREE[: len(THREE) // 8]],
        ids=["empty", "a line", "its head", "blanks", "a BOM", "an empty list", "cut before the first entry"],
    )
    def test_a_file_that_holds_no_credential_takes_none_away(
        self, left: str, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = CredentialsFile(path)
        good = file.current
        path.write_text(left if left != THREE[: len(THREE) // 8] else "# The head.\n[[")
        for _ in range(3):
            assert not file.refresh()
        assert file.current is good
        (record,) = caplog.records
        assert record.getMessage() == "credentials unchanged"
        path.write_text(THREE)
        assert not file.refresh()
        assert file.current is good

    def test_a_file_cut_anywhere_takes_nothing_away_at_the_first_look(self, path: Path) -> None:
        for at in range(len(THREE)):
            path.write_text(THREE)
            file = CredentialsFile(path)
            path.write_text(THREE[:at])
            file.refresh()
            assert len(file.current.by_digest) == 3, f"cut at {at}: {THREE[:at][-30:]!r}"
            assert all(str(grant.sessions) == "*" for grant in file.current.by_digest.values())

    @pytest.mark.parametrize(
        "change", [entry(0) + entry(1), THREE.replace("*", "a", 1), entry(7), THREE + 'role = "operator"\n']
    )
    def test_what_changes_or_takes_away_counts_once_it_was_seen_twice(self, change: str, path: Path) -> None:
        file = CredentialsFile(path)
        good = file.current
        path.write_text(change)
        assert not file.refresh()
        path.write_text(change + "# still being written\n")
        assert not file.refresh()
        assert file.current is good
        assert file.refresh()
        wanted = read_credentials(change, "it").by_digest
        assert {key: str(grant) for key, grant in file.current.by_digest.items()} == {
            key: str(grant) for key, grant in wanted.items()
        }

    def test_what_is_added_counts_at_once(self, path: Path) -> None:
        file = CredentialsFile(path)
        path.write_text(entry(9) + THREE)
        assert file.refresh()
        assert len(file.current.by_digest) == 4

    def test_an_empty_file_may_get_its_first_entry_later(self, path: Path) -> None:
        path.write_text("")
        file = CredentialsFile(path)
        path.write_text(entry(1))
        assert file.refresh()


class TestForms:
    """What a tokens file may be, and what never blocks or replaces one that could be read."""

    @pytest.mark.parametrize(
        "content",
        [
            THREE.replace("\n", "\r\n").encode(),
            THREE.encode("utf-8-sig"),
            THREE.replace("\n", "\r\n").encode("utf-8-sig"),
            THREE.rstrip().encode(),
        ],
        ids=["CRLF", "BOM", "both", "no last newline"],
    )
    def test_as_editors_write_it(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "tokens.toml").write_bytes(content)
        assert len(CredentialsFile(tmp_path / "tokens.toml").current.by_digest) == 3

    @pytest.mark.parametrize(
        "content", [THREE.encode("utf-16"), THREE.replace("\n", "\r").encode(), b"\0" * 512, THREE.encode() + bytes(9)]
    )
    def test_what_is_no_such_file_is_refused_and_replaces_none(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "tokens.toml").write_text(THREE)
        file = CredentialsFile(tmp_path / "tokens.toml")
        (tmp_path / "tokens.toml").write_bytes(content)
        for _ in range(3):
            assert not file.refresh()
        assert len(file.current.by_digest) == 3
        with pytest.raises(InvalidInput):
            CredentialsFile(tmp_path / "tokens.toml")

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "directory", "socket", "endless", "loop", "pipe"])
    def test_what_is_no_plain_file_is_refused_without_waiting(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "tokens.toml"
        path.write_text(THREE)
        file = CredentialsFile(path)
        path.unlink()
        with contextlib.ExitStack() as stack:
            if kind == "fifo":
                os.mkfifo(path, 0o600)
            elif kind == "link to a fifo":
                os.mkfifo(tmp_path / "fifo", 0o600)
                path.symlink_to("fifo")
            elif kind == "directory":
                path.mkdir()
            elif kind == "socket":
                stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
            elif kind == "endless":
                path.symlink_to("/dev/zero")
            elif kind == "loop":
                path.symlink_to(path)
            else:
                ends = os.pipe()
                for end in ends:
                    stack.callback(os.close, end)
                path.symlink_to(f"/proc/self/fd/{ends[0]}")
            assert not file.refresh()
            assert len(file.current.by_digest) == 3
            with pytest.raises(InvalidInput, match="cannot be read"):
                CredentialsFile(path)

    @pytest.mark.parametrize("how", ["renamed over", "link replaced", "directory of the link replaced"])
    def test_replaced_as_a_whole(self, how: str, tmp_path: Path) -> None:
        """As by editors, and by Kubernetes in mounted secrets."""
        path = tmp_path / "tokens.toml"
        for number in (1, 2):
            (tmp_path / f"..{number}").mkdir()
            (tmp_path / f"..{number}" / "tokens.toml").write_text(entry(0) + entry(number))
        (tmp_path / "..data").symlink_to("..1")
        if how == "renamed over":
            path.write_text(entry(0) + entry(1))
        else:
            path.symlink_to("..1/tokens.toml" if how == "link replaced" else "..data/tokens.toml")
        file = CredentialsFile(path)
        if how == "renamed over":
            (tmp_path / "..2" / "tokens.toml").rename(path)
        elif how == "link replaced":
            (tmp_path / "new").symlink_to("..2/tokens.toml")
            (tmp_path / "new").rename(path)
        else:
            (tmp_path / "new").symlink_to("..2")
            (tmp_path / "new").rename(tmp_path / "..data")
            (tmp_path / "..1" / "tokens.toml").unlink()
        assert [file.refresh(), file.refresh()] == [False, True]
        assert {grant.name for grant in file.current.by_digest.values()} == {"n0", "n2"}

    @pytest.mark.parametrize("change", ["mode", "mode of its directory", "owner"])
    def test_who_may_write_it_changes(self, change: str, tmp_path: Path, give_away: Giving) -> None:
        (tmp_path / "own").mkdir(mode=0o700)
        path = tmp_path / "own" / "tokens.toml"
        path.write_text(THREE)
        file = CredentialsFile(path)
        path.write_text(entry(9))
        if change == "owner":
            give_away(path)
        else:
            (path if change == "mode" else path.parent).chmod(0o777)
        for _ in range(3):
            assert not file.refresh()
        assert len(file.current.by_digest) == 3
