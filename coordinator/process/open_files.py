"""How many files and connections this process may have open, and how many of them are for connections of callers.

Invariant: callers never take the last descriptors, so that etcd, the log and the metrics can always be reached.
"""

from __future__ import annotations

import contextlib
import resource

from coordinator.diagnosis.findings import Finding, sound, warning
from coordinator.limits import MAX_CONNECTIONS, RESERVED_FILES

__all__ = ["allowed_connections", "examine_limit", "raise_limit"]

#: More is of no use here, and some programs that are started look at each descriptor there may be.
_MOST_FILES = 65_536


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard one, as any process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def allowed_connections() -> int:
    """Return how many connections callers may have at a time."""
    limit = _limit()
    return min(MAX_CONNECTIONS, limit - min(RESERVED_FILES, limit // 2))


def examine_limit() -> Finding:
    """Judge the limit of open files."""
    limit, needed = _limit(), MAX_CONNECTIONS + RESERVED_FILES
    message = f"{limit} files may be open, so that {allowed_connections()} connections are let in at a time"
    if limit < needed:
        return warning(
            "open-files", message, f"raise it to {needed} or more: `ulimit -n`, or LimitNOFILE= of systemd", value=limit
        )
    return sound("open-files", message, value=limit)


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft
