"""The article's lines, literally, through the installed command.

The one deviation from what is printed there: times end in Z.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.engine.layout import FleetPaths
from coordinator.keys import parse_work_key
from coordinator.store.etcd.client import EtcdChannel
from tests.conftest import Coordination, Etcdctl
from tests.expiry_waiting import await_expiry

CLAIM = 'coordination work-claim "session-7f8b" "github:gptme/gptme#2880" --ttl 60'
COMPLETE = 'coordination work-complete "session-7f8b" "github:gptme/gptme#2880"'
CLAIM_OF_ANOTHER = 'coordination work-claim "session-9a2c" "github:gptme/gptme#2880" --ttl 60'
REAP = "coordination work-reap --min-age-hours 24"
CLAIM_OF_A_TOPIC = 'coordination work-claim "session-7f8b" "blog:convergent-work-coordination-multi-agent" --ttl 90'

KEY = "github:gptme/gptme#2880"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def shell(coordination: Coordination) -> Callable[[str], Done]:
    """Run a line as a shell would."""

    def run(line: str) -> Done:
        program, *arguments = shlex.split(line)
        assert program == "coordination"
        return coordination(*arguments)

    return run


Shell = Callable[[str], Done]


def test_a_claim_is_granted(shell: Shell) -> None:
    done = shell(CLAIM)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"claimed {KEY} (expires in 60 min)\n", "")


def test_a_topic_is_claimed_for_ninety_minutes(shell: Shell) -> None:
    done = shell(CLAIM_OF_A_TOPIC)
    said = "claimed blog:convergent-work-coordination-multi-agent (expires in 90 min)\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_a_claim_of_held_work_is_denied_with_holder_and_deadline(shell: Shell) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    shell(CLAIM)
    after = datetime.now(UTC)

    done = shell(CLAIM_OF_ANOTHER)

    said = re.fullmatch(rf"DENIED: already claimed by session-7f8b \(expires ({TIME})\)\n", done.stdout)
    assert said is not None, done.stdout
    assert done.returncode == 1
    held = json.loads(shell(f"coordination work-show {KEY} --json").stdout)["claim"]
    assert said[1] == held["expires_at"]
    # The lease outlives the asked time by its pool's window, at most 5 s.
    expires_at = datetime.fromisoformat(said[1])
    assert before + timedelta(minutes=60) <= expires_at <= after + timedelta(minutes=60, seconds=6)


def test_a_denied_session_gets_a_hint_on_standard_error(shell: Shell) -> None:
    shell(CLAIM)
    assert shell(CLAIM_OF_ANOTHER).stderr.startswith("hint: choose other work")


def test_ones_own_claim_is_renewed(shell: Shell) -> None:
    shell(CLAIM)
    done = shell(CLAIM)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"renewed {KEY} (expires in 60 min)\n", "")


def test_work_is_completed_once(shell: Shell) -> None:
    shell(CLAIM)
    done = shell(COMPLETE)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"completed {KEY}\n", "")

    again = shell(COMPLETE)

    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("error: ")
    assert re.search(rf"already completed by session-7f8b at {TIME}$", again.stderr), again.stderr


def test_finished_work_is_denied_and_reopened_on_demand(shell: Shell) -> None:
    shell(CLAIM)
    before = datetime.now(UTC).replace(microsecond=0)
    shell(COMPLETE)
    after = datetime.now(UTC)

    done = shell(CLAIM_OF_ANOTHER)

    said = re.fullmatch(rf"DENIED: already completed by session-7f8b \(({TIME})\)\n", done.stdout)
    assert said is not None, done.stdout
    assert done.returncode == 1
    assert before <= datetime.fromisoformat(said[1]) <= after
    assert "--reopen" not in done.stderr, "a denial suggests other work, and never a way around itself"

    reopened = shell(f"{CLAIM_OF_ANOTHER} --reopen")

    first, second = reopened.stdout.splitlines()
    assert reopened.returncode == 0
    assert first == f"claimed {KEY} (expires in 60 min)"
    assert re.fullmatch(rf"  this is attempt 2; attempt 1 by session-7f8b was completed {TIME}", second)


async def test_11_stale_claims_are_reaped_and_listed_before(
    shell: Shell, etcd_channel: EtcdChannel, etcdctl: Etcdctl, fleet: str
) -> None:
    for number in (1, 2, 3):
        shell(f"coordination work-claim session-{number} task:{number} --ttl 5s --note 'half of {number}'")
    assert shell("coordination work-reap").stdout == said_of_reap("0 stale claims", 0), "they are live"
    await await_expiry(etcd_channel, fleet)
    assert shell(REAP).stdout == said_of_reap("0 stale claims", 24), "they expired a moment ago"

    for number in (1, 2):
        expire_yesterday(etcdctl, fleet, f"task:{number}")
    tried = shell(f"{REAP} --dry-run").stdout.splitlines()
    assert tried[0] == "would reap 2 stale claims (claimed + expired >24h)"
    assert [line.split()[:3] for line in tried[1:]] == [["abandoned", f"task:{n}", f"session-{n}"] for n in (1, 2)]
    assert len(json.loads(shell("coordination work-reap --dry-run --json").stdout)["would_reap"]) == 3
    assert len(shell("coordination work-reap --dry-run").stdout.splitlines()) == 4, "nothing has changed"

    done = shell(REAP)

    assert (done.returncode, done.stdout, done.stderr) == (0, said_of_reap("2 stale claims", 24), "")
    assert shell(f"{REAP} --dry-run").stdout == "would reap 0 stale claims (claimed + expired >24h)\n"
    assert shell(REAP).stdout == said_of_reap("0 stale claims", 24)
    assert shell("coordination work-reap --min-age-hours 0").stdout == said_of_reap("1 stale claim", 0)
    assert shell("coordination work-reap --min-age-hours 0").stdout == said_of_reap("0 stale claims", 0)

    listed = shell("coordination work-list --state abandoned").stdout.splitlines()
    assert [line.split()[:4] for line in listed] == [
        ["abandoned", f"task:{number}", f"session-{number}", "expired"] for number in (1, 2, 3)
    ]
    claimed = shell("coordination work-claim session-9a2c task:3 --ttl 60").stdout.splitlines()
    assert claimed[0] == "claimed task:3 (expires in 60 min)"
    assert re.fullmatch(rf"  this is attempt 2; attempt 1 by session-3 was abandoned \(expired\) {TIME}", claimed[1]), (
        claimed
    )
    assert claimed[2:] == ['  last note by session-3: "half of 3"']


def said_of_reap(what: str, hours: int) -> str:
    return f"reaped {what} (claimed + expired >{hours}h) -> abandoned\n"


def expire_yesterday(etcdctl: Etcdctl, fleet: str, work_key: str) -> None:
    """Rewrite the record of an expired claim as if that had been 25 hours ago."""
    key = FleetPaths(fleet).of(parse_work_key(work_key)).record.decode()
    stored = json.loads(etcdctl("get", "--print-value-only", key))
    stored["expires_at"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat(timespec="milliseconds")
    etcdctl("put", key, json.dumps(stored))
