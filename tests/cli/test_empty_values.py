"""An empty value, as of a variable that is not set, is refused: it would mean the work of all sessions, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from coordinator.cli.app import build_app
from coordinator.cli.common_options import CommonCommand, CommonGroup
from tests.conftest import Coordination

#: What is typed, and which option is empty in it. All commands but ``completion`` take these through one class.
EMPTY = {
    "list of a session": ("work-list", "--session", ""),
    "list of a blank session": ("work-list", "--session= "),
    "list of a kind": ("work-list", "--kind", ""),
    "list of a state beside another": ("work-list", "--state", "claimed", "--state", ""),
    "list from a page": ("work-list", "--page-token", ""),
    "log from a page": ("work-log", "session-1", "--page-token="),
    "log since": ("work-log", "session-1", "--since", ""),
    "watch of a session": ("work-watch", "--session", ""),
    "watch of a kind": ("work-watch", "--kind", "\t"),
    "briefing of a kind": ("briefing", "--kind", ""),
    "briefing of a kind beside another": ("briefing", "--kind", "task", "--kind", ""),
    "briefing of an age": ("briefing", "--max-age", ""),
    "hot of a kind": ("hot", "--kind", ""),
    "claim with a note": ("work-claim", "session-1", "task:x", "--note", ""),
    "claim with a request": ("work-claim", "session-1", "task:x", "--request-id", ""),
    "claim with a ttl": ("work-claim", "session-1", "task:x", "--ttl", ""),
    "claim by an option": ("work-claim", "task:x", "--session", ""),
    "renewal with a note": ("work-renew", "session-1", "task:x", "--note", " "),
    "completion with a result": ("work-complete", "session-1", "task:x", "--result", ""),
    "release with a reason": ("work-abandon", "session-1", "task:x", "--reason", ""),
    "revocation with a reason": ("work-revoke", "task:x", "--reason", ""),
    "acknowledgement with a reason": ("work-ack", "task:x", "--reason", ""),
    "next of a session": ("work-next", "task:x", "--session", ""),
    "reaping of an age": ("work-reap", "--min-age-hours", ""),
    "policy that repeats": ("policy", "set", "task", "--repeat", ""),
    "policy with ends": ("policy", "set", "task", "--loose-ends", ""),
    "authority": ("work-list", "--ca", ""),
    "certificate": ("--cert", "", "work-list"),
    "token's file": ("status", "--token-file="),
    "topic kinds": ("serve", "--etcd", "127.0.0.1:1", "--topic-kinds", ""),
    "etcd": ("doctor", "--etcd", ""),
}


@pytest.mark.parametrize("case", EMPTY)
def test_9_an_empty_option_is_refused(case: str, coordination: Coordination) -> None:
    typed = EMPTY[case]
    option = next(word for word in reversed(typed) if word.startswith("--")).partition("=")[0]

    done = coordination(*typed)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: {option} is empty; it must have a value",
        "hint: give it a value, or leave the option out; a variable of the shell may not be set",
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("work-list", "--fleet", ""), "the fleet is empty"),
        (("work-list", "--endpoint", ""), "no endpoint was given"),
        (("work-list", "--timeout", ""), "a timeout of ''"),
        (("work-list", "--tls", ""), "tls is ''"),
        (("work-log", ""), "the session is empty"),
        (("work-show", ""), "the work key is empty"),
        (("work-claim", "session-1", ""), "the work key is empty"),
        (("work-next", "", "--session", "session-1"), "the work key is empty"),
        (("policy", "unset", ""), "'' is no pattern"),
        (("work-list", "--limit", ""), "'--limit'"),
    ],
)
def test_9_what_is_empty_elsewhere_is_refused_too(
    typed: tuple[str, ...], said: str, coordination: Coordination
) -> None:
    done = coordination(*typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[0]


def test_9_an_empty_option_is_an_error_in_json(coordination: Coordination) -> None:
    error = json.loads(coordination("work-watch", "--session", "", "--json").stdout)["error"]
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", "session")


def test_9_every_command_refuses_empty_options() -> None:
    group: Any = typer.main.get_command(build_app())
    assert isinstance(group, CommonGroup)
    commands = [
        command for each in group.commands.values() for command in getattr(each, "commands", {"": each}).values()
    ]
    assert len(commands) > 25
    assert all(isinstance(command, CommonCommand) for command in commands)
