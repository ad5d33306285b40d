"""Commands and the session that they act for: named once, shared by sub-agents, lost."""

from __future__ import annotations

import json
import os
import subprocess

from tests.conftest import COMMAND, Coordination, RunningCoordinator

KEY = "github:gptme/gptme#2880"
SHARED = {"CLAUDE_CODE_SESSION_ID": "0e1d", "COORDINATION_SESSION": ""}


def test_a_session_is_named_once_for_all_commands(coordination: Coordination) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = coordination(*arguments, COORDINATION_SESSION="session-7f8b")
        return done.returncode, done.stdout

    assert run("work-claim", KEY, "--ttl", "60") == (0, f"claimed {KEY} (expires in 60 min)\n")
    # No sub-agents have it: its name proves that the claim is its own.
    assert run("work-claim", KEY, "--ttl", "60") == (0, f"renewed {KEY} (expires in 60 min)\n")
    assert run("work-renew", KEY, "--note", "half way")[0] == 0
    assert run("work-claim", "session-9a2c", KEY)[0] == 1
    assert run("work-complete", KEY) == (0, f"completed {KEY}\n")
    assert f"  {KEY}  attempt 1" in run("work-log")[1]


def test_the_session_of_an_agent_renews_by_proof_and_not_by_its_name(coordination: Coordination) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return coordination(*arguments, **SHARED)

    granted = json.loads(run("work-claim", KEY, "--json", "--request-id", "r-1").stdout)
    token = str(granted["claim"]["fencing_token"])

    # As a sub-agent would ask: it is not granted what its parent works on.
    denied = run("work-claim", KEY)
    assert denied.returncode == 1
    assert denied.stdout.startswith("DENIED: already claimed by another process of your own session 0e1d (expires ")
    assert "hint: choose other work: another agent of this session" in denied.stderr
    assert json.loads(run("work-claim", KEY, "--json").stdout)["denial"]["own_session"] is True

    proved = run("work-claim", KEY, "--token", token)
    repeated = run("work-claim", KEY, "--request-id", "r-1")
    assert (proved.returncode, proved.stdout.split()[0]) == (0, "renewed")
    assert repeated.returncode == 0

    # What ends or extends a claim goes by session.
    assert run("work-renew", KEY, "--note", "half way").returncode == 0
    assert run("work-abandon", KEY, "--reason", "out of time").returncode == 0
    assert run("work-claim", KEY).returncode == 0
    assert run("work-complete", KEY).returncode == 0


def test_an_instance_of_the_agents_own_counts(coordination: Coordination) -> None:
    mine = {**SHARED, "COORDINATION_INSTANCE": "main"}

    assert coordination("work-claim", KEY, **mine).returncode == 0

    assert coordination("work-claim", KEY, **mine).stdout.startswith("renewed")
    assert coordination("work-claim", KEY, **{**mine, "COORDINATION_INSTANCE": "helper"}).returncode == 1
    # The name alone is not enough either, as the claim names an instance.
    assert coordination("work-claim", "0e1d", KEY).returncode == 1


def test_a_session_that_has_lost_its_claim_learns_it_from_the_exit_code(coordination: Coordination) -> None:
    granted = json.loads(coordination("work-claim", "session-1", KEY, "--json").stdout)
    token = str(granted["claim"]["fencing_token"])
    coordination("work-revoke", KEY, "--now", "--reason", "wrong repository")

    revoked = coordination("work-renew", "session-1", KEY, "--json")
    assert revoked.returncode == 5
    assert json.loads(revoked.stdout)["error"]["code"] == "FAILED_PRECONDITION"
    assert coordination("work-abandon", "session-1", KEY).returncode == 5

    coordination("work-claim", "session-2", KEY)
    lost = coordination("work-complete", "session-1", KEY)
    assert lost.returncode == 5
    assert "revoked by an operator" in lost.stderr
    assert coordination("work-complete", "session-1", KEY, "--token", token).returncode == 5

    # Its own end is no loss, and a session that never held it has none.
    assert coordination("work-complete", "session-3", KEY).returncode == 1
    assert coordination("work-complete", "session-2", KEY).returncode == 0
    assert coordination("work-complete", "session-2", KEY).returncode == 1


def test_a_completion_under_the_number_of_another_shell_is_explained(coordination: Coordination) -> None:
    coordination("work-claim", "agent-4711", KEY)

    done = coordination("work-complete", "agent-4823", KEY)

    assert done.returncode == 1
    assert "hint: choose other work; if that session is you: $$ in a name changes from shell to shell" in done.stderr


def test_commands_under_run_mean_its_claim(coordinator: RunningCoordinator, fleet: str) -> None:
    script = f"""
        '{COMMAND}' work-renew --note 'half way' || exit 90
        '{COMMAND}' work-claim --ttl 60 || exit 91
        '{COMMAND}' work-claim other "$COORDINATION_KEY" && exit 92
        '{COMMAND}' work-complete --result done
    """
    command = [COMMAND, "run", "--session", "session-7f8b", "task:deploy", "--", "sh", "-c", script]
    settings = {"COORDINATION_ENDPOINT": coordinator.endpoint, "COORDINATION_FLEET": fleet}

    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        "renewed task:deploy",
        "renewed task:deploy",
        "DENIED: already claimed by session-7f8b",
        "completed task:deploy",
    ]
