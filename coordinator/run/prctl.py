"""Calls of ``prctl(2)`` that Python does not have: adopt orphans, and end with the parent."""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["become_subreaper", "die_with_parent", "use_one_arena"]

#: From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
#: From <malloc.h> of glibc.
_M_ARENA_MAX = -8


def become_subreaper() -> None:
    """Have orphans among the descendants of this process become its children; raises ``OSError``.

    It lasts for as long as this process, also beyond an ``exec``, and is not inherited.
    """
    _call(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends; end at once if that has happened.

    The kernel means the *thread* that forked, not its process. It survives ``exec``, unless that of a setuid program.
    """
    _call(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def use_one_arena() -> None:
    """Have all threads of this process share one heap.

    glibc reserves up to 128 MiB of addresses for each thread that allocates something, which uses a limit of memory
    (``ulimit -v``) up. Other libraries do not, and have no such call.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _call(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
