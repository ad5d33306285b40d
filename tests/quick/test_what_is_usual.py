"""What the quick way takes at all: the plainest forms; everything else is left to the full command (ADR 41)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coordinator.cli.quick.arguments import find_verb, read_arguments, read_ttl
from coordinator.cli.quick.endpoint import find_place
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.requests import make_request
from coordinator.cli.quick.settings import read_settings
from coordinator.cli.quick.trust import open_socket, read_token

CLAIM = ["work-claim", "s", "task:x"]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*os.environ]:
        if name.startswith(("COORDINATION_", "CLAUDE_", "CODEX_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_options_stand_anywhere_and_with_a_sign_of_equality() -> None:
    asked = read_arguments("work-claim", ["--json", "work-claim", "s", "--ttl=2h", "task:x", "--note", "half done"])
    assert (asked.words, asked.own, asked.common) == (
        ["s", "task:x"],
        {"ttl": "2h", "note": "half done"},
        {"json": True},
    )


@pytest.mark.parametrize(
    "more",
    [
        ["--nothing"],
        ["-h"],
        ["--"],
        ["--wait", "1s"],
        ["--ttl", "60", "--ttl", "90"],
        ["--json", "--json"],
        ["--json=yes"],
        ["--note", "-x"],
        ["--note", ""],
        ["--note", " "],
        ["--note"],
        ["--tt", "60"],
        [""],
        ["\udcff"],
    ],
    ids=repr,
)
def test_arguments_that_are_not_usual_are_left_to_the_full_command(more: list[str]) -> None:
    with pytest.raises(NotQuick):
        read_arguments("work-claim", [*CLAIM, *more])


def test_the_verb_is_found_behind_options_of_every_command_only() -> None:
    assert find_verb(["--fleet", "work-next", "work-claim"]) == "work-claim"
    for arguments in ([], ["--version"], ["work-list"], ["--nothing", "work-claim"], ["--fleet"]):
        assert find_verb(arguments) is None


@pytest.mark.parametrize(
    "typed", ["", "4s", "8d", "1e3", "٣", "inf", "nan", "-5", "+5", "5 ", "60x", "1.", ".5", "1_0"]
)
def test_times_to_live_are_digits_and_a_unit(typed: str) -> None:
    assert (read_ttl("60"), read_ttl("90s"), read_ttl("1.5h")) == (3600.0, 90.0, 5400.0)
    with pytest.raises(NotQuick):
        read_ttl(typed)


@pytest.mark.parametrize(
    "words",
    [
        ["s"],
        ["s", "task:x", "y"],
        ["task:x", "s"],
        ["a/b", "task:x"],
        ["s", "#7"],
        ["s", "(#7)"],
        ["s", "PR 7"],
        ["s", "refs/pull/7/merge"],
        ["s", "user:secret@github.com/acme/web/pull/7"],
        ["s", "https://user:pass@host/x"],
        ["s" * 129, "task:x"],
        ["s", "task:" + "x" * 600],
    ],
    ids=lambda words: " ".join(words)[:20],
)
def test_sessions_and_keys_that_need_a_look_are_left_to_the_full_command(words: list[str]) -> None:
    with pytest.raises(NotQuick):
        make_request(read_arguments("work-claim", ["work-claim", *words]), "default")


def test_a_configuration_file_is_read_if_its_lines_are_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("COORDINATION_CONFIG", str(path))
    path.write_text('# where\nendpoint = "127.0.0.1:1"\n\n  timeout = 7\n')
    monkeypatch.setenv("COORDINATION_FLEET", "b")
    found = read_settings(read_arguments("work-claim", [*CLAIM, "--fleet", "a"]))
    assert (found["endpoint"], found["timeout"], found["fleet"]) == ("127.0.0.1:1", "7", "a")
    for content in (
        'fleet = "a\\"',
        "[table]\n",
        'fleet = "a" # b',
        "fleet = 'a'",
        'nothing = "a"',
        "timeout = 1.5",
        "é",
    ):
        path.write_text(content)
        with pytest.raises(NotQuick):
            read_settings(read_arguments("work-claim", CLAIM))
    path.unlink()
    with pytest.raises(NotQuick):
        read_settings(read_arguments("work-claim", CLAIM))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COORDINATION_CA", "/ca.pem"),
        ("COORDINATION_TLS", "on"),
        ("COORDINATION_FLEET", "A"),
        ("COORDINATION_ENDPOINT", "ü:1"),
        ("COORDINATION_DB", "x"),
        ("COORDINATION_REPO", "https://example.org"),
    ],
)
def test_settings_that_need_a_look_are_left_to_the_full_command(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_settings(read_arguments("work-claim", CLAIM))
    monkeypatch.setenv(name, value)
    with pytest.raises(NotQuick):
        read_settings(read_arguments("work-claim", CLAIM))


def test_endpoints_are_addresses_and_a_token_stays_on_this_host() -> None:
    assert find_place("localhost:7420", with_token=True).address == ("127.0.0.1", 7420)
    assert find_place("[::1]:7420", with_token=True).address == ("::1", 7420, 0, 0)
    assert find_place("10.0.0.1:7420", with_token=False).address == ("10.0.0.1", 7420)
    for endpoint in ("10.0.0.1:7420", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"):
        with pytest.raises(NotQuick, match="another host"):
            find_place(endpoint, with_token=True)
    for endpoint in ("host:1", "10.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.1:1", "", ":1", "dns:///host:1"):
        with pytest.raises(NotQuick):
            find_place(endpoint, with_token=False)


def test_a_token_is_read_only_where_no_other_user_could_put_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret\n")
    path.chmod(0o600)
    assert read_token(str(path)) == "secret"
    for mode in (0o644, 0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(NotQuick):
            read_token(str(path))
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    tmp_path.chmod(0o700)
    for named in (tmp_path / "link", tmp_path / "nothing", tmp_path, Path("token")):
        with pytest.raises(NotQuick):
            read_token(str(named))
    tmp_path.chmod(0o777)
    with pytest.raises(NotQuick):
        read_token(str(path))
    tmp_path.chmod(0o700)
    for content in ("", "a b", "é", "x" * 1100):
        path.write_text(content)
        with pytest.raises(NotQuick):
            read_token(str(path))


def test_a_socket_is_opened_only_where_no_other_user_could_put_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        opened = open_socket(str(path))
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(opened)
        os.close(int(opened.rpartition("/")[2]))
        (tmp_path / "link").symlink_to(path)
        (tmp_path / "file").touch()
        for named in ("link", "file", "nothing"):
            with pytest.raises(NotQuick):
                open_socket(str(tmp_path / named))
        tmp_path.chmod(0o777)
        with pytest.raises(NotQuick):
            open_socket(str(path))
        tmp_path.chmod(0o700)
