"""The watchdog ends everything of COMMAND's, on time, whatever becomes of the wrapper (ADR 30)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.run import messages
from coordinator.run.descendants import is_supported
from tests.freezing import freeze
from tests.run.watchdog_running import HELPERS, RunningWatchdog, await_end, boot, is_alive

_ROOT = str(Path(__file__).parents[2])
#: Says which processes there are: itself, a child and what gets away; none of them heeds SIGTERM.
_STUBBORN = f"""{HELPERS}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setsid()
    signal.pause()
say(os.getpid(), child, daemon(), daemon())
signal.pause()
"""


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", program)


@pytest.mark.parametrize(
    ("program", "status"),
    [("exit 3", 3 << 8), ("exit 0", 0), ("kill -KILL $$", signal.SIGKILL), ("kill -USR1 $$", signal.SIGUSR1)],
)
def test_it_says_how_the_command_ended(program: str, status: int) -> None:
    with RunningWatchdog("/bin/sh", "-c", program) as watchdog:
        watchdog.start()
        assert watchdog.expect(messages.ENDED) == [str(status), "own", "0", "0"]


def test_what_the_command_leaves_behind_has_ended_before_it_says_so() -> None:
    with RunningWatchdog(*python(f"{HELPERS}\nsay(daemon(), daemon())")) as watchdog:
        watchdog.start()
        left = [*map(int, watchdog.read())]
        status, cause, count, *_ = watchdog.expect(messages.ENDED)
        assert not any(map(is_alive, left))
        assert (status, cause, count) == ("0", "own", "2")


def test_at_the_deadline_nothing_is_left_of_what_does_not_heed_sigterm() -> None:
    with RunningWatchdog(*python(_STUBBORN)) as watchdog:
        watchdog.start()
        pids = [*map(int, watchdog.read())]
        assert all(map(is_alive, pids))
        begun = boot()
        watchdog.send(messages.END, begun + 0.3)
        status, cause, count, *_ = watchdog.expect(messages.ENDED)
        assert boot() >= begun + 0.3
        assert not any(map(is_alive, pids))
        assert (int(status), cause, count) == (signal.SIGKILL, "asked", "4")


def test_deadlines_are_kept_without_the_wrapper_doing_anything() -> None:
    program = (
        f"{HELPERS}\nsignal.signal(signal.SIGTERM, lambda *_: (say('TERM'), sys.exit(9)))\nsay('up')\nawait_signals()"
    )
    with RunningWatchdog(*python(program)) as watchdog:
        begun = boot()
        watchdog.start(1.5, 600)
        assert watchdog.expect(messages.ENDING) == []
        assert boot() >= begun + 1.5
        assert [watchdog.read(), watchdog.read()] == [["up"], ["TERM"]]
        assert watchdog.expect(messages.ENDED)[:2] == [str(9 << 8), "deadline"]


def test_a_later_deadline_is_taken_and_an_earlier_one_is_not() -> None:
    with RunningWatchdog("/bin/sleep", "600") as watchdog:
        begun = boot()
        watchdog.start(0.7, 0.7)
        watchdog.send(messages.UNTIL, begun + 2.0, begun + 2.0)
        watchdog.send(messages.UNTIL, begun + 0.1, begun + 0.1)
        assert watchdog.expect(messages.ENDED)[:2] == [str(int(signal.SIGKILL)), "deadline"]
        assert boot() >= begun + 2.0


def test_once_sigterm_was_sent_no_later_deadline_is_taken() -> None:
    # What its caller ignores a command ignores from its beginning on: it may get SIGTERM at once.
    usual = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        stubborn = RunningWatchdog("/bin/sleep", "600")
    finally:
        signal.signal(signal.SIGTERM, usual)
    with stubborn as watchdog:
        watchdog.start(0.0, 1.0)
        watchdog.expect(messages.ENDING)
        watchdog.send(messages.UNTIL, boot() + 600, boot() + 600)
        assert watchdog.expect(messages.ENDED)[1] == "deadline"


def test_when_the_wrapper_ends_everything_does() -> None:
    with RunningWatchdog(*python(_STUBBORN)) as watchdog:
        watchdog.start()
        pids = [*map(int, watchdog.read())]
        watchdog.close()
        await_end(pids)
        assert watchdog.process.wait(60) == 0


def test_a_command_that_is_stopped_is_ended_too() -> None:
    with RunningWatchdog(*python(_STUBBORN)) as watchdog:
        pid = watchdog.start()
        pids = [*map(int, watchdog.read())]
        freeze(pid)
        assert watchdog.expect(messages.STOPPED) == [str(int(signal.SIGSTOP))]
        watchdog.send(messages.KILL)
        watchdog.expect(messages.ENDED)
        assert not any(map(is_alive, pids))


def test_a_stopped_command_gets_sigterm_at_its_time() -> None:
    program = f"{HELPERS}\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\nsay('up')\nawait_signals()"
    with RunningWatchdog(*python(program)) as watchdog:
        pid = watchdog.start()
        watchdog.read()
        freeze(pid)
        watchdog.expect(messages.STOPPED)
        watchdog.send(messages.END, boot() + 600)
        # It goes on, which may be said before it ends.
        words = watchdog._ours.recv(65536).decode().split("\0")
        if words == [messages.CONTINUED]:
            words = watchdog._ours.recv(65536).decode().split("\0")
        assert words[:3] == [messages.ENDED, str(9 << 8), "asked"]


def test_what_forks_as_fast_as_it_can_is_ended() -> None:
    """Every process forks one in a session of its own and ends, so that each is there for a moment only."""
    program = f"""{HELPERS}
say("up")
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
    with RunningWatchdog("/bin/sh", "-c", '"$@" & sleep 600', "sh", *python(program)) as watchdog:
        watchdog.start()
        watchdog.read()
        watchdog.send(messages.KILL)
        watchdog.expect(messages.ENDED)


def test_a_command_dies_with_a_watchdog_that_is_killed() -> None:
    with RunningWatchdog("/bin/sleep", "600") as watchdog:
        pid = watchdog.start()
        watchdog.process.kill()
        await_end([pid])


def test_signals_go_to_the_group_and_to_no_other() -> None:
    program = f"""{HELPERS}
for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(number, lambda number, _: say(who, signal.Signals(number).name))
who = "child" if os.fork() == 0 else "parent"
say(who, "up")
await_signals()
"""
    with RunningWatchdog(*python(program)) as watchdog:
        watchdog.start()
        assert sorted([*watchdog.read(), *watchdog.read()]) == ["child", "parent", "up", "up"]
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
            watchdog.send(messages.SIGNAL, int(number))
            assert sorted([watchdog.read(), watchdog.read()]) == [["child", number.name], ["parent", number.name]]


def test_nothing_that_a_terminal_or_a_user_sends_the_job_ends_it() -> None:
    with RunningWatchdog("/bin/sleep", "600") as watchdog:
        watchdog.start()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP, signal.SIGUSR1):
            watchdog.process.send_signal(number)
        watchdog.send(messages.KILL)
        assert watchdog.expect(messages.ENDED)[1] == "asked"


def test_the_command_inherits_what_its_caller_ignores_and_nothing_else() -> None:
    ignored = {signal.SIGHUP, signal.SIGUSR2}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        # Python sets SIGPIPE and SIGXFSZ for itself, so that the shell has to look.
        command = ("/bin/sh", "-c", "grep SigIgn /proc/self/status")
        with RunningWatchdog(*command) as watchdog:
            watchdog.start()
            mask = int(watchdog.read()[1], 16)
            watchdog.expect(messages.ENDED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert {number for number in range(1, 32) if mask >> (number - 1) & 1} == ignored


def test_its_variables_are_set_and_removed() -> None:
    with RunningWatchdog("/bin/sh", "-c", 'echo "$ADDED" "${LEFT-none}" "$KEPT"', LEFT="x", KEPT="kept") as watchdog:
        watchdog.start(600, 600, "ADDED=a=b", "LEFT")
        assert watchdog.read() == ["a=b", "none", "kept"]
        watchdog.expect(messages.ENDED)


def test_it_lets_go_of_what_the_command_writes_to() -> None:
    program = "exec >&-; kill -STOP $$"
    with RunningWatchdog("/bin/sh", "-c", program) as watchdog:
        watchdog.start()
        watchdog.expect(messages.STOPPED)
        assert watchdog.read() == []  # the end of the stream
        watchdog.send(messages.KILL)
        watchdog.expect(messages.ENDED)


def test_a_program_that_cannot_be_executed_is_reported_with_its_error(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/not/there\n")
    script.chmod(0o755)
    with RunningWatchdog(str(script)) as watchdog:
        watchdog.send(messages.START, boot() + 600, boot() + 600, 0)
        assert watchdog.expect(messages.FAILED) == ["2"]


def test_a_script_without_an_interpreter_is_run_by_the_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo of the shell: $1\n")
    script.chmod(0o755)
    with RunningWatchdog(str(script), "word") as watchdog:
        watchdog.start()
        assert watchdog.read() == ["of", "the", "shell:", "word"]
        watchdog.expect(messages.ENDED)


def test_a_proc_of_another_pid_namespace_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ids are of other processes, which would be ended instead."""
    assert is_supported()
    monkeypatch.setattr(os, "getpid", os.getppid)
    assert not is_supported()


def test_it_imports_nothing_from_the_current_directory(tmp_path: Path) -> None:
    for name in ("coordinator", "ctypes", "contextlib", "select", "signal", "sitecustomize", "encodings"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    with RunningWatchdog("/bin/true", cwd=tmp_path, PYTHONPATH=f".:{tmp_path}", PYTHONSTARTUP="x") as watchdog:
        watchdog.start()
        watchdog.expect(messages.ENDED)
    assert not (tmp_path / "sprung").exists()


def test_it_loads_little() -> None:
    program = "import sys; sys.path.append(sys.argv[1]); import coordinator.run.watchdog; print(*sys.modules)"
    done = subprocess.run([*python(program), _ROOT], capture_output=True, text=True, timeout=60, check=True)
    loaded = {*done.stdout.split()}
    assert loaded >= {"ctypes", "coordinator.run.descendants"}
    assert not loaded & {"typing", "re", "json", "socket", "threading", "subprocess", "pathlib", "asyncio", "grpc"}
    assert {name for name in loaded if name.startswith("coordinator")} == {
        "coordinator",
        *(
            f"coordinator.run{part}"
            for part in ("", ".watchdog", ".descendants", ".descriptors", ".environment", ".messages", ".prctl")
        ),
    }


def test_a_process_whose_first_thread_has_ended_is_ended_too() -> None:
    """It looks like a zombie, which is not waited for as long as its other threads run."""
    program = f"""{HELPERS}
import ctypes, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=await_signals).start()
say(os.getpid())
ctypes.CDLL(None).syscall(60, 0)  # exit(2) ends this thread alone
"""
    with RunningWatchdog(*python(program)) as watchdog:
        watchdog.start()
        (pid,) = map(int, watchdog.read())
        threads = Path(f"/proc/{pid}/status")
        while "zombie" not in threads.read_text():
            pass
        watchdog.send(messages.KILL)
        status, cause, *_ = watchdog.expect(messages.ENDED)
        assert (int(status), cause) == (signal.SIGKILL, "asked")
        assert not threads.exists()
