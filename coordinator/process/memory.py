"""Blocks of memory that are freed are given back to the system, so that bursts do not stay in this process.

The C library (glibc) takes large blocks from the system one by one and gives each back when it is freed, but raises the
size from which on it does so to that of the blocks it has seen, up to 32 MiB. gRPC reads what a connection sends in
blocks of up to some megabytes, and one that sends hundreds of megabytes a second left up to 900 MiB of holes behind in
that way. With a fixed size it is at most 280 MiB for moments, and as little as before once the connection has ended.
"""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["LARGE_BLOCK_BYTES", "return_large_blocks"]

#: From <malloc.h>.
_M_MMAP_THRESHOLD = -3
#: What is large: half of what glibc begins with. At 128 KiB, the blocks of gRPC were left behind as before.
LARGE_BLOCK_BYTES = 64 * 1024


def return_large_blocks() -> None:
    """Have blocks from ``LARGE_BLOCK_BYTES`` on given back when they are freed, where the C library can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
