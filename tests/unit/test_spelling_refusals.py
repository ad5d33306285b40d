"""What names work unclearly is refused: it would be granted beside the work that is meant."""

from __future__ import annotations

import pytest

from coordinator.errors import InvalidInput
from coordinator.keys import KeyRules, parse_work_key
from tests.spellings import HOSTS

RULES = KeyRules(hosts=HOSTS)


def refusal(typed: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        RULES.parse(typed)
    assert refused.value.field == "work_key"
    assert refused.value.hint
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 250
    return refused.value


@pytest.mark.parametrize(
    "typed",
    [
        "acme/web#7: fix the login",
        "acme/web#7 fix the login",
        "acme/web#7 (fix the login)",
        "fix the login (acme/web#7)",
        "fix acme/web#401, acme/web#402",
        "acme/web#1 and acme/web#2",
        "acme/web#1,2",
        "acme/web#1-3",
        "OPEN  acme/web#7  fix the login",
        "see https://github.com/acme/web/issues/7",
        "https://github.com/acme/web/issues/7 fix the login",
        "github:acme/web#7 fix the login",
        "github:acme/web#7: fix the login",
        "Re: [acme/web] Fix the login (Issue #7)",
        "[acme/web] Fix the login (PR #7)",
        "Fix the login (#7)",
        "#7 fix the login",
        "#7: fix the login",
        "Fix the login · Issue #7 · acme/web",
        "[acme/web#7][1]",
        "OPS-123: fix the login",
        "group/project!5 fix the login",
        "jira:OPS-123 fix the login",
        "linear:ENG-42: fix the login",
        "acme/web#7\u00b2",
        "acme/web#7\u0301",
    ],
)
def test_1_work_among_other_words_is_refused(typed: str) -> None:
    assert "among other words" in refusal(typed).message
    if ":" not in typed.partition(" ")[0]:
        assert parse_work_key(f"task:{typed}").kind == "task"


@pytest.mark.parametrize(
    "typed",
    [
        "Attempt #2 at the migration",
        "C#7 features",
        "day 3: rest",
        "UTF-8 names",
        "release 7",
        "fix-7",
        "a/b and c/d",
        "v1.2#3-x",
    ],
)
def test_1_a_title_with_numbers_is_a_title(typed: str) -> None:
    assert RULES.parse(f"task:{typed}") == (RULES.parse(typed) if ":" not in typed else RULES.parse(f"task: {typed}"))


@pytest.mark.parametrize(
    "typed",
    [
        "[acme/web#8](https://github.com/acme/web/issues/7)",
        "[#8](https://github.com/acme/web/issues/7)",
        "[api#7](https://github.com/acme/web/issues/7)",
        "[https://github.com/acme/web/issues/8](https://github.com/acme/web/issues/7)",
        "<https://github.com/acme/web/issues/7|acme/api#7>",
        "- [#7](https://github.com/acme/web/issues/70)",
        "[#7](https://example.org/7)",
        "[OPS-124](https://acme.atlassian.net/browse/OPS-123)",
        '<a href="https://github.com/acme/web/issues/7">acme/web#8</a>',
    ],
)
def test_1_a_link_that_says_one_thing_and_leads_to_another_is_refused(typed: str) -> None:
    assert "leads to other work" in refusal(typed).message


def test_1_an_issue_that_shows_another_is_refused() -> None:
    assert "which of them is meant" in refusal("https://github.com/acme/web/issues/7?issue=acme%7Cweb%7C9").message


@pytest.mark.parametrize(
    "typed",
    [
        "git.example.com/group/project#7",
        "other.example/group/project!5",
        "forge.example.com:8443/acme/web#7",
        "git@git.example.com:acme/web.git#7",
        "ssh://git@git.example.com/acme/web#7",
        "git+ssh://git.example.com/acme/web.git#7",
    ],
)
def test_3_the_number_of_a_site_that_is_not_known_is_refused(typed: str) -> None:
    error = refusal(typed)
    assert "is not known" in error.message
    assert "--gitlab-hosts" in (error.hint or "")
    assert RULES.parse_repository(typed.rpartition("#")[0] or "git.example.com/a/b") == ""


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("7", "is a number and nothing more"),
        ("acme/web 7", "may be a number of acme/web"),
        ("acme/web/issues#7", "or of a project below it"),
        ("acme/web/pull#7", "or of a project below it"),
        ("github/acme/web#7", "or of a group of that name"),
        ("&5", "may be an epic"),
        ("group/sub&5", "may be an epic"),
        ("gitea:acme/web#7", "names no host"),
        ("forgejo:acme/web!7", "names no host"),
        ("gitlab:group/project/5", "may be the number of an issue"),
        ("bitbucket:team/app 12", "may be the number of an issue"),
        ("projects/OPS/repos/app/pull-requests/12", "names no host"),
        ("$REPO#7", "holds the name of a variable"),
        ("${GITHUB_REPOSITORY}#7", "holds the name of a variable"),
        ("acme/web#$NUMBER", "holds the name of a variable"),
        ("acme/web#{number}", "holds the name of a variable"),
        ("acme/web#", "holds the name of a variable"),
        ("I_kwDOABCD1234", "is a name of GitHub's API"),
        ("\u0430\u0441\u043c\u0435/web#7", "characters that no repository has"),
        ("github:\u0430\u0441\u043c\u0435/web#7", "characters that no repository has"),
        ("github:#7", "which repository"),
        ("gitlab:!5", "which repository"),
    ],
)
def test_3_what_may_be_several_things_is_refused(typed: str, says: str) -> None:
    assert says in refusal(typed).message


def test_3_the_gateway_of_jira_names_no_site() -> None:
    rules = KeyRules(hosts=HOSTS._replace(jira=("acme.atlassian.net", "jira.example.com")))
    with pytest.raises(InvalidInput, match="which of the sites of Jira"):
        rules.parse("https://api.atlassian.com/ex/jira/0a1b/rest/api/3/issue/OPS-123")
