"""What becomes of the work: which is claimed, what COMMAND knows of it, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from coordinator.model import Cause, Claim, State
from tests.run.running import SHORT, World


def ended(world: World, key: str) -> tuple[str, str | None, str | None]:
    record = world.client.get(key).record
    return record.state.value, None if record.cause is None else record.cause.value, record.reason


@pytest.mark.parametrize(
    ("command", "code", "found"),
    [
        (("true",), 0, ("completed", None, None)),
        (("sh", "-c", "exit 3"), 3, ("abandoned", "released", "exit 3")),
        (("sh", "-c", "kill -KILL $$"), 137, ("abandoned", "released", "signal SIGKILL")),
    ],
)
def test_the_exit_code_decides(
    command: tuple[str, ...], code: int, found: tuple[str, str | None, str | None], world: World
) -> None:
    done = world.run("task:a", "--", *command)
    assert (done.returncode, done.stderr) == (code, "")
    assert ended(world, "task:a") == found


def test_of_several_the_first_free_one_is_claimed_and_the_list_may_be_a_file(world: World, tmp_path: Path) -> None:
    assert isinstance(world.client.try_claim("another", "task:held", 60), Claim)
    world.client.claim("another", "task:done", 60)
    world.client.complete("another", "task:done")
    (tmp_path / "list").write_text("task:held\n\ntask:done\r\n task:free \ntask:later\n")
    done = world.run(
        "task:held", "TASK:held", "--from", str(tmp_path / "list"), "--", "sh", "-c", "echo $COORDINATION_KEY"
    )
    assert (done.returncode, done.stdout) == (0, "task:free\n")
    assert ended(world, "task:later")[0] == "available"


def test_where_nothing_can_be_had_it_says_so_and_the_code_can_be_chosen(world: World) -> None:
    world.client.claim("another", "task:held", 60)
    world.client.claim("another", "task:done", 60)
    world.client.complete("another", "task:done")
    done = world.run("task:held", "--", "touch", "/not/to/be/run")
    assert done.returncode == 75
    assert done.stderr.startswith("DENIED: already claimed by another (expires ")
    done = world.run("task:held", "task:done", "--", "touch", "/not/to/be/run")
    assert (done.returncode, done.stderr) == (75, "DENIED: nothing is free: 1 of 2 is held, 1 is completed\n")
    done = world.run("-E", "0", "task:held", "--", "touch", "/not/to/be/run")
    assert (done.returncode, done.stderr) == (0, "")
    done = world.run("--json", "-E", "9", "task:held", "--", "touch", "/not/to/be/run")
    found = json.loads(done.stderr)
    assert (done.returncode, found["outcome"], found["exit_code"]) == (9, "denied", 9)
    assert (found["denial"]["reason"], found["denial"]["holder"]) == ("held", "another")


def test_the_command_knows_its_claim_and_what_the_previous_attempt_left(world: World) -> None:
    note = "coordination work-renew $COORDINATION_KEY --note 'half\ndone' >&2"
    shown = "env | grep ^COORDINATION_ | sort | cut -d= -f1; exit 1"
    first = world.run("task:a", "--", "sh", "-c", f"{note}; {shown}")
    assert first.returncode == 1, first.stderr
    assert "COORDINATION_PREVIOUS_NOTE" not in first.stdout
    second = world.run(
        "task:a", "--session", "me", "--", "sh", "-c",
        'echo "$COORDINATION_SESSION $COORDINATION_KEY $COORDINATION_ATTEMPT"; echo "$COORDINATION_PREVIOUS_NOTE"; '
        'echo "$COORDINATION_FENCING_TOKEN ${#COORDINATION_INSTANCE}"',
        # An outer command's are not its own.
        env={"COORDINATION_INSTANCE": "outer", "COORDINATION_FENCING_TOKEN": "1"},
    )  # fmt: skip
    token = world.client.get("task:a").history[-1].fencing_token
    assert second.stdout.splitlines() == ["me task:a 2", "half", "done", f"{token} 32"]
    assert "COORDINATION_KEY" in first.stdout


def test_options_reach_commands_inside(world: World) -> None:
    done = world.run(
        "--fleet", "other", "lock:a", "--", "sh", "-c", 'coordination work-show "$COORDINATION_KEY"',
        env={"COORDINATION_FLEET": "nowhere"},
    )  # fmt: skip
    assert "lock:a is claimed" in done.stdout


@pytest.mark.parametrize(
    ("program", "code", "state"),
    [
        ("coordination work-complete --result good $COORDINATION_KEY; exit 4", 4, State.COMPLETED),
        ("coordination work-abandon $COORDINATION_KEY; exit 0", 0, State.ABANDONED),
    ],
)
def test_a_command_may_end_its_claim_itself(program: str, code: int, state: State, world: World) -> None:
    done = world.run("task:a", "--", "sh", "-c", f"({program}) >/dev/null")
    assert (done.returncode, done.stderr) == (code, "")
    details = world.client.get("task:a")
    assert (details.record.state, len(details.history)) == (state, 1)


def test_a_command_that_has_ended_its_claim_is_let_go_on(world: World) -> None:
    """Past its deadline, too: it has said that it is done."""
    program = "coordination work-complete $COORDINATION_KEY; sleep 8; echo after"
    done = world.run(*SHORT, "task:a", "--", "sh", "-c", program)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "after", "")


def test_two_of_one_session_do_not_both_run(world: World) -> None:
    program = "coordination run $COORDINATION_KEY -- echo inner; echo inner ended with $?"
    done = world.run("--session", "me", "task:a", "--", "sh", "-c", program)
    assert done.stdout == "inner ended with 75\n"
    assert "another process of your own session me" in done.stderr


def test_the_claim_is_kept_for_as_long_as_the_command_runs(world: World) -> None:
    done = world.run(*SHORT, "task:a", "--", "sleep", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert world.client.get("task:a").record.attempt == 1


def test_what_is_left_behind_is_killed_and_named(world: World) -> None:
    done = world.run("task:a", "--", "sh", "-c", "setsid sleep 600 & exit 0")
    assert done.returncode == 0
    assert done.stderr.startswith("notice: processes that the command left behind were killed: ")
    assert ended(world, "task:a")[0] == "completed"


def test_what_is_left_behind_is_counted_whatever_it_is_called(world: World) -> None:
    program = """
import os, time
reader, writer = os.pipe()
for _ in range(23):
    if not os.fork():
        with open("/proc/self/comm", "w") as name:
            name.write("!")
        os.write(writer, b".")
        time.sleep(600)
for _ in range(23):
    os.read(reader, 1)
"""
    done = world.run("task:a", *world.python(program))
    names = ", ".join(['"!"'] * 5)
    assert done.stderr == f"notice: processes that the command left behind were killed: {names} and 18 more\n"


def test_when_the_watchdog_is_killed_the_command_is_too_and_the_work_is_handed_back(world: World) -> None:
    program = "import os, time; os.fork() or os.setsid(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)"
    with world.start("task:a", *world.python(program)) as process:
        assert process.stdout is not None
        pids = {int(process.stdout.readline()), int(process.stdout.readline())}
        (watchdog,) = children_of(process.pid)
        subprocess.run(["kill", "-KILL", str(watchdog)], check=True)
        assert process.wait(60) == 125
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert process.stderr is not None
        assert process.stderr.read().startswith(
            "error: the watchdog of the command was killed, so the command was, too;"
        )
    assert ended(world, "task:a") == ("abandoned", "released", "the watchdog of the command was killed")


def test_a_watchdog_that_is_stopped_goes_on(world: World) -> None:
    done = world.run("task:a", "--", "sh", "-c", "kill -STOP $PPID; exit 3", timeout=20)
    assert done.returncode == 3


def test_when_the_wrapper_is_killed_the_command_is_too_and_the_claim_expires(world: World) -> None:
    with world.start("task:a", "--ttl", "10m", *world.python("import os; os.write(1, b'up\\n'); os.read(0, 1)"),
                     stdin=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        (watchdog,) = children_of(process.pid)
        (command,) = children_of(watchdog)
        process.kill()
        # The watchdog is the last that ends.
        while Path(f"/proc/{watchdog}").exists():
            pass
        assert not Path(f"/proc/{command}").exists()
    assert ended(world, "task:a")[0] == "claimed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGALRM])
def test_a_signal_while_it_claims_ends_it_without_the_command(number: signal.Signals, world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        arguments = ("--endpoint", endpoint, "--timeout", "1", "task:a", "--", "touch", "/not/to/be/run")
        with world.start(*arguments) as process:
            with silent.accept()[0]:
                process.send_signal(number)
                assert process.wait(60) == 128 + number
            assert process.stderr is not None
            assert process.stderr.read().startswith(f"notice: {number.name} came before a claim was answered: ")


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def test_a_claim_that_was_revoked_at_once_is_lost(world: World) -> None:
    with world.start(*SHORT, "task:a", "--", "sleep", "600") as process:
        while world.client.get("task:a").claim is None:
            pass
        world.client.revoke("task:a", reason="wrong", at_once=True)
        assert process.wait(60) == 124
        assert process.stderr is not None
        assert process.stderr.read().startswith("LOST: the claim on task:a, so the command was ended: ")
    record = world.client.get("task:a").record
    assert (record.cause, record.reason) == (Cause.REVOKED, "wrong")
