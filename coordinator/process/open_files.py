"""How many files and connections this process may have open, and how many of them are for connections of callers.

Invariant: callers never take the last descriptors, so that etcd, the log and the metrics can always be reached. Where
too few files may be open for that, a coordinator does not start.
"""

from __future__ import annotations

import contextlib
import resource

from coordinator.diagnosis.findings import Finding, sound, warning
from coordinator.errors import Unavailable
from coordinator.server_limits import (
    FEWEST_FILES,
    FEWEST_FILES_WITH_ETCD,
    MAX_CONNECTIONS,
    MAX_HTTP_CONNECTIONS,
    RESERVED_FILES,
)

__all__ = ["allowed_connections", "allowed_http_connections", "examine_limit", "need_files", "raise_limit"]

#: More is of no use here, and some programs that are started look at each descriptor there may be.
_MOST_FILES = 65_536
#: What is kept for all else at least.
_FEWEST_RESERVED = 64
#: Connections over HTTP where few files may be open: part of what is kept for all else.
_FEWEST_HTTP = 24


def need_files(*, with_etcd: bool) -> None:
    """Raise the limit as far as it goes; raises ``Unavailable`` if that is too few for a coordinator."""
    raise_limit()
    limit, needed = _limit(), FEWEST_FILES_WITH_ETCD if with_etcd else FEWEST_FILES
    if limit < needed:
        raise Unavailable(
            f"only {limit} files may be open at a time (ulimit -n), and a coordinator "
            f"{'with an etcd of its own ' if with_etcd else ''}needs {needed}",
            hint="raise the limit, better to 4096: `ulimit -n 4096`, or LimitNOFILE=4096 of systemd",
        )


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
    return min(MAX_CONNECTIONS, limit - min(RESERVED_FILES, max(limit // 2, _FEWEST_RESERVED)))


def allowed_http_connections() -> int:
    """Return how many connections callers may have over HTTP at a time, beside those of gRPC."""
    left = _limit() - RESERVED_FILES - allowed_connections()
    return min(MAX_HTTP_CONNECTIONS, max(left, _FEWEST_HTTP))


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
