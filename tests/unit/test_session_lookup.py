"""Which session a command acts for, from its arguments and its environment."""

from __future__ import annotations

import re

import pytest

from coordinator.cli.session import Acting, Session, acting_on, find_session
from coordinator.errors import InvalidInput
from coordinator.names import KNOWN_KINDS, is_session, reads_as_key, reads_as_reference
from coordinator.process.invented_session import invented_session

KEY = "gptme/gptme#2880"
OWN, CLAUDE, CODEX = "COORDINATION_SESSION", "CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no session."""
    for variable in (OWN, CLAUDE, CODEX, "COORDINATION_KEY", "COORDINATION_FENCING_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def refused(first: str | None, second: str | None = None, option: str | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        acting_on("work-claim", first, second, option, None)
    assert caught.value.hint
    return caught.value


def test_the_first_that_names_a_session_counts(names: pytest.MonkeyPatch) -> None:
    expected = [
        (CODEX, "codex-1", Session("codex-1", f"environment {CODEX}", shared=True)),
        (CLAUDE, "claude-1", Session("claude-1", f"environment {CLAUDE}", shared=True)),
        (OWN, "own-1", Session("own-1", f"environment {OWN}")),
    ]
    for variable, name, session in expected:
        names.setenv(variable, name)
        assert find_session(None) == session
    assert find_session("given-1") == Session("given-1", "option --session")
    assert find_session("given-1", argument="typed-1") == Session("typed-1", "argument")


def test_two_arguments_are_session_and_key_and_one_is_the_key(names: pytest.MonkeyPatch) -> None:
    names.setenv(OWN, "own-1")

    assert acting_on("work-claim", "s-1", KEY, None, None) == (Session("s-1", "argument"), KEY, None)
    assert acting_on("work-claim", KEY, None, None, None) == (Session("own-1", f"environment {OWN}"), KEY, None)
    assert acting_on("work-claim", KEY, None, "s-2", None) == (Session("s-2", "option --session"), KEY, None)
    assert acting_on("work-claim", "a title", None, None, None).key == "a title"


def test_an_option_that_is_not_used_is_reported(names: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert acting_on("work-claim", "s-1", KEY, "s-2", None).session.name == "s-1"
    assert capsys.readouterr().err == "notice: the session is the first argument; --session is not used\n"

    acting_on("work-claim", "s-1", KEY, "s-1", None)
    assert capsys.readouterr().err == ""


def test_an_empty_variable_names_no_session_and_an_empty_argument_is_refused(names: pytest.MonkeyPatch) -> None:
    names.setenv(OWN, "")
    names.setenv(CLAUDE, "")
    names.setenv(CODEX, "codex-1")

    assert find_session(None).name == "codex-1"
    assert refused("", KEY).message.startswith("the session is empty; allowed are")
    assert refused(KEY, None, "").message.endswith("(option --session)")
    names.setenv(CODEX, "")
    with pytest.raises(InvalidInput, match="no session is named"):
        find_session(None)


@pytest.mark.parametrize("variable", [OWN, CLAUDE, CODEX])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (" ", "the session is empty"),
        ("my run", "the session holds a space"),
        ("run\x1b[2J", "the session holds U+001B"),
        ("run\udcff", "the session holds bytes that are not UTF-8"),
        ("s" * 129, "the session is 129 bytes long"),
        ("task:tidy-up", "session and key look swapped"),
        ("https://example.com/a", "session and key look swapped"),
    ],
)
def test_a_name_that_can_be_none_is_refused_with_its_place(
    variable: str, value: str, said: str, names: pytest.MonkeyPatch
) -> None:
    names.setenv(variable, value)
    if variable != CODEX:
        names.setenv(CODEX, "codex-1")  # which comes later, and is not used instead

    error = refused(KEY)

    assert error.message.startswith(said)
    assert error.message.endswith(f"(environment {variable})")
    assert error.field == "session"


@pytest.mark.parametrize(
    "swapped",
    [
        KEY,
        "github:gptme/gptme#2880",
        "GitHub : gptme/gptme#2880",
        "https://github.com/gptme/gptme/pull/2880",
        "HTTP://example.com",
        "github.com/gptme/gptme/issues/1",
        "gptme/gptme/pull/2880",
        "git.example.org/group/project/-/issues/5",
        "group/sub/project/-/merge_requests/5",
        "acme.atlassian.net/jira/software/projects/OPS/issues/OPS-1",
        "issues.example.org/jira/browse/OPS-1",
        "task:db-migration",
        "url:example.com",
        *(f"{kind}:x" for kind in sorted(KNOWN_KINDS)),
    ],
)
@pytest.mark.parametrize("key", ["session-7f8b", "task:other"])
def test_a_session_that_reads_as_a_reference_is_refused(swapped: str, key: str) -> None:
    error = refused(swapped, key)

    assert error.message.startswith("session and key look swapped")
    assert error.field == "session"
    assert refused(key, None, swapped).message.startswith("session and key look swapped")


@pytest.mark.parametrize(
    ("verb", "option"), [("work-complete", "--result"), ("work-abandon", "--reason"), ("work-renew", "--note")]
)
@pytest.mark.parametrize("key", ["acme/web#1", "task:tidy-up", "https://example.com/a"])
def test_7_a_text_in_the_place_of_the_key_is_answered_with_its_option(verb: str, option: str, key: str) -> None:
    with pytest.raises(InvalidInput, match="the second argument reads as a text") as caught:
        acting_on(verb, key, "all tests pass", None, None)
    assert f"KEY {option} TEXT" in str(caught.value.hint)
    # A title may be a key.
    assert acting_on(verb, "session-1", "tidy the tests", None, None).key == "tidy the tests"


def test_a_session_with_a_colon_is_one_beside_what_reads_as_a_key() -> None:
    assert acting_on("work-claim", "claude:7f8b", KEY, None, None).session.name == "claude:7f8b"
    assert acting_on("work-claim", "deploy:web", "deploy:api", None, None).session.name == "deploy:web"
    assert acting_on("work-claim", "fix login", None, "claude:7f8b", None).session.name == "claude:7f8b"

    error = refused("deploy:web", "session-7f8b")

    assert error.message.startswith("session and key look swapped")
    assert "--session" in str(error.hint)


def test_what_is_missing_is_named(names: pytest.MonkeyPatch) -> None:
    assert refused(None).message == "missing argument 'KEY'"
    assert refused("session-7f8b").message == "one argument is the KEY, and no session is named"
    assert "SESSION KEY" in str(refused("session-7f8b").hint)

    # As `work-claim $COORDINATION_SESSION $KEY` becomes where KEY is empty.
    names.setenv(OWN, "own-1")
    assert refused("own-1").message.startswith("missing argument 'KEY': the only argument is the session")
    assert refused("own-1").field == "work_key"


def test_only_a_shared_session_claims_as_an_instance_of_its_own() -> None:
    shared = Session("s", f"environment {CLAUDE}", shared=True)

    assert Session("s", "argument").instance == ""
    assert shared.instance != shared.instance


def test_an_invented_session_is_valid_and_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("web-1.example.com", "ホスト", "", "h" * 300, "a b\n"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        name = invented_session()
        assert is_session(name)
        assert re.fullmatch(r".+-[0-9]+-[0-9a-f]{8}", name)
        assert invented_session() != name
    assert is_session(find_session(None, invent=True).name)
    assert find_session("s-1", invent=True).name == "s-1"


def test_known_kinds_are_those_that_keys_know() -> None:
    from coordinator.keys import DEFAULT_TOPIC_KINDS, parse_work_key

    kinds = {parse_work_key(typed).kind for typed in (KEY, "a title", "https://example.com/a")}
    assert DEFAULT_TOPIC_KINDS | kinds <= KNOWN_KINDS


@pytest.mark.parametrize(
    "text",
    [
        "session-7f8b",
        "gptme/gptme",
        "a1",
        "alice@host",
        "1:2",
        "team/issues/5",
        "host.example/agent/7",
        "host.example/browse/run",
        "task",
        "",
        ":",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    assert not reads_as_reference(text)
    assert not reads_as_key(text)


def test_a_command_under_run_means_the_claim_under_which_it_runs(names: pytest.MonkeyPatch) -> None:
    names.setenv(OWN, "own-1")
    names.setenv("COORDINATION_KEY", KEY)
    names.setenv("COORDINATION_FENCING_TOKEN", "42")
    own = Session("own-1", f"environment {OWN}")

    assert acting_on("work-renew", None, None, None, None) == Acting(own, KEY, 42)
    assert acting_on("work-renew", KEY, None, None, None) == Acting(own, KEY, 42)
    assert acting_on("work-renew", None, None, None, 7).token == 7
    # Another session, and other work, have another claim.
    assert acting_on("work-renew", None, None, "s-2", None).token is None
    assert acting_on("work-renew", "s-2", KEY, None, None).token is None
    assert acting_on("work-renew", "task:other", None, None, None) == Acting(own, "task:other", None)

    for value in ("x", "-1", "0", str(2**63), "٣", "4 2"):
        names.setenv("COORDINATION_FENCING_TOKEN", value)
        assert refused(None).field == "token"
    names.setenv("COORDINATION_FENCING_TOKEN", "")
    assert acting_on("work-renew", None, None, None, None).token is None
    names.setenv("COORDINATION_KEY", "")
    assert refused(None).message == "missing argument 'KEY'"
