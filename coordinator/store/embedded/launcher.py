"""Becomes etcd, after asking the kernel to end it together with its parent.

Run as ``python -I -S launcher.py PARENT_PID PROGRAM ARGUMENT...``. It replaces itself by the program, so that the
parent's child is etcd itself. Doing this between fork and exec in the parent is no way: the parent's other threads
may hold locks that the forked copy would wait for for ever. It imports nothing of ours: it runs without
site-packages.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: From <linux/prctl.h>. The signal comes when the thread that started this process ends, and survives exec.
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the program named in the arguments; end at once if the parent has ended already."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    # etcd closes its files on SIGTERM; an ignored or blocked one would be inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Its sockets and files are its user's alone, whatever directory they end up in.
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the coordinator ended while its etcd was being started")
    os.execv(program, sys.argv[2:])  # noqa: S606 - becoming another program is the purpose


if __name__ == "__main__":
    main()
