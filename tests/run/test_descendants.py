"""What is said of descendants that may not be killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Ends a descendant that it may not kill, as it seems, and prints what is said of it. ``{forbid}`` makes it so.
_PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from coordinator.run import descendants, prctl

def reap():
    try:
        return os.waitpid(-1, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False

prctl.become_subreaper()
descendants._PATIENCE_SECONDS = 0.1
reader, writer = os.pipe()
child = os.fork()
if not child:
    with open("/proc/self/comm", "w") as name:
        name.write("sudo")
    os.write(writer, b".")
    time.sleep(60)
    os._exit(1)
os.read(reader, 1)
FORBID
killed, going_on = descendants.end_all(reap)
if going_on:
    os.kill(child, signal.SIGKILL)
print(killed, [(pid == child, name) for pid, name in going_on])
"""


@pytest.mark.parametrize(
    ("forbid", "said"),
    [
        ("", "['sudo'] []"),
        ("descendants.Process.send = lambda *_: False", "[] [(True, 'sudo')]"),
        # As with hidepid=2, which keeps /proc from showing processes of other users.
        ("os.listdir = lambda _: []", "[] [(True, '?')]"),
    ],
    ids=["allowed", "of-others", "hidden"],
)
def test_what_may_not_be_killed_is_named_and_not_waited_for(forbid: str, said: str) -> None:
    root = __file__.rpartition("/tests/")[0]
    program = _PROGRAM.replace("FORBID", forbid)
    done = subprocess.run([sys.executable, "-c", program, root], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{said}\n", "")
