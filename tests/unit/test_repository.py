"""Which repository a number alone means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.cli.checkout import find_origin
from coordinator.errors import InvalidInput
from coordinator.keys import parse_work_key
from coordinator.number_hints import may_be_number
from coordinator.repository import in_repository, read_repository
from coordinator.spoken_numbers import read_number


@pytest.mark.parametrize(
    ("named", "typed", "key"),
    [
        ("acme/web", "#7", "github:acme/web#7"),
        ("acme/web", " # 07.", "github:acme/web#7"),
        ("acme/web", "`#7`", "github:acme/web#7"),
        ("acme/web", "(#7)", "github:acme/web#7"),
        ("acme/web", "api#7", "github:acme/api#7"),
        ("acme/web", "acme/web#7", "github:acme/web#7"),
        ("acme/web", "other/api#7", "github:other/api#7"),
        ("acme/web", "Fix #7", "github:acme/web#7"),
        ("acme/web", "Attempt #2 at the migration", "task:attempt-#2-at-the-migration"),
        ("acme/web", "task:#7", "task:#7"),
        ("github:acme/web.git", "#7", "github:acme/web#7"),
        ("https://github.com/acme/web", "#7", "github:acme/web#7"),
        ("https://token@github.com/acme/web.git/", "#7", "github:acme/web#7"),
        ("git@github.com:acme/web.git", "#7", "github:acme/web#7"),
        ("ssh://git@github.com:22/acme/web.git", "#7", "github:acme/web#7"),
        ("gitlab:group/sub/project", "#7", "gitlab:group/sub/project#7"),
        ("git@gitlab.com:group/sub/project.git", "!7", "gitlab:group/sub/project!7"),
        ("git@gitlab.com:group/sub/project.git", "other!7", "gitlab:group/sub/other!7"),
        ("git@bitbucket.org:team/app.git", "#7", "bitbucket:team/app#7"),
        ("git@codeberg.org:forgejo/forgejo.git", "#7", "gitea:codeberg.org/forgejo/forgejo#7"),
        ("git@gitlab.example.com:group/project.git", "#7", "gitlab:gitlab.example.com/group/project#7"),
        ("https://gitlab.example.com/group/project", "#7", "gitlab:gitlab.example.com/group/project#7"),
        ("gitlab.example.com/group/project", "#7", "gitlab:gitlab.example.com/group/project#7"),
        ("github.com/acme/web", "#7", "github:acme/web#7"),
        ("git@github.com:acme/web.git", "!7", "github:acme/web#7"),
        ("codeberg:forgejo/forgejo", "#7", "gitea:codeberg.org/forgejo/forgejo#7"),
    ],
)
def test_a_number_is_one_of_the_repository_that_is_named(named: str, typed: str, key: str) -> None:
    assert str(parse_work_key(in_repository(typed, read_repository(named)))) == key


#: What people, programs and CI write for number 7, and which sort of number it is where a site has two.
ALONE = {
    "#": (
        *("#7", "Fixes #7", "work on #7", "issue 7", "GH-7", "gh-7", "the issue #7", "issues/7", "[issue:7]"),
        *("- #7", "* [ ] #7", "> #7", "**#7**", "(#7", "#7?", "#7 (comment)", "#7+", "bug #7", "issue no. 7"),
        "\u201c#7\u201d",
    ),
    "pull": ("PR #7", "PR#7", "pr 7", "PR-7", "pull/7", "pull/7/head", "refs/pull/7/merge", "7/merge"),
    "!": ("!7", "MR !7", "MR 7", "mr-7", "refs/merge-requests/7/head", "-/merge_requests/7", "!7+s"),
}


@pytest.mark.parametrize(
    ("named", "keys"),
    [
        ("acme/web", {"#": "github:acme/web#7", "pull": "github:acme/web#7", "!": "github:acme/web#7"}),
        (
            "git@gitlab.com:group/sub/app.git",
            {"#": "gitlab:group/sub/app#7", "pull": "gitlab:group/sub/app!7", "!": "gitlab:group/sub/app!7"},
        ),
        (
            "bitbucket:team/app",
            {"#": "bitbucket:team/app#7", "pull": "bitbucket:team/app!7", "!": "bitbucket:team/app!7"},
        ),
    ],
)
def test_2_a_number_alone_is_read_however_it_is_written(named: str, keys: dict[str, str]) -> None:
    repository = read_repository(named)
    for sort, texts in ALONE.items():
        found = {text: str(parse_work_key(in_repository(text, repository))) for text in texts}
        assert found == dict.fromkeys(texts, keys[sort])


@pytest.mark.parametrize("text", [text for texts in ALONE.values() for text in texts])
def test_2_without_a_repository_it_is_refused(text: str) -> None:
    assert may_be_number(text)
    with pytest.raises(InvalidInput, match=r"which repository\?"):
        parse_work_key(text)


@pytest.mark.parametrize(
    "text", ["C#7", "fix-7", "release 7", "task:#7", "task:PR 7", "gh-7-fix", "day 7", "sc-7", "OPS-7"]
)
def test_2_what_is_no_number_of_a_repository_is_sent_as_it_is(text: str) -> None:
    assert in_repository(text, "github:acme/web") == text
    assert str(parse_work_key(text)).startswith("task:")


def test_2_a_number_of_another_site_is_not_one_of_the_repository() -> None:
    assert in_repository("gitlab:#7", "github:acme/web") == "gitlab:#7"
    assert in_repository("gh issue 7", "gitlab:acme/web") == "gh issue 7"
    assert in_repository("gh issue 7", "github:acme/web") == "github:acme/web#7"
    assert in_repository("github:#7", "git.example.org/acme/web") == "git.example.org/acme/web#7"


@given(st.text("#!7 :/-.()prPRghGHissuemergful", max_size=16))
@example("Closes: issue #7")
@example("refs/remotes/origin/pr/7")
def test_2_the_short_look_at_a_text_misses_no_number(text: str) -> None:
    assert may_be_number(text) or read_number(text) is None


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ("https://github.com/acme/web/pull/3", "github:acme/web#7"),
        ("https://github.com/acme/web/tree/main/src", "github:acme/web#7"),
        ("https://gitlab.com/group/sub/project/-/merge_requests/3", "gitlab:group/sub/project#7"),
        ("https://codeberg.org/acme/web/issues", "gitea:codeberg.org/acme/web#7"),
        ("https://bitbucket.org/team/app/src/main/", "bitbucket:team/app#7"),
        ("https://git.example.com/scm/ops/app.git", "bitbucket:git.example.com/ops/app#7"),
        ("git@ssh.github.com:acme/web.git", "github:acme/web#7"),
        ("git@github.com:/acme/web", "github:acme/web#7"),
        ("acme/web/", "github:acme/web#7"),
    ],
)
def test_2_a_page_of_a_repository_names_it(named: str, key: str) -> None:
    assert str(parse_work_key(in_repository("#7", read_repository(named)))) == key


@pytest.mark.parametrize("named", ["git@work:acme/web.git", "ssh://git@forge/acme/web", "http://forge:3000/acme/web"])
def test_2_a_host_of_one_word_is_not_the_group_of_a_project(named: str) -> None:
    with pytest.raises(InvalidInput, match="a host of one word"):
        read_repository(named)
    page = parse_work_key("http://forge/acme/web/-/issues/7")
    assert parse_work_key(str(page)) == page != parse_work_key("https://gitlab.com/forge/acme/web/-/issues/7")


@pytest.mark.parametrize(
    "named", ["acme", "a b/c", "https://", "/x", "acme/", "git@host:", "acme/web#7", "../web.git", "./a/web", "a/.."]
)
def test_what_names_no_repository_is_refused(named: str) -> None:
    with pytest.raises(InvalidInput, match="is no repository; allowed are owner/name") as refused:
        read_repository(named)
    assert refused.value.field == "repo"


def configured(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config").write_text(text)
    return directory


ORIGIN = '[core]\n\tbare = false\n[remote "other"]\n\turl = x\n[remote "origin"]\n\turl = git@github.com:acme/web.git\n'


class TestCheckout:
    def test_the_origin_of_the_checkout_around(self, tmp_path: Path) -> None:
        configured(tmp_path / ".git", ORIGIN)
        inside = tmp_path / "src" / "deep"
        inside.mkdir(parents=True)
        assert find_origin(inside) == find_origin(tmp_path) == "git@github.com:acme/web.git"

    def test_of_a_worktree_that_of_its_repository(self, tmp_path: Path) -> None:
        git = configured(tmp_path / "main" / ".git", ORIGIN)
        (git / "worktrees" / "side").mkdir(parents=True)
        (git / "worktrees" / "side" / "commondir").write_text("../..\n")
        (tmp_path / "side").mkdir()
        (tmp_path / "side" / ".git").write_text(f"gitdir: {git / 'worktrees' / 'side'}\n")
        assert find_origin(tmp_path / "side") == "git@github.com:acme/web.git"

    def test_of_a_submodule_its_own(self, tmp_path: Path) -> None:
        configured(tmp_path / ".git", ORIGIN)
        configured(tmp_path / ".git" / "modules" / "lib", ORIGIN.replace("web", "lib"))
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")
        assert find_origin(tmp_path / "lib") == "git@github.com:acme/lib.git"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[remote]\nurl = x\n",
            '[remote "origin"]\n',
            '[remote "upstream"]\nurl = git@github.com:a/b.git\n',
            "\0\xff",
        ],
    )
    def test_without_an_origin_there_is_none(self, tmp_path: Path, text: str) -> None:
        configured(tmp_path / ".git", text)
        assert find_origin(tmp_path) == ""

    def test_a_directory_above_that_may_not_be_searched_has_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.stat

        def refuse(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
            if str(path).endswith(".git"):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *arguments, **options)

        monkeypatch.setattr(os, "stat", refuse)
        assert find_origin(tmp_path) == ""

    def test_a_configuration_that_is_no_plain_file_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "config").mkdir()
        assert find_origin(tmp_path) == ""
        (tmp_path / ".git" / "config").rmdir()
        (tmp_path / ".git" / "config").symlink_to("/dev/zero")
        assert find_origin(tmp_path) == ""

    def test_a_comment_behind_the_address_is_none_of_it(self, tmp_path: Path) -> None:
        configured(tmp_path / ".git", '[remote "origin"]\n  URL = "https://github.com/acme/web" ; the main one\n')
        assert find_origin(tmp_path) == "https://github.com/acme/web"

    @pytest.mark.parametrize(
        ("url", "found"),
        [
            ("git@github-work:acme/web.git", "git@github.com:acme/web.git"),
            ("ssh://git@github-work/acme/web", "ssh://git@github.com/acme/web"),
            ("git@github.com-work:acme/web.git", "git@github.com:acme/web.git"),
            ("forge:acme/web", "git.example.org:acme/web"),
            ("git@other:acme/web.git", "git@other:acme/web.git"),
            ("git@git.example.com:acme/web.git", "git@git.example.com:acme/web.git"),
            ("https://github.com/acme/web", "https://github.com/acme/web"),
        ],
    )
    def test_2_a_name_that_only_ssh_knows_is_the_host_that_it_connects_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, found: str
    ) -> None:
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh" / "config").write_text(
            "Host *\n  User me\nHost github-work github.com-work\n\tHostName github.com\n  IdentityFile ~/.ssh/w\n"
            "host forge\nhostname=git.example.org\nHost git.example.com\n  HostName bastion.example.net\n"
            "Host github.com https\n  HostName ssh.github.com\n"
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        configured(tmp_path / "web" / ".git", ORIGIN.replace("git@github.com:acme/web.git", url))
        assert find_origin(tmp_path / "web") == found
