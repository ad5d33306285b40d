"""Input of newcomers that once had a poor error message, each case once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli.json_objects.error import error_object
from coordinator.errors import InternalError
from tests.conftest import Coordination


@pytest.mark.long_but_for(
    "arguments0-endpoint-must be HOST:PORT, without a scheme",
    "arguments3-etcd-an IPv6 address needs brackets",
    "arguments4-listen-without a scheme",
)
@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        (("work-list", "--endpoint", "http://127.0.0.1:7420"), "endpoint", "must be HOST:PORT, without a scheme"),
        (("work-list", "--endpoint", "::1"), "endpoint", "an IPv6 address needs brackets"),
        (("serve", "--etcd", "https://127.0.0.1:2379"), "etcd", "must be HOST:PORT, without a scheme"),
        (("serve", "--etcd", "::1:2379"), "etcd", "an IPv6 address needs brackets"),
        (("serve", "--etcd", "127.0.0.1:1", "--listen", "http://127.0.0.1:0"), "listen", "without a scheme"),
        (("serve", "--etcd", "127.0.0.1:1", "--listen", "::1"), "listen", "an IPv6 address needs brackets"),
    ],
)
def test_an_address_is_a_host_and_a_port(
    arguments: tuple[str, ...], field: str, said: str, coordination: Coordination
) -> None:
    done = coordination(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()[-2:]
    assert first.startswith("error: ")
    assert said in first
    assert second.startswith("hint: for example ")
    error = json.loads(coordination(*arguments, "--json").stdout)["error"]
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", field)


def test_a_password_in_an_address_is_not_shown(coordination: Coordination) -> None:
    typed = "https://bob:hunter2@example.org/x"
    for arguments in (("work-claim", "session-1", typed), ("work-show", typed), ("work-complete", "session-2", typed)):
        for more in ((), ("--json",)):
            done = coordination(*arguments, *more)
            assert "url:https://example.org/x" in done.stdout + done.stderr
            assert "hunter2" not in done.stdout + done.stderr
    claimed = coordination("work-claim", "session-1", typed)
    assert claimed.stderr == "https://…@example.org/x → url:https://example.org/x\n"
    found = json.loads(coordination("work-claim", "session-1", typed, "--json").stdout)
    assert found["typed_key"] == "https://…@example.org/x"


def test_a_configuration_file_that_was_named_must_be_there(coordination: Coordination, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for arguments in (("config", "show"), ("work-list",)):
        done = coordination(*arguments, COORDINATION_CONFIG=str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: the configuration file {path} is not there\nhint: ")
    path.touch()
    assert coordination("config", "show", COORDINATION_CONFIG=str(path)).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", "soon"), ("endpoint", "http://x"), ("fleet", "No fleet"), ("tls", "perhaps")]
)
def test_settings_that_no_command_could_use_are_not_shown_as_good(
    name: str, value: str, coordination: Coordination
) -> None:
    done = coordination("config", "show", f"--{name}", value, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["field"] == name


@pytest.mark.parametrize("since", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "9999-99-99"])
def test_a_time_beyond_all_calendars_is_no_time(since: str, coordination: Coordination) -> None:
    done = coordination("work-log", "session-1", "--since", since, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["field"] == "since"


def test_an_option_without_its_value_is_reported(coordination: Coordination) -> None:
    done = coordination("work-claim", "session-1", "task:x", "--ttl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: option '--ttl' requires an argument\nhint: put its value behind --ttl\n"


@pytest.mark.parametrize(
    ("arguments", "fleet"),
    [(("work-list", "--json"), "mine"), (("--json", "work-list", "--fleet", "other"), "other")],
)
def test_json_is_json_also_where_typer_is_missing(arguments: tuple[str, ...], fleet: str) -> None:
    code = "import sys; sys.modules['typer'] = None\nfrom coordinator.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env={"COORDINATION_FLEET": "mine"}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (70, "", 1)
    found = json.loads(done.stdout)
    assert found.keys() == {"schema", "fleet", "error"}
    assert (found["schema"], found["fleet"]) == ("v1", fleet)
    assert found["error"].keys() == error_object(InternalError())["error"].keys()
    assert found["error"]["message"] == "the command line needs typer, which is not installed"
