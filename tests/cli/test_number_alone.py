"""``#7`` on the command line: one work key, whichever command and whichever way the repository is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.cli import checkout
from coordinator.cli.context import current
from coordinator.errors import InvalidInput
from coordinator.repository import in_repository, repository_of
from tests.conftest import Coordination

#: Of a site that is known by its name.
_REMOTE = "git@gitlab.example.com:group/project.git"
_KEY = "gitlab:gitlab.example.com/group/project#7"


def _check_out(directory: Path, remote: str) -> None:
    (directory / ".git").mkdir()
    (directory / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {remote}\n')


def test_commands_send_one_key_for_a_number_of_the_checkout(
    coordination: Coordination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check_out(tmp_path, _REMOTE)
    monkeypatch.chdir(tmp_path)

    claimed = json.loads(coordination("work-claim", "s", "#7", "--json").stdout)
    denied = coordination("run", "#7", "--session", "other", "--", "true")

    assert claimed["work_key"] == _KEY
    assert denied.returncode == 75, denied
    assert denied.stderr.startswith("DENIED: already claimed by s ")


def test_2_a_checkout_of_a_site_that_is_not_known_is_answered_with_what_to_set(
    coordination: Coordination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check_out(tmp_path, "git@forge.example.com:acme/web.git")
    monkeypatch.chdir(tmp_path)

    done = coordination("work-claim", "s", "#7")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the site of forge.example.com is not known")
    assert "gitlab:forge.example.com/acme/web#7" in done.stderr
    named = next(word for word in done.stderr.split() if word.startswith("COORDINATION_REPO="))
    known = {"COORDINATION_REPO": named.partition("=")[2].rstrip(";")}
    claimed = coordination("work-claim", "s", "#7", **known)
    assert claimed.stdout.startswith("claimed gitlab:forge.example.com/acme/web#7 ")


@pytest.mark.long_but_for("gitlab.example.com/group/project")
@pytest.mark.parametrize(
    "named",
    [
        "https://gitlab.example.com/group/project",
        "gitlab.example.com/group/project",
        "ssh://git@gitlab.example.com:22/group/project.git",
    ],
)
def test_an_address_that_is_named_means_the_same(coordination: Coordination, named: str) -> None:
    claimed = json.loads(coordination("work-claim", "s", "#7", "--repo", named, "--json").stdout)
    assert claimed["work_key"] == _KEY


def test_an_address_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read may be read differently: a host and its port are, for one."""
    named = "https://git.example.com:8443/group/project"
    monkeypatch.setenv("COORDINATION_REPO", named)
    assert current().repo == named
    assert in_repository("#7", repository_of(current().repo)) == "git.example.com:8443/group/project#7"


def test_the_checkout_is_looked_for_only_for_a_number_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def find() -> str:
        looked.append(_REMOTE)
        return _REMOTE

    monkeypatch.setattr(checkout, "find_origin", find)
    monkeypatch.delenv("COORDINATION_REPO", raising=False)
    monkeypatch.setenv("COORDINATION_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").touch()
    here = current()
    here.check()
    with here.client() as client:
        assert client is not None
    repository = repository_of(here.repo)

    for key in ("task:a", "acme/web#7", "https://github.com/acme/web/issues/7"):
        assert in_repository(key, repository) == key
    assert looked == []
    assert [in_repository(key, repository) for key in ("#7", "lib#8")] == [
        "gitlab.example.com/group/project#7",
        "gitlab.example.com/group/lib#8",
    ]
    assert len(looked) == 1


def test_a_checkout_of_no_repository_leaves_a_number_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "find_origin", lambda: "/srv/git/web")
    monkeypatch.delenv("COORDINATION_REPO", raising=False)
    assert in_repository("#7", repository_of(current().repo)) == "#7"


def test_a_repository_that_is_named_wrongly_is_refused_whatever_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATION_REPO", "acme")
    with pytest.raises(InvalidInput, match="COORDINATION_REPO"):
        current().check()
