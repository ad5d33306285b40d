"""Which files are relied on and written to, on a host with other users (51)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.errors import InvalidInput
from coordinator.security import file_trust
from coordinator.security.file_trust import check_place, check_way, open_own, read_bounded, read_trusted, user_name
from tests.other_users import OTHER, Giving


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o600)
    return path


def refused(path: Path, said: str, typed: str, *, secret: bool = False) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)) as caught:
        read_trusted(path, "tokens", secret=secret)
    assert caught.value.field == "tokens"
    assert typed in (caught.value.hint or "")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o622, 0o664, 0o666, 0o777, 0o420, 0o020])
def test_what_others_can_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    who = "every user" if mode & 0o002 else "its group"
    refused(file, f"can be written by {who}: its mode is {mode:04o}", f"chmod go-w {file}")


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o444, 0o404, 0o755])
def test_a_secret_that_all_users_can_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    refused(file, f"can be read by every user of this host: its mode is {mode:04o}", f"chmod o-rwx {file}", secret=True)
    assert read_trusted(file, "tokens") == b"x"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o660 & ~0o020])
def test_a_group_may_read_a_secret(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert read_trusted(file, "key", secret=True) == b"x"


def test_what_belongs_to_another_user_is_refused(file: Path, give_away: Giving) -> None:
    give_away(file)
    refused(file, f"belongs to user {OTHER}, who could change it", f"chown {user_name(os.geteuid())} {file}")


def test_what_belongs_to_root_is_not(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    if file.stat().st_uid == 0:
        assert read_trusted(file, "key", secret=True) == b"x"
    else:
        refused(file, "who could change it", "chown")


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o702, 0o770, 0o775])
@pytest.mark.parametrize("above", [1, 2])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int, above: int) -> None:
    file = tmp_path / "one" / "two" / "file"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o600)
    directory = file.parents[above - 1]
    directory.chmod(mode)
    if os.geteuid() == 0 or mode & 0o002:
        refused(file, f"others can write in {directory}, whose mode is {mode:04o}", f"chmod go-w {directory}")
    directory.chmod(mode | 0o1000)
    assert read_trusted(file, "tokens") == b""  # sticky, as /tmp is


def test_a_directory_of_another_user_is_refused(file: Path, give_away: Giving) -> None:
    directory = file.parent / "theirs"
    directory.mkdir()
    file = file.rename(directory / "file")
    give_away(directory)
    refused(file, f"{directory} belongs to user {OTHER}, who could replace it", "keep it in a directory of your own")


def test_links_are_followed_unless_they_are_another_users(file: Path, give_away: Giving) -> None:
    link = file.parent / "link"
    link.symlink_to(file)
    assert read_trusted(link, "tokens") == b"x"
    give_away(link)
    refused(link, f"{link} belongs to user {OTHER}", "keep it")


@pytest.mark.parametrize("target", ["open/file", "../{name}/open/file", "{path}/open/file", "further"])
def test_where_links_lead_is_looked_at_too(tmp_path: Path, target: str) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "file").touch(mode=0o600)
    (tmp_path / "further").symlink_to("open/file")
    link = tmp_path / "link"
    link.symlink_to(target.format(name=tmp_path.name, path=tmp_path))
    refused(link, f"others can write in {tmp_path / 'open'}", "chmod go-w")


def test_a_secret_that_kubernetes_mounts_is_read(tmp_path: Path) -> None:
    """Links over ``..data``, in a directory that is sticky and open, files for a group."""
    (tmp_path / "..2026_11_29").mkdir(mode=0o755)
    (tmp_path / "..data").symlink_to("..2026_11_29")
    for name in ("tls.key", "tokens.toml"):
        (tmp_path / "..2026_11_29" / name).write_text("x")
        (tmp_path / "..2026_11_29" / name).chmod(0o440)
        (tmp_path / name).symlink_to(f"..data/{name}")
    tmp_path.chmod(0o3777)
    assert read_trusted(tmp_path / "tls.key", "tls-key", secret=True) == b"x"
    (tmp_path / "..2026_11_29" / "tls.key").chmod(0o444)
    refused(tmp_path / "tls.key", "can be read by every user of this host", "defaultMode: 0440", secret=True)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for look in (lambda: read_trusted(tmp_path / "a", "tokens"), lambda: check_way(tmp_path / "a", "tokens")):
        with pytest.raises(OSError, match="symbolic links"):
            look()


def test_what_has_no_end_is_refused() -> None:
    endless = Path("/dev/zero")
    with pytest.raises(OSError, match="too large"):
        read_trusted(endless, "token_file")
    with pytest.raises(OSError, match="too large"):
        read_bounded(endless)


def test_what_the_kernel_names_is_read(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    assert read_trusted(Path(f"/proc/self/fd/{descriptor}"), "tokens", secret=True) == b"x"
    os.close(descriptor)
    reader, writer = os.pipe()
    os.write(writer, b"y")
    os.close(writer)
    assert read_trusted(Path(f"/dev/fd/{reader}"), "tokens", secret=True) == b"y"


def test_the_group_of_one_user_alone_may_write_in_directories(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.chmod(0o775)
    monkeypatch.setattr(file_trust, "_is_private", lambda *_: True)
    assert read_trusted(file, "tokens") == b"x"


def test_a_group_may_write_where_data_of_root_lies(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume of Kubernetes belongs to root and the group of the pod."""
    file.parent.chmod(0o2775)
    looked = os.stat
    monkeypatch.setattr(os, "stat", lambda *given, **options: _of_root(looked(*given, **options)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InvalidInput, match="others can write"):
        check_way(file, "data-dir", groups_of_root=True)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    check_way(file, "data-dir", groups_of_root=True)
    with pytest.raises(InvalidInput, match="others can write"):
        check_way(file, "tokens")


def _of_root(found: os.stat_result) -> os.stat_result:
    return os.stat_result([*found[:4], 0, *found[5:]])


class TestOpening:
    @pytest.mark.parametrize("target", ["file", "nowhere", "/dev/null", "link"])
    def test_no_link_is_followed(self, file: Path, target: str) -> None:
        link = file.parent / "link"
        link.symlink_to(target)
        with pytest.raises(OSError, match="is a symbolic link, which is not followed"):
            open_own(link, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        assert file.read_text() == "x"
        assert not (file.parent / "nowhere").exists()

    def test_what_has_another_name_is_refused(self, file: Path) -> None:
        os.link(file, file.parent / "another")
        with pytest.raises(PermissionError, match="another name"):
            open_own(file, os.O_RDWR)

    def test_what_is_anothers_is_refused(self, file: Path, give_away: Giving) -> None:
        give_away(file)
        with pytest.raises(PermissionError, match=f"belongs to user {OTHER}"):
            open_own(file, os.O_RDWR)

    def test_what_is_made_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            os.close(open_own(tmp_path / "new", os.O_RDWR | os.O_CREAT))
        finally:
            os.umask(before)
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("path", ["/dev/null", "/dev/stderr", "/proc/self/fd/2"])
    def test_what_the_kernel_names_is_opened(self, path: str) -> None:
        os.close(open_own(Path(path), os.O_WRONLY | os.O_APPEND))


def looked_at() -> list[tuple[str, Callable[[Path], object]]]:
    from coordinator.client._security import Security
    from coordinator.security.ca import load_authority
    from coordinator.security.pem import read_authorities, read_key_pair
    from coordinator.service.access import CredentialsFile
    from coordinator.store.etcd.access import EtcdAccess

    return [
        ("server.key", lambda at: read_key_pair(at / "server.crt", at / "server.key", "tls-cert", "tls-key")),
        ("ca.crt", lambda at: read_authorities(at / "ca.crt", "client-ca")),
        ("ca.key", load_authority),
        ("alice.token", lambda at: Security(token_file=at / "alice.token")),
        ("server.key", lambda at: Security(cert=at / "server.crt", key=at / "server.key")),
        ("tokens.toml", lambda at: CredentialsFile(at / "tokens.toml")),
        ("server.key", lambda at: EtcdAccess(at / "ca.crt", at / "server.crt", at / "server.key")),
        ("ca.crt", lambda at: EtcdAccess(at / "ca.crt")),
        ("alice.token", lambda at: EtcdAccess(at / "ca.crt", user="x", password_file=at / "alice.token")),
    ]


@pytest.mark.parametrize("number", range(len(looked_at())))
def test_every_file_that_decides_or_is_secret_is_looked_at(number: int, tmp_path: Path) -> None:
    from coordinator.security.ca import make_certificates
    from coordinator.security.new_tokens import add_credential
    from coordinator.security.tokens_file import Wanted

    make_certificates(tmp_path / "files")
    add_credential(tmp_path / "files" / "tokens.toml", Wanted("alice", fleets=("x",)), tmp_path / "files/alice.token")
    name, look = looked_at()[number]
    look(tmp_path / "files")
    changes = [(0o666, "can be written by every user"), (0o777, "others can write in")]
    if name.endswith(("key", "token")):
        changes.append((0o604, "can be read by every user of this host"))
    for mode, said in changes:
        changed = tmp_path / "files" if mode == 0o777 else tmp_path / "files" / name
        before = changed.stat().st_mode
        changed.chmod(mode)
        with pytest.raises(InvalidInput, match=said):
            look(tmp_path / "files")
        changed.chmod(before)


def made_at(at: Path) -> list[tuple[str, Callable[[], object]]]:
    """What writes files that are named to it, below a directory ``at``."""
    from coordinator.logs.writer import LogFile
    from coordinator.security.ca import make_certificates
    from coordinator.security.new_tokens import add_credential
    from coordinator.security.tokens_file import Wanted

    wanted = Wanted("alice", fleets=("x",))
    return [
        ("log", lambda: os.close(LogFile.open_descriptor(at / "log"))),
        ("ca.crt", lambda: make_certificates(at)),
        ("new", lambda: make_certificates(at / "new" / "certs")),
        ("tokens.toml", lambda: add_credential(at / "tokens.toml", wanted, at.parent / "alice.token")),
        ("alice.token", lambda: add_credential(at.parent / "tokens.toml", wanted, at / "alice.token")),
    ]


@pytest.mark.parametrize("how", ["linked", "linked above", "owned", "open"])
@pytest.mark.parametrize("number", range(len(made_at(Path()))))
def test_51_nothing_is_made_where_other_users_decide_what_is_there(
    number: int, how: str, tmp_path: Path, give_away: Giving
) -> None:
    place, at = tmp_path / "place" / "in", tmp_path / "place" / "in"
    place.mkdir(parents=True)
    if how.startswith("linked"):
        link = tmp_path / "link"
        link.symlink_to(place if how == "linked" else place.parent)
        at = link if how == "linked" else link / "in"
    name, make = made_at(at)[number]
    (tmp_path / "tokens.toml").touch()
    if how == "open":
        place.chmod(0o777)
    else:
        give_away(place if how == "owned" else tmp_path / "link")
    with pytest.raises(InvalidInput, match="cannot be relied on"):
        make()
    assert not (at / name).exists()


@pytest.mark.parametrize("number", range(len(made_at(Path()))))
def test_51_links_of_ones_own_and_sticky_directories_are_followed(number: int, tmp_path: Path) -> None:
    place, link = tmp_path / "place", tmp_path / "link"
    place.mkdir()
    place.chmod(0o1777)
    link.symlink_to(place)
    name, make = made_at(link)[number]
    make()
    assert (place / name).exists()


def test_51_a_log_may_lie_where_a_group_writes_in_what_is_roots(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /var/log of Ubuntu does; not tokens, nor what all users may write."""
    looked = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: _of_root(looked(path)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    file.parent.chmod(0o2775)
    check_place(file, "log-file", log=True)
    with pytest.raises(InvalidInput, match="others can write"):
        check_place(file, "out")
    file.parent.chmod(0o777)
    with pytest.raises(InvalidInput, match="others can write"):
        check_place(file, "log-file", log=True)


@pytest.mark.parametrize("missing", [(), ("a",), ("a", "b", "c")])
def test_51_a_backup_for_a_user_is_made_in_a_directory_of_that_user_but_through_no_link(
    missing: tuple[str, ...], tmp_path: Path, give_away: Giving
) -> None:
    home, link = tmp_path / "home", tmp_path / "link"
    home.mkdir()
    link.symlink_to(home)
    give_away(home)
    check_place(Path(home, *missing, "backup"), "file", links_only=True)
    check_place(Path(link, *missing, "backup"), "file", links_only=True)
    give_away(link)
    with pytest.raises(InvalidInput, match=re.escape(f"{link} belongs to user {OTHER}")):
        check_place(Path(link, *missing, "backup"), "file", links_only=True)
