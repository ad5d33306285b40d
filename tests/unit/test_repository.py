"""Which repository a number alone means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.checkout import find_origin
from coordinator.errors import InvalidInput
from coordinator.keys import parse_work_key
from coordinator.repository import in_repository, read_repository


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
        ("acme/web", "Fix #7", "task:fix-#7"),
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
        ("git@git.example.com:group/project.git", "#7", "task:git.example.com/group/project#7"),
        ("https://git.example.com/group/project", "#7", "task:git.example.com/group/project#7"),
        ("git.example.com/group/project", "#7", "task:git.example.com/group/project#7"),
        ("github.com/acme/web", "#7", "github:acme/web#7"),
        ("git@github.com:acme/web.git", "!7", "github:acme/web!7"),
        ("codeberg:forgejo/forgejo", "#7", "gitea:codeberg.org/forgejo/forgejo#7"),
    ],
)
def test_a_number_is_one_of_the_repository_that_is_named(named: str, typed: str, key: str) -> None:
    assert str(parse_work_key(in_repository(typed, read_repository(named)))) == key


@pytest.mark.parametrize("named", ["acme", "a b/c", "https://", "/x", "acme/", "git@host:", "acme/web#7"])
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
