"""Run a command, and end whatever it has left running: ``python -I scripts/contained.py COMMAND…``.

``make mutants`` needs it: a mutant of a guard that ends processes leaves some behind, and one such kept a core busy for
ever. Whatever a test has started stays below this process, its sessions and daemons too. Exits with the command's code,
or 128 and the number of the signal that has ended it.

It is run with ``-I``, so that it uses the tree that it belongs to, and not the copy that the command imports.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from coordinator.run.descendants import end_all
from coordinator.run.prctl import become_subreaper


def main() -> int:
    """Run what the command line names."""
    become_subreaper()
    # The command gets what a terminal sends by itself. A handler, because it would inherit that a signal is ignored.
    signal.signal(signal.SIGINT, lambda *_: None)
    command = subprocess.Popen(sys.argv[1:])
    pid, status = 0, 0
    while pid != command.pid:
        pid, status = os.waitpid(-1, 0)
    end_all(_reap)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _reap() -> bool:
    """Wait for the children that have ended; returns whether there are more."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
