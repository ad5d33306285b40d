"""Every object has exactly the members that docs/json.md lists, of the types that it names; what is absent is null."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.context import SETTINGS
from tests.cli.json_page import check, tables
from tests.conftest import Coordination, RunningCoordinator

KEY = "github:gptme/gptme#2880"
AS_TYPED = "https://github.com/gptme/gptme/issues/2880"

COMMON = tables("What all objects have in common")[0]
CLAIM, DENIAL, PREVIOUS = (tables(heading)[0] for heading in ("claim", "denial", "previous"))
RECORD = tables("work-complete, work-abandon, work-revoke, work-ack, work-reopen: a record")[0]
ANSWER = tables("work-claim, work-renew")[0]
SHOW, HISTORY = tables("work-show")[:2]
DETACH_AND_DOWN = tables("up --detach, down")[0]

Run = Callable[..., dict[str, Any]]


#: Before the verb it is in every test of ``test_bad_input.py``.
@pytest.fixture(params=[pytest.param("before", marks=pytest.mark.long), "behind"])
def run(request: pytest.FixtureRequest, coordination: Coordination, fleet: str) -> Run:
    """Run a command with ``--json`` before or behind the verb, and return its object without what all have."""

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        placed = ("--json", *arguments) if request.param == "before" else (*arguments, "--json")
        return read(coordination(*placed), fleet, code)

    return run


def read(done: subprocess.CompletedProcess[str], fleet: str, code: int) -> dict[str, Any]:
    assert done.returncode == code, done
    assert done.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    assert {name: found.pop(name) for name in COMMON} == {"schema": "v1", "fleet": fleet}
    return found


def check_answer(found: dict[str, Any], outcome: str) -> None:
    """Check the answer to a claim: which of its three parts are there depends on the outcome."""
    denied = outcome == "denied"
    parts = {
        "claim": "null" if denied else CLAIM,
        "denial": DENIAL if denied else "null",
        "previous": "null" if found["previous"] is None else PREVIOUS,
    }
    for name in parts:
        assert "object or null" in ANSWER[name]
    check(found, ANSWER | {name: shape if shape != "null" else "string or null" for name, shape in parts.items()})
    assert found["outcome"] == outcome
    assert [name for name, shape in parts.items() if (found[name] is None) != (shape == "null")] == []


def test_claims(run: Run) -> None:
    granted = run("work-claim", "session-1", AS_TYPED, "--note", "begun")
    check_answer(granted, "granted")
    assert granted["previous"] is None
    assert (granted["work_key"], granted["typed_key"]) == (KEY, AS_TYPED)
    assert (granted["claim"]["kind"], granted["claim"]["note"]) == ("github", "begun")

    for arguments in (("work-claim", "session-1", KEY), ("work-renew", "session-1", KEY, "--ttl", "2h")):
        renewed = run(*arguments)
        check_answer(renewed, "renewed")
        assert renewed["claim"]["fencing_token"] == granted["claim"]["fencing_token"]

    assert 3590 <= granted["claim"]["remaining_seconds"] <= 3606
    assert 7190 <= renewed["claim"]["remaining_seconds"] <= 7206
    assert run("work-show", KEY)["claim"]["remaining_seconds"] is None, "what is only shown promises nothing"

    denied = run("work-claim", "session-2", KEY, code=1)
    check_answer(denied, "denied")
    assert denied["previous"] is None
    assert denied["denial"] == {
        "reason": "held",
        "holder": "session-1",
        "own_session": False,
        "completed_by": None,
        "expires_at": renewed["claim"]["expires_at"],
        "completed_at": None,
        "retry_after_seconds": denied["denial"]["retry_after_seconds"],
        "policy": None,
    }

    completed = run("work-complete", "session-1", KEY, "--result", "merged")
    denied = run("work-claim", "session-2", KEY, code=1)
    check_answer(denied, "denied")
    assert denied["denial"] == {
        "reason": "completed",
        "holder": None,
        "own_session": False,
        "completed_by": "session-1",
        "expires_at": None,
        "completed_at": completed["ended_at"],
        "retry_after_seconds": None,
        "policy": None,
    }

    reopened = run("work-claim", "session-2", KEY, "--reopen")
    check_answer(reopened, "granted")
    assert (reopened["previous"]["attempt"], reopened["previous"]["cause"]) == (1, None)


def test_policies(run: Run) -> None:
    shape = tables("policy set: a policy")[0]
    found = run("policy", "set", "github:ACME/web", "--repeat", "20h", "--max-live", "0", "--loose-ends", "off")
    check(found, shape)
    assert found["pattern"] == "github:acme/web"
    assert (found["repeat"], found["repeat_after_seconds"], found["max_live"]) == ("after", 72_000, 0)
    denied = run("work-claim", "session-1", "github:acme/web#7", code=1)
    check_answer(denied, "denied")
    assert (denied["denial"]["reason"], denied["denial"]["policy"]) == ("limit", "github:acme/web")
    listed = run("policy", "list")
    assert listed.keys() == tables("policy list")[0].keys()
    for policy in (*listed["policies"], listed["defaults"]):
        check(policy, shape)
    assert [policy["pattern"] for policy in listed["policies"] if not policy["built_in"]] == ["github:acme/web"]
    assert {"lock", "recurring"} <= {policy["pattern"] for policy in listed["policies"] if policy["built_in"]}
    for removed in (True, False):
        unset = run("policy", "unset", "github:acme/web", code=0 if removed else 1)
        check(unset, tables("policy unset")[0])
        assert unset["removed"] is removed


def test_completed_work_is_put_back(run: Run) -> None:
    run("work-claim", "session-1", "task:a")
    run("work-complete", "session-1", "task:a")
    record = run("work-reopen", "task:a", "--reason", "not done")
    check(record, RECORD)
    assert (record["state"], record["cause"], record["reason"]) == ("abandoned", "revoked", "not done")


def test_records(run: Run) -> None:
    for verb, state, cause in (
        (("work-complete", "session-1", "task:done", "--result", "merged"), "completed", None),
        (("work-abandon", "session-1", "task:back", "--reason", "too hard"), "abandoned", "released"),
        (("work-revoke", "task:off", "--now", "--reason", "not wanted"), "abandoned", "revoked"),
    ):
        key = next(argument for argument in verb if argument.startswith("task:"))
        run("work-claim", "session-1", key)
        record = run(*verb)
        check(record, RECORD)
        assert (record["work_key"], record["state"], record["cause"]) == (key, state, cause)
        assert (record["late"], record["acknowledged_at"], record["note"]) == (False, None, None)
    again = run("work-claim", "session-2", "task:back")
    check_answer(again, "granted")
    assert (again["previous"]["cause"], again["previous"]["reason"]) == ("released", "too hard")


def test_show(run: Run) -> None:
    nothing = run("work-show", "task:x", code=1)
    check(nothing, SHOW | {"record": RECORD, "claim": "string or null", "history": [HISTORY]})
    assert [name for name, value in nothing["record"].items() if value is not None] == [
        "work_key",
        "kind",
        "state",
        "late",
    ]
    assert (nothing["record"]["state"], nothing["claim"], nothing["live"]) == ("available", None, False)

    run("work-claim", "session-1", "task:x")
    run("work-abandon", "session-1", "task:x", "--reason", "too hard")
    run("work-claim", "session-2", "task:x", "--note", "half of it")
    run("work-claim", "session-3", "task:x", code=1)
    live = run("work-show", "task:x")

    check(live, SHOW | {"record": RECORD, "claim": CLAIM, "history": [HISTORY]})
    assert (live["record"]["state"], live["claim"]["session"], live["live"]) == ("claimed", "session-2", True)
    assert (live["contenders"], len(live["history"])) == (["session-3"], 1)
    assert (live["record"]["ended_at"], live["record"]["cause"], live["history"][0]["result"]) == (None, None, None)


def test_lists_and_logs(run: Run) -> None:
    shape = tables("work-list")[0] | {"records": [RECORD]}
    empty = run("work-list")
    check(empty, shape)
    assert (empty["records"], empty["next_page_token"]) == ([], None)

    for number in (1, 2, 3):
        run("work-claim", "session-1", f"task:{number}")
    page = run("work-list", "--limit", "2")
    check(page, shape)
    rest = run("work-list", "--page-token", page["next_page_token"])
    check(rest, shape)
    assert rest["next_page_token"] is None
    assert [record["work_key"] for record in page["records"] + rest["records"]] == ["task:1", "task:2", "task:3"]

    log = tables("work-log")[0]
    shape = {"session": log["session"], "entries": [log["entries[]"]], "next_page_token": log["next_page_token"]}
    check(run("work-log", "session-1", code=1), shape)
    run("work-complete", "session-1", "task:1")
    run("work-abandon", "session-1", "task:2")
    entries = run("work-log", "session-1", "--limit", "1")
    check(entries, shape)
    assert entries["next_page_token"] is not None
    entries = run("work-log", "session-1")
    check(entries, shape)
    assert [(entry["work_key"], entry["ended"], entry["cause"]) for entry in entries["entries"]] == [
        ("task:2", "abandoned", "released"),
        ("task:1", "completed", None),
    ]


def test_the_others(run: Run) -> None:
    reaped = run("work-reap", "--min-age-hours", "0.5")
    check(reaped, tables("work-reap")[0])
    assert reaped == {"reaped": 0, "min_age_hours": 0.5}

    status = run("status")
    progress = tables("progress")[0] | {"longest_held": [CLAIM], "blockers": [tables("hot work key")[0]]}
    check(status, tables("status")[0] | {"tasks": [tables("task")[0]], "taken": [CLAIM], "progress": progress})
    assert status["healthy"] is True
    assert status["convergence_rate"]["value"] is None

    shown = run("config", "show")
    promised = tables("config show")[0]
    settings = dict.fromkeys([setting.name for setting in SETTINGS], promised["settings"]["<name>"])
    check(shown, promised | {"settings": settings})

    error = run("work-claim", "session-1", "", code=2)
    check(error, tables("Error")[0])
    assert error["error"]["field"] == "work_key"


def test_a_coordinator_in_the_background(coordination: Coordination, fleet: str, tmp_path: Path) -> None:
    on = ("--data-dir", str(tmp_path), "--json")
    up = coordination("up", "--detach", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", *on)
    down = coordination("down", *on, "--timeout", "30")
    again = coordination("down", *on)

    of_up, of_down = ("ready", "already_running"), ("stopped", "stopped_pid")
    assert DETACH_AND_DOWN.keys() == {*of_up, *of_down}
    check(read(up, fleet, 0), {name: DETACH_AND_DOWN[name] for name in of_up})
    check(read(down, fleet, 0), {name: DETACH_AND_DOWN[name] for name in of_down})
    assert read(again, fleet, 1) == {"stopped": False, "stopped_pid": None}


def test_a_backup_and_what_is_made_of_it(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str, tmp_path: Path
) -> None:
    members = tables("backup, restore")[0]
    made = coordination("backup", str(tmp_path / "backup"), "--etcd", coordinator.etcd, "--json")
    restored = coordination("restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "data"), "--json")

    of_backup, of_restore = ("file", "bytes", "revision"), ("data_dir", "backup_revision", "revision", "moved_aside")
    assert members.keys() == {*of_backup, *of_restore}
    check(read(made, fleet, 0), {name: members[name] for name in of_backup})
    check(read(restored, fleet, 0), {name: members[name] for name in of_restore})


def test_acknowledging(run: Run) -> None:
    run("work-claim", "session-1", "task:a")
    run("work-abandon", "session-1", "task:a")
    record = run("work-ack", "task:a", "--reason", "obsolete")
    check(record, RECORD)
    assert record["acknowledged_reason"] == "obsolete"
    assert record["acknowledged_at"] is not None


def test_a_watch(run: Run, coordination: Coordination, fleet: str) -> None:
    claim = run("work-claim", "session-1", "task:a")["claim"]
    run("work-claim", "session-2", "task:a", code=1)
    start = ("--from-revision", str(claim["fencing_token"]))
    watched = coordination("--json", "work-watch", *start, "--limit", "2")
    assert watched.returncode == 0
    members = tables("work-watch")[0]
    found = [json.loads(line) for line in watched.stdout.splitlines()]
    for each in found:
        assert {name: each.pop(name) for name in COMMON} == {"schema": "v1", "fleet": fleet}
        check(each, members | {"record": RECORD})
    assert [(each["event"], each["contender"]) for each in found] == [("granted", None), ("denied", "session-2")]
    gone = run("work-watch", "--from-revision", "9000000000", code=1)
    assert gone["error"]["code"] == "OUT_OF_RANGE"


def test_hot_and_top(run: Run) -> None:
    hot, entry = tables("hot")[0], tables("hot work key")[0]
    empty = run("hot")
    check(empty, hot | {"entries": [entry]})
    assert empty == {"entries": [], "max_age_seconds": 3600, "complete": True}

    for key in ("task:taken", "task:left"):
        run("work-claim", "session-1", key)
        run("work-claim", "session-2", key, code=1)
    run("work-abandon", "session-1", "task:left")
    found = run("hot", "--max-age", "30m")
    check(found, hot | {"entries": [entry]})
    assert found["max_age_seconds"] == 1800
    assert [(each["work_key"], each["holder"]) for each in found["entries"]] == [
        ("task:left", None),
        ("task:taken", "session-1"),
    ]

    rate = tables("status")[0]["convergence_rate"]
    shown = run("top")
    shape = {"taken": [CLAIM], "loose_ends": [RECORD], "hot": [entry], "convergence_rate": rate}
    check(shown, tables("top")[0] | shape)
    assert [len(shown[name]) for name in ("taken", "loose_ends", "hot")] == [1, 1, 2]
    assert shown["convergence_rate"]["scope"] == "replica"


def test_a_briefing(run: Run) -> None:
    for key in ("task:taken", "task:left", "task:done"):
        run("work-claim", "session-1", key)
    run("work-abandon", "session-1", "task:left")
    run("work-complete", "session-1", "task:done")
    found = run("briefing", "--session", "session-1")
    members = tables("briefing")[0]
    check(found, members | {"held": [CLAIM], "taken": [CLAIM], "loose_ends": [RECORD], "finished": [RECORD]})
    assert found["omitted"] == {"taken": 0, "loose_ends": 0, "finished": 0}
    assert [len(found[name]) for name in ("taken", "loose_ends", "finished")] == [1, 1, 1]
    assert (found["session"], found["held"]) == ("session-1", found["taken"])
