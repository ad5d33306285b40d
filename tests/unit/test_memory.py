"""What is freed is given back to the system: large blocks are not kept for later."""

from __future__ import annotations

import subprocess
import sys

#: A block of which glibc has said to have it from the system alone: bit 1 of its size, which lies before it (malloc.c).
_PROGRAM = """
import ctypes
from coordinator.process.memory import return_large_blocks

c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
return_large_blocks()
# From then on glibc would keep all blocks up to that size.
c.free(c.malloc(16 << 20))
# Larger than any hole that what was loaded has left.
block = c.malloc(8 << 20)
print(ctypes.c_size_t.from_address(block - ctypes.sizeof(ctypes.c_size_t)).value & 2)
"""


def test_a_large_block_is_given_back_although_a_larger_one_was_freed() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
