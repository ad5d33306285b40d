"""Ids of requests and of instances: no two are alike."""

from __future__ import annotations

import os

__all__ = ["new_id"]


def new_id() -> str:
    """Return 32 hexadecimal digits, which no process has drawn before or will draw again.

    They are random as those of ``uuid4`` are. ``uuid`` asks what operating system it runs on when it is loaded, which
    takes as long as loading twenty modules of this package.
    """
    return os.urandom(16).hex()
