"""Whatever is typed: the right sentence, the right exit code, one JSON object where JSON is asked for, no traceback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import Coordination
from tests.expiry_waiting import await_expiry

Argument = str | bytes

CLAIM = ("work-claim", "session-1", "task:x")
BAD_TTLS = {
    "-3": "'-3' is not a time to live; it must be a number of minutes, or a number with s, m, h or d",
    "nan": "'nan' is not a time to live",
    "inf": "'inf' is not a time to live",
    " ": "--ttl is empty",
    "1e400": "'1e400' is not a time to live",
    "60 parsecs": "'60 parsecs' is not a time to live",
    "1s": "a ttl of 1 s is out of range; allowed are 5 s to 7 days",
    "8d": "a ttl of 691200 s is out of range; allowed are 5 s to 7 days",
    "9" * 400: "a ttl of inf s is out of range; allowed are 5 s to 7 days",
}
#: What is typed, the field that is at fault, and what is said of it.
BAD_INPUT: dict[str, tuple[tuple[Argument, ...], str | None, str]] = {
    "empty key": (
        ("work-claim", "session-1", ""),
        "work_key",
        "the work key is empty; it needs a kind and an identity",
    ),
    "blank key": (("work-show", " \t"), "work_key", "the work key is empty"),
    "oversized key": (("work-claim", "session-1", "k" * 513), "work_key", "513 bytes long; at most 512 are allowed"),
    "control character": (("work-claim", "session-1", "task:a\x01b"), "work_key", "holds U+0001; control, private"),
    "escape sequence": (("work-claim", "session-1", "task:\x1b[2J"), "work_key", "holds U+001B"),
    "key without UTF-8": ((b"work-claim", b"session-1", b"task:\xff"), "work_key", "not valid UTF-8"),
    "session without UTF-8": ((b"work-claim", b"session-\xff", b"task:x"), "session", "bytes that are not UTF-8"),
    "note without UTF-8": ((*CLAIM, b"--note", b"\xc3"), "note", "not valid UTF-8"),
    "fleet without UTF-8": ((b"work-list", b"--fleet", b"\xff"), "fleet", "not valid UTF-8"),
    "command without UTF-8": ((b"work-\xff",), None, "no such command 'work-\\udcff'"),
    "kind that is none": (("work-claim", "session-1", "9:x"), "work_key", "'9' is not a kind"),
    "empty session": (("work-claim", "", "task:x"), "session", "the session is empty; allowed are 1 to 128 bytes"),
    "oversized session": (("work-claim", "s" * 129, "task:x"), "session", "the session is 129 bytes long"),
    "oversized note": ((*CLAIM, "--note", "n" * 16385), "note", "16385 bytes long; at most 16384 are allowed"),
    **{f"ttl {ttl[:12]!r}": ((*CLAIM, "--ttl", ttl), "ttl", said) for ttl, said in BAD_TTLS.items()},
    "ttl of a renewal": (("work-renew", "session-1", "task:x", "--ttl", "1s"), "ttl", "out of range"),
    "token of nothing": ((*CLAIM, "--token", "0"), None, "invalid value for '--token'"),
    "token of 65 bits": ((*CLAIM, "--token", str(2**64)), None, "invalid value for '--token'"),
    "age that is none": (("work-reap", "--min-age-hours", "nan"), "min-age-hours", "'nan' is not an age"),
    "age in the future": (("work-reap", "--min-age-hours", "-1"), "min-age-hours", "hours from 0 to 1000000"),
    "state that is none": (("work-list", "--state", "lost"), "state", "'lost' is not a state; allowed are"),
    "time that is none": (("work-log", "session-1", "--since", "soon"), "since", "'soon' is not a time"),
    "list of nothing": (("work-list", "--limit", "0"), None, "invalid value for '--limit'"),
    "limit that is none": (("work-list", "--limit", "x"), None, "for '--limit': 'x' is not a whole number"),
    "whole number that is none": (("up", "--max-calls", "x"), None, "'x' is not a whole number"),
    "number that is none": (("up", "--retention-days", "x"), None, "'x' is not a number"),
    "interval that is none": (("top", "--interval", "x"), None, "for '--interval': 'x' is not a number"),
    "directory of an unset variable": (("certs", "", "--days", "1"), "dir", "DIR is empty; it must name a directory"),
    "tokens of an unset variable": (("token", "a", "--tokens", "", "--out", "o"), "tokens", "--tokens is empty"),
    "token's file of an unset variable": (("token", "a", "--tokens", "t", "--out", ""), "out", "--out is empty"),
    "certificate of an unset variable": (("up", "--tls-cert", "", "--tls-key", "x"), "tls-cert", "--tls-cert is empty"),
    "etcd's authority of an unset variable": (
        ("serve", "--etcd", "127.0.0.1:1", "--etcd-ca", ""),
        "etcd-ca",
        "--etcd-ca is empty; it must name a file",
    ),
    "timeout 0": (
        ("work-list", "--timeout", "0"),
        "timeout",
        "(option) is not valid; allowed are 0.05 to 3600 seconds",
    ),
    "timeout nan": (("work-list", "--timeout", "nan"), "timeout", "a timeout of 'nan' (option) is not valid"),
    "fleet that is none": (("work-list", "--fleet", "Bad_"), "fleet", "'Bad_' is not a fleet; its name is 1 to 63 of"),
    "fleet of an unset variable": (("work-list", "--fleet", ""), "fleet", "the fleet is empty (option); it must be"),
    "endpoint that is none": (("work-list", "--endpoint", "nowhere"), "endpoint", "it must be HOST:PORT"),
    "no endpoint": (("work-list", "--endpoint", ","), "endpoint", "at least one HOST:PORT is needed"),
    "unknown command": (("work-clam",), None, "no such command 'work-clam'"),
    "unknown option": ((*CLAIM, "--tll", "60"), None, "no such option: --tll"),
    "no key": (("work-claim",), None, "missing argument 'KEY'"),
    "no session": (("work-claim", "task:x"), "session", "one argument is the KEY, and no session is named"),
    "log of one and of all": (("work-log", "session-1", "--all"), "session", "leave out one of them"),
    "swapped": (("work-claim", "task:x", "session-1"), "session", "session and key look swapped"),
    "session of an unset variable": (("work-complete", "task:x", "--session", ""), "session", "--session is empty"),
    "no reason": (("work-revoke", "task:x"), None, "missing option '--reason'"),
    "too many keys": ((*CLAIM, "task:y"), None, "unexpected extra argument"),
    "no command": (("config",), None, "missing command"),
}


def error_of(done: subprocess.CompletedProcess[str], fleet: str) -> dict[str, Any]:
    """Return the error that stands on standard output as the one JSON object."""
    assert done.stdout.count("\n") == 1, done.stdout
    found = json.loads(done.stdout)
    assert found.keys() == {"schema", "fleet", "error"}
    assert found["schema"] == "v1"
    assert found["fleet"] == fleet
    error: dict[str, Any] = found["error"]
    assert error.keys() == {"code", "message", "hint", "field", "holder", "retry_after_seconds", "request_id"}
    return error


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_with_a_sentence(
    case: str, coordination: Coordination, fleet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, field, said = BAD_INPUT[case]
    monkeypatch.chdir(tmp_path)

    done = coordination(*arguments)

    first, *others = done.stderr.splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert first.startswith("error: ")
    assert said in first
    assert all(line.startswith("hint: ") for line in others)

    done = coordination("--json", *arguments)

    assert done.returncode == 2
    assert done.stderr == ""
    named = {"fleet that is none": "Bad_", "fleet without UTF-8": "\\udcff", "fleet of an unset variable": ""}
    error = error_of(done, named.get(case, fleet))
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", field)
    assert f"error: {error['message']}" == first
    assert not any(tmp_path.iterdir())


NO_NUMBERS = {
    "arabic limit": (("work-list", "--limit", "٣"), "'--limit': '٣' is not a whole number"),
    "underscored limit": (("work-log", "session-1", "--limit", "1_0"), "'1_0' is not a whole number"),
    "full-width limit": (("hot", "--limit", "\uff15"), "'\uff15' is not a whole number"),
    "underscored token": ((*CLAIM, "--token", "1_0"), "'1_0' is not a whole number"),
    "nan interval": (("top", "--interval", "nan"), "'nan' is not a number"),
    "underscored days": (("up", "--retention-days", "3_0"), "'3_0' is not a number"),
    "arabic timeout": (("work-list", "--timeout", "٣"), "a timeout of '٣' (option) is not valid"),
    "underscored timeout": (("work-list", "--timeout", "1_0"), "a timeout of '1_0' (option) is not valid"),
    "infinite timeout": (("work-list", "--timeout", "1e400"), "a timeout of '1e400' (option) is not valid"),
    "underscored age": (("work-reap", "--min-age-hours", "1_0"), "'1_0' is not an age"),
    "arabic age": (("work-reap", "--min-age-hours", "٣"), "'٣' is not an age"),
    "ttl just too short": (
        (*CLAIM, "--ttl", "0.08333333333"),
        "a ttl of 4.9999999998 s is out of range; allowed are 5 s",
    ),
    "ttl of a twelfth": ((*CLAIM, "--ttl", "0.0833"), "a ttl of 4.998 s is out of range; allowed are 5 s"),
    "ttl just too long": ((*CLAIM, "--ttl", "604800.01s"), "a ttl of 604800.01 s is out of range"),
    "grace without end": (("run", "--grace", "9" * 400 + "s", "x", "--", "true"), "a grace of inf s is out of range"),
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_10_numbers_are_written_in_ascii_digits(case: str, coordination: Coordination) -> None:
    typed, said = NO_NUMBERS[case]
    done = coordination(*typed)
    assert (done.returncode, done.stdout) == (125 if "run" in typed else 2, "")
    assert said in done.stderr.splitlines()[0]


@pytest.mark.parametrize("typed", [(*CLAIM, "--reopen=yes"), ("work-list", "--json=true"), ("down", "--force=1")])
def test_10_a_switch_takes_no_value(typed: tuple[str, ...], coordination: Coordination) -> None:
    done = coordination(*typed)
    option = typed[-1].partition("=")[0]
    assert done.returncode == 2
    assert "does not take a value" in done.stderr or "does not take a value" in done.stdout
    assert f"write {option} alone, or leave it out" in done.stderr + done.stdout


def test_10_a_short_ttl_is_hinted_to_be_in_minutes(coordination: Coordination) -> None:
    done = coordination(*CLAIM, "--ttl", "0.05")
    assert done.stderr.splitlines()[1].startswith(
        "hint: a number alone is minutes, for example --ttl 60; claim for 5 s"
    )


@pytest.mark.parametrize(
    ("damaged", "reported"), [(1, "1 record cannot be read and was"), (2, "2 records cannot be read and were")]
)
def test_a_listing_hints_at_what_it_has_left_out(
    damaged: int, reported: str, coordination: Coordination, etcdctl: Callable[..., object], fleet: str
) -> None:
    for number in range(damaged):
        etcdctl("put", f"/coordination/v1/{fleet}/record/task:{number}", "garbage")

    done = coordination("work-list")

    assert (done.returncode, done.stdout) == (0, "nothing found\n")
    assert done.stderr == f"hint: {reported} left out; the coordinator's log names them\n"


@pytest.mark.parametrize("key", ["-x", "--task"])
def test_a_key_that_starts_with_a_dash_stands_behind_a_double_dash(key: str, coordination: Coordination) -> None:
    refused = coordination("work-claim", "session-1", key)
    assert refused.returncode == 2
    assert "put -- before an argument that starts with a dash" in refused.stderr

    granted = coordination("work-claim", "--ttl", "60", "--", "session-1", key)

    # A dash before a title is that of a list.
    title = key.lstrip("-")
    assert (granted.returncode, granted.stdout) == (0, f"claimed task:{title} (expires in 60 min)\n")
    assert granted.stderr == f"{key} → task:{title}\n"


@pytest.mark.long_but_for("work-complete")
@pytest.mark.parametrize("verb", ["work-renew", "work-complete", "work-abandon"])
def test_a_foreign_claim_is_left_alone(verb: str, coordination: Coordination, fleet: str) -> None:
    coordination("work-claim", "session-1", "task:x")
    before = coordination("work-show", "task:x", "--json").stdout

    done = coordination(verb, "session-2", "task:x")
    as_json = coordination(verb, "session-2", "task:x", "--json")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: task:x is held by session-1 (expires ")
    assert as_json.returncode == 1
    error = error_of(as_json, fleet)
    assert (error["code"], error["holder"]) == ("FAILED_PRECONDITION", "session-1")
    assert coordination("work-show", "task:x", "--json").stdout == before


@pytest.mark.parametrize("verb", ["work-renew", "work-complete", "work-abandon"])
def test_work_that_was_never_claimed_is_not_found(verb: str, coordination: Coordination, fleet: str) -> None:
    done = coordination(verb, "session-1", "task:x", "--json")
    assert done.returncode == 1
    assert error_of(done, fleet)["code"] == "NOT_FOUND"


async def test_an_expired_claim_is_not_renewed_but_may_be_completed_late(
    coordination: Coordination, etcd_channel: EtcdChannel, fleet: str
) -> None:
    for key in ("task:renewed", "task:completed", "task:taken"):
        coordination("work-claim", "session-1", key, "--ttl", "5s")
    await await_expiry(etcd_channel, fleet)

    renewed = coordination("work-renew", "session-1", "task:renewed")
    assert (renewed.returncode, renewed.stdout) == (5, "")
    assert "expired" in renewed.stderr

    completed = coordination("work-complete", "session-1", "task:completed", "--result", "done")
    assert completed.returncode == 0
    assert completed.stdout.startswith("completed task:completed (late")

    coordination("work-claim", "session-2", "task:taken")
    refused = coordination("work-complete", "session-1", "task:taken", "--json")
    assert refused.returncode == 5
    assert error_of(refused, fleet)["holder"] == "session-2"


BAD_FILES = {
    "no TOML": (b"fleet = ", "is not TOML"),
    "no UTF-8": (b'fleet = "\xff"', "is not UTF-8"),
    "unknown setting": (b"fleat = 1", "'fleat' in the configuration file"),
    "table": (b"[fleet]\nname = 1", "'fleet' in the configuration file"),
    "switch": (b"timeout = true", "'timeout' in the configuration file"),
    "list": (b'ca = ["ca.pem"]', "is a list; it must be text in quotes or a number"),
    "date": (b"fleet = 2026-06-14", "is a date or a time; it must be"),
    "no number": (b"timeout = inf", "a timeout of 'inf' (config file"),
    "underscored number": (b'timeout = "1_0"', "a timeout of '1_0' (config file"),
    "bad value": (b'timeout = "soon"', "a timeout of 'soon' (config file"),
}


@pytest.mark.long_but_for("no TOML", "unknown setting", "bad value", "switch", "list", "date", "underscored number")
@pytest.mark.parametrize("case", BAD_FILES)
def test_10_a_bad_configuration_file_is_named(
    case: str, coordination: Coordination, tmp_path: Path, fleet: str
) -> None:
    text, said = BAD_FILES[case]
    path = tmp_path / "config.toml"
    path.write_bytes(text)

    done = coordination("work-list", COORDINATION_CONFIG=str(path))
    as_json = coordination("work-list", "--json", COORDINATION_CONFIG=str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert str(path) in done.stderr
    assert as_json.returncode == 2
    assert error_of(as_json, fleet)["code"] == "INVALID_ARGUMENT"


def test_settings_come_from_option_environment_and_file_in_this_order(
    coordination: Coordination, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('timeout = 7\nfleet = "filed"\nendpoint = "127.0.0.1:1"\n')
    reported = {"COORDINATION_CONFIG": str(path), "COORDINATION_ENDPOINT": ""}

    done = coordination("--fleet", "before", "config", "show", "--json", "--fleet", "behind", **reported)

    settings = json.loads(done.stdout)["settings"]
    named = ("fleet", "endpoint", "timeout")
    assert {name: settings[name] for name in named} == {
        "fleet": {"value": "behind", "source": "option"},
        "endpoint": {"value": "127.0.0.1:1", "source": f"config file {path}"},
        "timeout": {"value": "7", "source": f"config file {path}"},
    }


def test_an_error_names_the_fleet_of_the_configuration_file(coordination: Coordination, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('fleet = "filed"\n')
    done = coordination("work-show", "", "--json", COORDINATION_CONFIG=str(path), COORDINATION_FLEET="")
    assert error_of(done, "filed")["field"] == "work_key"
