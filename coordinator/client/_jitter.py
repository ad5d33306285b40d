"""Pauses of random length, so that a fleet of clients that failed together does not come back together."""

from __future__ import annotations

import os

__all__ = ["jittered"]

_BYTES = 4


def jittered(seconds: float) -> float:
    """Return a time of 0.75 to 1.25 times as long.

    ``random`` would do, and takes as long to load as twenty modules of this package: it loads ``hashlib``.
    """
    share = int.from_bytes(os.urandom(_BYTES), "big") / (1 << 8 * _BYTES)
    return seconds * (0.75 + share / 2)
