"""COMMAND behaves under ``run`` as under ``env``: what it gets, what it writes, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.running import World

#: Shows all that a program inherits, but for ids of processes; Python itself sets SIGPIPE and SIGXFSZ when it starts.
_LOOK = r"""
printf '%s\n' "$0" "$@" | od -c | tail -3
grep -E 'Sig(Ign|Blk)' /proc/self/status
ls /proc/self/fd | tr '\n' ' '; echo
cat /dev/fd/$1
umask; pwd; ulimit -n
env | grep -v '^COORDINATION_\|^_=\|^SHLVL=' | sort
cat
echo aside >&2
"""


#: What is sent to programs; real-time signals stand for what some init systems and schedulers send.
_SENT = "HUP INT QUIT USR1 USR2 WINCH ABRT ALRM VTALRM PROF IO PWR URG RTMIN RTMAX"


def both(world: World, command: list[str | bytes], **options: object) -> list[tuple[int, bytes, bytes]]:
    """Run a command under ``env`` and under ``run``; returns for each what came of it."""
    found = []
    given = {"capture_output": True, "timeout": 120, "env": world.environment} | options
    for number, prefix in enumerate((["env"], ["coordination", "run", f"lock:{os.urandom(4).hex()}", "--"])):
        done = subprocess.run([*prefix, *command], **given)  # type: ignore[call-overload]  # options are of many types
        found.append((done.returncode if number else done.returncode % 256, done.stdout, done.stderr))
    return found


def test_what_it_inherits(world: World, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"of another descriptor\n")
    os.close(writer)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        command: list[str | bytes] = ["sh", "-c", _LOOK, "name", str(reader), b"\xff\xfe", "", "a b"]
        # In the C locale Python sets a variable of its own.
        environment = world.environment | {"LC_ALL": "C"}
        under_env, under_run = both(
            world, command, input=b"x" * 100_000, pass_fds=(reader,), cwd=tmp_path, env=environment
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGHUP, before)
        os.close(reader)
    assert under_run[0] == under_env[0] == 0
    assert under_run[2] == under_env[2] == b"aside\n"
    # The first one has read what was in the pipe.
    expected = under_env[1].replace(b"of another descriptor\n", b"")
    assert b"of another descriptor\n" in under_env[1]
    assert _without_glibc_signals(under_run[1]).splitlines() == _without_glibc_signals(expected).splitlines()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_descriptors_that_are_closed_stay_so(closed: str, world: World, tmp_path: Path) -> None:
    program = """
import os, sys
found = [name for name in "012" if os.path.exists(f"/proc/self/fd/{name}")]
with open(sys.argv[1], "a") as file:
    print(*found, file=file)
"""
    for prefix in ("env", "coordination run lock:a --"):
        command = f'exec {prefix} "$@" {closed}'
        python = [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "found")]
        done = subprocess.run(["bash", "-c", command, "bash", *python], env=world.environment, timeout=120)
        assert done.returncode == 0
    under_env, under_run = (tmp_path / "found").read_text().splitlines()
    assert under_run == under_env != "0 1 2"


def _without_glibc_signals(output: bytes) -> bytes:
    """Take signals 32 and 33 out of what is ignored: nothing but glibc can send or handle them.

    Its posix_spawn leaves them ignored, in us or in whatever has started these tests.
    """
    return re.sub(rb"(?<=SigIgn:\t)[0-9a-f]+", lambda found: b"%016x" % (int(found[0], 16) & ~(0b11 << 31)), output)


@pytest.mark.parametrize(
    ("program", "code"),
    [("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("exec not-there 2>/dev/null", 127)],
)
def test_how_it_ends(program: str, code: int, world: World) -> None:
    done = world.run("lock:a", "--", "sh", "-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_large_output_flows_while_the_command_runs(world: World) -> None:
    """The first byte arrives before the command goes on, and fifty million more unchanged."""
    program = (
        "import os, sys; os.write(1, b'.'); assert sys.stdin.buffer.read(1) == b'!'; "
        "block = bytes(range(250)) * 4000; "
        "[sys.stdout.buffer.write(block) for _ in range(50)]"
    )
    with world.start("lock:a", *world.python(program), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1) == b"."
        process.stdin.write("!")
        process.stdin.close()
        with open(process.stdout.fileno(), "rb", closefd=False) as output:
            content = output.read()
    assert content == bytes(range(250)) * 4000 * 50
    assert process.returncode == 0


def test_it_may_close_what_it_reads_and_others_notice(world: World) -> None:
    program = "import os, signal; os.close(0); os.write(1, b'closed\\n'); signal.pause()"
    reader, writer = os.pipe()
    with world.start("lock:a", *world.python(program), stdin=reader) as process:
        os.close(reader)
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        process.terminate()
        assert process.wait(60) == 143
    os.close(writer)


def test_signals_reach_its_group_once_each(world: World) -> None:
    numbers = [signal.Signals[f"SIG{name}"] for name in _SENT.split()]
    program = f"""
import os, signal, time
for number in {[*map(int, numbers)]}:
    signal.signal(number, lambda number, _: os.write(1, f"{{signal.Signals(number).name}}\\n".encode()))
os.write(1, b"up\\n")
while True:
    time.sleep(0.1)  # one that comes right before pause() would only be noticed with the next one
"""
    with world.start("task:a", *world.python(program)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        for number in numbers:
            process.send_signal(number)
            assert process.stdout.readline() == f"{number.name}\n"
        process.terminate()
        assert (process.wait(60), process.stdout.read()) == (143, "")
    record = world.client.get("task:a").record
    assert (record.state.value, record.reason) == ("abandoned", "signal SIGTERM")


def test_in_json_mode_its_output_is_still_its_own(world: World) -> None:
    done = world.run("--json", "task:a", "--", sys.executable, "-c", "print('mine')")
    assert (done.returncode, done.stdout) == (0, "mine\n")
    assert '"outcome": "completed"' in done.stderr
