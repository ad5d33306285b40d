"""``work-next``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from coordinator import Client
from tests.conftest import COMMAND, Coordination, RunningCoordinator


@pytest.fixture
def held(coordinator: RunningCoordinator, fleet: str) -> Client:
    """The client of a session that holds ``task:a``, and has completed ``task:done``."""
    with Client(coordinator.endpoint, fleet=fleet) as client:
        client.claim("holder", "task:a", ttl=600)
        client.claim("holder", "task:done")
        client.complete("holder", "task:done")
    return client


@pytest.mark.usefixtures("held")
def test_the_first_that_is_free_is_claimed(coordination: Coordination) -> None:
    done = coordination("work-next", "task:a", "task:done", "acme/web#7", "--session", "s", "--note", "begun")
    said = "claimed github:acme/web#7 (expires in 60 min)\n  passed over: 1 held, 1 completed\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "acme/web#7 → github:acme/web#7\n")


@pytest.mark.usefixtures("held")
def test_where_none_is_free_it_says_why_and_when_to_ask_again(coordination: Coordination) -> None:
    done = coordination("work-next", "task:a", "task:done", COORDINATION_SESSION="s")
    assert (done.returncode, done.stdout) == (1, "DENIED: nothing is free: 1 of 2 is held, 1 is completed\n")
    assert done.stderr == "hint: name other work; the first claim ends within 10 min, and --wait waits for it\n"
    done = coordination("work-next", "task:done", COORDINATION_SESSION="s")
    assert (done.returncode, done.stdout) == (1, "DENIED: nothing is free: 1 of 1 is completed\n")
    assert "nothing to do" in done.stderr


def test_a_list_is_read_from_a_file_and_from_the_standard_input(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str, tmp_path: Path
) -> None:
    names = tmp_path / "backlog"
    names.write_text("task:f1\n\n  task:f2  \n")
    done = coordination("work-next", "--from", str(names), "--session", "s", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["work_key"], found["place"]) == (0, "task:f1", 1)
    piped = subprocess.run(
        [COMMAND, "work-next", "--from", "-", "--session", "s", "--endpoint", coordinator.endpoint, "--fleet", fleet],
        input="task:f1\ntask:f2\n",
        capture_output=True,
        text=True,
    )
    assert (piped.returncode, piped.stdout) == (0, "claimed task:f2 (expires in 60 min)\n  passed over: 1 own\n")


def test_an_empty_list_is_nothing_to_do_and_so_is_an_empty_pool(coordination: Coordination) -> None:
    done = coordination("work-next", "--from", "/dev/null", "--session", "s", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["nothing_free"]) == (1, "denied", "empty")
    done = coordination("work-next", "--session", "s")
    assert (done.returncode, done.stdout) == (1, "DENIED: nothing is free: the pool is empty\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["task:a"], "error: no session is named\n"),
        (["--session", "s", "task:a", "task:"], "error: candidate 2 is no work key: "),
        (["--session", "s", "--from", "/"], "error: --from / cannot be read: Is a directory\n"),
        (["--session", "s", "task:a", "--ttl", "1s"], "error: a ttl of 1 s is out of range"),
        (["--session", "s", *["task:a"] * 1001], "error: more than 1000 candidates; allowed are 1 to 1000\n"),
    ],
    ids=["no-session", "misspelt", "directory", "ttl", "too-many"],
)
def test_mistakes_are_named_in_one_sentence(coordination: Coordination, arguments: list[str], says: str) -> None:
    done = coordination("work-next", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)


@pytest.mark.parametrize("separator", ["\x0c", "\x1c", "\x85", "\u2028"], ids=ascii)
def test_a_line_of_a_list_never_becomes_two_pieces_of_work(
    separator: str, coordination: Coordination, tmp_path: Path
) -> None:
    names = tmp_path / "backlog"
    names.write_text(f"task:f1{separator}task:f2\n", encoding="utf-8")
    done = coordination("work-next", "--session", "s", "--from", str(names))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: candidate 1 is no work key: the work key holds U+{ord(separator):04X}")


def test_a_standard_input_that_is_closed_is_a_mistake() -> None:
    command = f"{COMMAND} work-next --session s --from - <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --from - cannot be read: it is closed\nhint: name a file that can\n"


@pytest.mark.usefixtures("held")
def test_its_object_is_as_documented(coordination: Coordination) -> None:
    granted = json.loads(coordination("work-next", "task:a", "task:b", "--session", "s", "--json").stdout)
    assert granted["skipped"][0].keys() == {"work_key", "reason", "holder", "expires_at"}
    assert (granted["outcome"], granted["claim"]["session"], granted["skipped_counts"]) == ("granted", "s", {"held": 1})
    assert (granted["nothing_free"], granted["also_held"], granted["retry_after_seconds"]) == (None, [], None)
    denied = json.loads(coordination("work-next", "task:a", "task:b", "--session", "s", "--json").stdout)
    assert denied.keys() == granted.keys()
    assert (denied["work_key"], denied["claim"], denied["also_held"]) == (None, None, ["task:b"])
    assert 500 < denied["retry_after_seconds"] < 620


def test_a_denial_names_other_work_of_the_kind(
    coordination: Coordination, coordinator: RunningCoordinator, fleet: str, held: Client
) -> None:
    with Client(coordinator.endpoint, fleet=fleet) as client:
        for key in ("task:left-1", "task:left-2", "blog:left-3"):
            client.claim("before", key)
            client.release("before", key)
    done = coordination("work-claim", "s", "task:a")
    assert done.returncode == 1
    assert sorted(done.stderr.removeprefix("hint: choose other work; abandoned and free: ").strip().split(", ")) == [
        "task:left-1",
        "task:left-2",
    ]
    denied = json.loads(coordination("work-claim", "s", "task:done", "--json").stdout)
    assert sorted(denied["alternatives"]) == ["task:left-1", "task:left-2"]
