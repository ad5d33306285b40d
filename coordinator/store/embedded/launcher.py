"""Becomes etcd, after making sure that it ends together with its parent.

Linux's kernel does that when it is asked. Elsewhere a process of its own waits for the end of the parent.

Run as ``python -I -S launcher.py PARENT_PID PROGRAM ARGUMENT...``. It replaces itself by the program, so that the
parent's child is etcd itself. Doing this between fork and exec in the parent is no way: the parent's other threads
may hold locks that the forked copy would wait for for ever. It imports nothing of ours: it runs without
site-packages.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

#: From <linux/prctl.h>. The signal comes when the thread that started this process ends, and survives exec.
_PR_SET_PDEATHSIG = 1


if sys.platform == "linux":

    def _end_with(parent: int) -> None:  # noqa: ARG001  # it is this process's, whatever its number
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")

else:

    def _end_with(parent: int) -> None:
        etcd = os.getpid()
        if os.fork() != 0:
            return
        queue = select.kqueue()  # of this process: a child does not inherit one
        ends = (select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT)
        try:
            queue.control([select.kevent(each, *ends) for each in (parent, etcd)], 0)
            first = queue.control(None, 1)[0].ident
        except ProcessLookupError:
            first = parent
        if first == parent and os.getppid() == etcd:
            os.kill(etcd, signal.SIGTERM)
        os._exit(0)


def main() -> None:
    """Become the program named in the arguments; end at once if the parent has ended already."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    # etcd closes its files on SIGTERM; an ignored or blocked one would be inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Its sockets and files are its user's alone, whatever directory they end up in.
    os.umask(0o077)
    _end_with(parent)
    if os.getppid() != parent:
        sys.exit("the coordinator ended while its etcd was being started")
    os.execv(program, sys.argv[2:])  # noqa: S606 - becoming another program is the purpose


if __name__ == "__main__":
    main()
