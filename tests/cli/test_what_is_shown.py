"""What commands show of a fleet: its holders, whole work keys, and what to type where there is nothing yet."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from coordinator import ClaimEvent, Client, Denial, DenialReason, Event, Record, State
from coordinator.cli.text.claims import what_after_denial
from coordinator.cli.text.work import describe_event
from coordinator.cli.top.board import Board, Seen
from coordinator.cli.top.controls import Controls
from coordinator.cli.top.screen import screen
from coordinator.cli.top.view import snapshot
from coordinator.clock import boot_seconds
from tests.conftest import Coordination, RunningCoordinator

LONG = (
    "github:gptme/gptme-agent-template-with-a-rather-long-name#28801",
    "task:tidy-up-the-flaky-integration-tests-of-the-second-release-candidate-7",
    "url:https://example.org/a/page/with/a/long/path/and/a/number/at/its/end/3315",
)


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet, instance="") as client:
        yield client


@pytest.fixture
def board(client: Client, fleet: str) -> Board:
    """A fleet with long names: one of each key is a loose end, one is held and fought over."""
    session = "session-with-a-rather-long-name"
    client.claim(session, LONG[0])
    client.try_claim("other", LONG[0])
    for key in LONG[1:]:
        client.claim(session, key)
        client.release(session, key, reason="the tests are red, and I do not know why; see the log of the build")
    return Board(fleet, Seen(client.briefing(), client.hot(), client.status(), boot_seconds()))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_34_work_keys_are_whole_without_a_screen(board: Board, width: int) -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(snapshot(board, width))
    lines = drawn.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for key in LONG:
        assert _stands_in(key, lines), drawn.getvalue()
    assert "1 live claim " in drawn.getvalue()
    assert "2 loose ends" in drawn.getvalue()


def _stands_in(key: str, lines: list[str]) -> bool:
    """Return whether a key stands in a column, on one line or on several."""
    for number, line in enumerate(lines):
        at = line.find(key[:12])
        if at < 0:
            continue
        found = ""
        for below in lines[number:]:
            piece = below[at:].split(" ")[0].strip("│")
            if not piece or not key.startswith(found + piece):
                break
            found += piece
            if found == key:
                return True
    return False


@pytest.mark.parametrize("width", [80, 120])
def test_34_the_ends_of_work_keys_stay_on_a_screen(board: Board, width: int) -> None:
    drawn = io.StringIO()
    Console(file=drawn, width=width, height=30).print(screen(board, Controls(), 30, width))
    for end in ("28801", "-7", "3315"):
        assert end in drawn.getvalue()


@pytest.mark.parametrize(("width", "key"), [(80, "acme/web#2801"), (80, "acme/api#7"), (120, "github:acme/web#2801")])
def test_34_a_repository_stays_on_a_narrow_screen(client: Client, fleet: str, width: int, key: str) -> None:
    for number, claimed in enumerate(("acme/web#2801", "acme/api#7")):
        client.claim(f"session-{number}", claimed)
    client.try_claim("other", "acme/api#7")
    board = Board(fleet, Seen(client.briefing(), client.hot(), client.status(), boot_seconds()))
    drawn = io.StringIO()
    Console(file=drawn, width=width, height=30).print(screen(board, Controls(), 30, width))
    assert key in drawn.getvalue()


@pytest.mark.parametrize("verb", ["briefing", "status", "top"])
def test_40_an_empty_fleet_says_what_to_type(coordination: Coordination, fleet: str, verb: str) -> None:
    named = f"{fleet}-{verb}"
    shown = coordination(verb, "--fleet", named).stdout
    command = shown.splitlines()[-1].partition("claim the first work: ")[2]
    assert shlex.split(command)[:4] == ["coordination", "work-claim", "task:first", "--session"]
    session = shlex.split(command)[4]
    again = coordination(verb, "--fleet", named).stdout
    assert session not in again, "agents that are shown it are not one session"
    done = coordination(*shlex.split(command)[1:])
    assert (done.returncode, done.stdout.split()[0]) == (0, "claimed")
    assert "claim the first work" not in coordination(verb, "--fleet", named).stdout
    assert json.loads(coordination("status", "--json", "--fleet", named).stdout)["taken"][0]["session"] == session


@pytest.mark.parametrize("width", [80, 120])
def test_40_an_empty_screen_says_what_to_type_until_work_is_held(client: Client, fleet: str, width: int) -> None:
    shown = []
    for _ in range(2):
        drawn = io.StringIO()
        board = Board(fleet, Seen(client.briefing(), client.hot(), client.status(), boot_seconds()))
        Console(file=drawn, width=width, height=30).print(screen(board, Controls(), 30, width, first_claim="type this"))
        shown.append("type this" in drawn.getvalue())
        client.claim("session-1", "task:a")
    assert shown == [True, False]


@pytest.mark.parametrize("asking", ["fixer-7f3k", "docs.v2"])
def test_40_an_empty_briefing_names_the_session_that_asks(coordination: Coordination, fleet: str, asking: str) -> None:
    shown = coordination("briefing", "--fleet", fleet, "--session", asking).stdout
    command = shlex.split(shown.splitlines()[-1].partition("claim the first work: ")[2])
    assert command[3:5] == ["--session", asking]
    assert coordination(*command[1:]).stdout.startswith("claimed")


def test_40_an_empty_fleet_is_shown_whatever_session_the_environment_names(
    coordination: Coordination, fleet: str
) -> None:
    done = coordination("status", "--fleet", f"{fleet}-empty", COORDINATION_SESSION="acme/web#1")
    assert (done.returncode, "claim the first work" in done.stdout) == (0, True)


def test_40_status_names_holders(coordination: Coordination, client: Client) -> None:
    for number in range(12):
        client.claim(f"holder-{number:02}", f"task:{number}")
    lines = coordination("status").stdout.splitlines()
    held = [line.split() for line in lines if " holds " in line]
    assert [words[0] for words in held] == [f"holder-{number:02}" for number in range(11, 1, -1)]
    assert any(line.startswith("  … and 2 more") for line in lines)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((), ["acme/web#1", "acme/web#2"]),
        (("--repo", "acme/api"), ["acme/api#1"]),
        (("--all",), ["acme/api#1", "acme/web#1", "acme/web#2", "git.example.org/acme/web#1"]),
    ],
)
def test_18_a_briefing_is_of_the_repository_of_the_checkout(
    coordination: Coordination,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    kept: list[str],
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text('[remote "origin"]\n\turl = git@github.com:acme/web.git\n')
    monkeypatch.chdir(tmp_path)
    for key in ("acme/web#1", "acme/web#2", "acme/api#1", "https://git.example.org/acme/web/-/issues/1"):
        client.claim("session-1", key)
    found = json.loads(coordination("briefing", "--json", *given).stdout)
    assert sorted(claim["work_key"].partition(":")[2] for claim in found["taken"]) == kept
    assert found["elsewhere"]["taken"] == 4 - len(kept)
    assert found["repository"] == (None if "--all" in given else f"github:{kept[0].partition('#')[0]}")
    shown = coordination("briefing", *given).stdout
    assert ("See `coordination briefing --all`." in shown) == ("--all" not in given)


@pytest.mark.parametrize("named", ["option", "COORDINATION_SESSION", "CLAUDE_CODE_SESSION_ID"])
def test_18_a_briefing_says_first_what_its_session_holds(
    coordination: Coordination, client: Client, named: str
) -> None:
    client.claim("session-1", "task:mine", note="half done")
    client.claim("session-2", "task:other")
    given = ("--session", "session-1") if named == "option" else ()
    there = {} if named == "option" else {named: "session-1"}
    lines = coordination("briefing", *given, **there).stdout.splitlines()
    assert lines[2:4] == ["## You hold, as session-1", lines[3]]
    assert lines[3].startswith("- `task:mine`: until ")
    found = json.loads(coordination("briefing", "--json", *given, **there).stdout)
    assert [claim["work_key"] for claim in found["held"]] == ["task:mine"]
    assert [claim["work_key"] for claim in found["taken"]] == ["task:mine", "task:other"]
    assert coordination("briefing", "--session", "").returncode == 2


def test_38_lines_of_events_begin_with_a_time(coordination: Coordination, client: Client) -> None:
    start = client.claim("session-1", "task:a").fencing_token
    client.try_claim("session-2", "task:a")
    client.renew("session-1", "task:a")
    client.release("session-1", "task:a", reason="no time")
    arguments = ("work-watch", "--from-revision", str(start), "--limit", "4")
    lines = coordination(*arguments).stdout.splitlines()
    events = [json.loads(line) for line in coordination(*arguments, "--json").stdout.splitlines()]
    for line, event in zip(lines, events, strict=True):
        assert line.startswith(f"{event['at']}  {event['revision']}  task:a  ")
    assert lines[1].endswith("  denied to session-2, held by session-1")
    assert [event["holder"] for event in events] == [None, "session-1", None, None]


def test_38_a_time_that_is_not_known_is_none() -> None:
    record = Record("task:a", "task", State.CLAIMED, "session-1", 1)
    shown = [
        describe_event(ClaimEvent(Event.RENEWED, 7, record)),
        describe_event(ClaimEvent(Event.DENIED, 8, record, "session-2")),
        describe_event(ClaimEvent(Event.GRANTED, 9, record, at=datetime(2026, 6, 14, tzinfo=UTC))),
    ]
    assert shown == [
        "--------------------  7  task:a  renewed by session-1",
        "--------------------  8  task:a  denied to session-2",
        "2026-06-14T00:00:00Z  9  task:a  claimed by session-1",
    ]


@pytest.fixture
def ended(client: Client) -> Client:
    """Five attempts of three sessions, all ended: the latest is task:4."""
    for number, session in enumerate(("s-1", "s-2", "s-3", "s-1", "s-2")):
        client.claim(session, f"task:{number}")
        if number % 2:
            client.release(session, f"task:{number}")
        else:
            client.complete(session, f"task:{number}")
    return client


@pytest.mark.usefixtures("ended")
def test_39_the_log_of_the_whole_fleet(coordination: Coordination) -> None:
    lines = coordination("work-log").stdout.splitlines()
    assert [line.split("  ")[1:] for line in lines] == [
        ["completed", "task:4", "attempt 1", "by s-2"],
        ["abandoned (released)", "task:3", "attempt 1", "by s-1"],
        ["completed", "task:2", "attempt 1", "by s-3"],
        ["abandoned (released)", "task:1", "attempt 1", "by s-2"],
        ["completed", "task:0", "attempt 1", "by s-1"],
    ]
    own = {"COORDINATION_SESSION": "s-1"}
    assert coordination("work-log", **own).stdout.splitlines() == [
        line.removesuffix("  by s-1") for line in lines if line.endswith("s-1")
    ]
    assert coordination("work-log", "--all", **own).stdout.splitlines() == lines
    first = json.loads(coordination("work-log", "--json", "--limit", "3").stdout)
    rest = json.loads(coordination("work-log", "--json", "--page-token", first["next_page_token"]).stdout)
    entries = first["entries"] + rest["entries"]
    assert (first["session"], rest["next_page_token"]) == (None, None)
    assert [(entry["work_key"], entry["session"]) for entry in entries] == [
        (f"task:{number}", f"s-{number % 3 + 1}") for number in (4, 3, 2, 1, 0)
    ]


@pytest.mark.parametrize("since", ["yesterday", "2h", "90 min ago", "2020-01-01"])
def test_39_since_a_moment(coordination: Coordination, ended: Client, since: str) -> None:
    done = coordination("work-log", "--since", since)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)
    assert [entry.session for entry in ended.log()] == ["s-2", "s-1", "s-3", "s-2", "s-1"]
    done = coordination("work-log", "s-9", "--since", since)
    assert (done.returncode, done.stdout.partition(" since ")[0]) == (1, "nothing that s-9 has worked on has ended")


def test_39_an_empty_log_says_so(coordination: Coordination) -> None:
    assert (coordination("work-log").stdout, coordination("work-log").returncode) == ("no work has ended\n", 1)
    assert coordination("work-log", "--since", "2026-01-01").stdout == "no work has ended since 2026-01-01T00:00:00Z\n"
    for wrong in ("soon", "2", "last tuesday"):
        done = coordination("work-log", "--since", wrong)
        assert (done.returncode, done.stderr.partition(";")[0]) == (2, f"error: '{wrong}' is not a time")


@pytest.mark.parametrize("reason", DenialReason)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("alternatives", [(), ("task:left",)])
def test_13_a_denial_suggests_other_work_and_no_way_around_itself(
    reason: DenialReason, own: bool, shared: bool, alternatives: tuple[str, ...]
) -> None:
    denial = Denial("task:a", reason, holder="session-1", own_session=own, alternatives=alternatives)
    said = what_after_denial(denial, shared_by="CLAUDE_CODE_SESSION_ID" if shared else "")
    assert said.startswith("choose other work")
    for way in ("reopen", "distinct", "--token", "revoke", "COORDINATION_INSTANCE", "--session", "another name"):
        assert way not in said + denial.describe()


@pytest.mark.parametrize("how", ["held", "completed", "cooldown", "paused"])
def test_13_what_is_denied_on_the_command_line(coordination: Coordination, client: Client, how: str) -> None:
    client.claim("session-1", "task:a")
    if how != "held":
        client.complete("session-1", "task:a")
    if how in ("cooldown", "paused"):
        client.set_policy("task", repeat="always" if how == "paused" else 3600, max_live=0 if how == "paused" else None)
    for command in (("work-claim", "session-2", "task:a"), ("work-next", "task:a", "--session", "session-2")):
        done = coordination(*command)
        assert (done.returncode, done.stdout.split(":")[0]) == (1, "DENIED")
        assert "other work" in done.stderr
        assert not any(way in done.stdout + done.stderr for way in ("reopen", "distinct", "--token", "revoke", "unset"))
