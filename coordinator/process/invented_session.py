"""A name for the session of this process, where its user gives none.

Invariant: no two processes, and no two calls, get one name. It says where the session runs, for those who are denied.
"""

from __future__ import annotations

import os
import socket

from coordinator.limits import MAX_SESSION_BYTES
from coordinator.patterns import Pattern

__all__ = ["invented_session"]

_STRANGE = Pattern(r"[^A-Za-z0-9._-]+")


def invented_session() -> str:
    """Return a new name, ``host-pid-random``: a valid session."""
    end = f"-{os.getpid()}-{os.urandom(4).hex()}"
    host = _STRANGE.sub("-", socket.gethostname()).strip("-") or "host"
    return host[: MAX_SESSION_BYTES - len(end)] + end
