"""Blocks of memory that are freed are given back to the system, so that bursts do not stay in this process.

The C library (glibc) takes large blocks from the system one by one and gives each back when it is freed, but raises the
size from which on it does so to that of the blocks it has seen, up to 32 MiB. gRPC reads what a connection sends in
blocks of up to some megabytes, and one that sends hundreds of megabytes a second left up to 900 MiB of holes behind in
that way. With a fixed size it is at most 280 MiB for moments, and as little as before once the connection has ended.

Python looks for circles of objects again and again, all others waiting meanwhile. What the program itself consists of
is left out of it, and all that lives is looked at a sixth as often as by default: calls leave no circles behind, and
some thousand that wait for their requests are 200,000 objects, which a look takes 100 to 200 ms for.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

__all__ = ["LARGE_BLOCK_BYTES", "collect_less_often", "return_large_blocks"]

#: From <malloc.h>.
_M_MMAP_THRESHOLD = -3
#: What is large: half of what glibc begins with. At 128 KiB, the blocks of gRPC were left behind as before.
LARGE_BLOCK_BYTES = 64 * 1024


def return_large_blocks() -> None:
    """Have blocks from ``LARGE_BLOCK_BYTES`` on given back when they are freed, where the C library can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def collect_less_often() -> None:
    """Leave out of the search for circles what is there now, and search less often; called once all is loaded."""
    gc.collect()
    gc.freeze()
    # By default 700, 10 and 10.
    gc.set_threshold(2_000, 10, 20)
