"""Options and variables of the package that this one follows: what means the same is taken, the rest gets an answer."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Coordination, RunningCoordinator

_INSTEAD = "this is a service: set COORDINATION_ENDPOINT"


def test_11_an_agent_is_a_session(coordination: Coordination) -> None:
    assert coordination("work-claim", "task:a", "--agent", "agent-1").returncode == 0
    # Its fencing token is the revision of its grant. What is older may be compacted.
    granted = json.loads(coordination("work-next", "task:b", "--agent=agent-2", "--json").stdout)["claim"][
        "fencing_token"
    ]
    assert coordination("work-complete", "--agent", "agent-2", "task:b").stdout == "completed task:b\n"

    listed = coordination("work-list", "--agent", "agent-1").stdout.splitlines()

    assert [line.split()[:3] for line in listed] == [["claimed", "task:a", "agent-1"]]
    since = ("--from-revision", str(granted), "--limit", "1", "--json")
    watched = coordination("work-watch", "--agent", "agent-2", *since).stdout
    assert json.loads(watched)["record"]["session"] == "agent-2"
    assert coordination("work-list", "--agent", "").returncode == 2


def test_11_available_and_claimed_are_states(coordination: Coordination) -> None:
    for number in (1, 2, 3):
        coordination("work-claim", "session-1", f"task:{number}")
    coordination("work-complete", "session-1", "task:2")
    coordination("work-abandon", "session-1", "task:3")

    def listed(*options: str) -> list[str]:
        return [line.split()[1] for line in coordination("work-list", *options).stdout.splitlines()]

    assert listed("--claimed") == listed("--state", "claimed") == ["task:1"]
    assert listed("--available") == listed("--state", "abandoned") == ["task:3"]
    assert listed("--available", "--claimed") == ["task:1", "task:3"]
    assert listed("--claimed", "--state", "completed") == ["task:1", "task:2"]


@pytest.mark.parametrize(
    "typed",
    [
        ("work-list", "--db", "coordination.db"),
        ("--db", "coordination.db", "work-list"),
        ("work-claim", "--db-path=/tmp/work.db", "session-1", "task:x"),
        ("status", "--database", "x.sqlite"),
        ("work-reap", "--db"),
    ],
)
def test_11_an_option_of_a_database_is_answered(typed: tuple[str, ...], coordination: Coordination) -> None:
    option = next(word for word in typed if word.startswith("--d")).partition("=")[0]
    done = coordination(*typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        f"error: there is no option {option}, as there is no database file; {_INSTEAD}, or give --endpoint HOST:PORT"
    )
    error = json.loads(coordination(*typed, "--json").stdout)["error"]
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", option[2:])


@pytest.mark.parametrize("variable", ["COORDINATION_DB", "COORDINATION_DB_PATH", "COORDINATION_DATABASE"])
def test_11_a_variable_of_a_database_is_noticed(
    variable: str, coordination: Coordination, coordinator: RunningCoordinator
) -> None:
    said = f"notice: {variable} is not used, as there is no database file; {_INSTEAD}"
    found = {variable: "work.db"}

    # Nothing has to listen at the default address.
    done = coordination("work-list", "--timeout", "0.05", COORDINATION_ENDPOINT="", **found)
    assert done.stderr.splitlines()[0] == said
    as_json = coordination("work-list", "--timeout", "0.05", "--json", COORDINATION_ENDPOINT="", **found)
    assert said not in as_json.stderr

    named = coordination("work-list", "--endpoint", coordinator.endpoint, **found)
    assert (named.returncode, named.stderr) == (0, "")
