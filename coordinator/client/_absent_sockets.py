"""Why there is no connection through a unix socket, and what to do.

Invariant: four cases have messages of their own, because each needs another action: a socket that does not exist, one
without a listener, one that this user may not use, and one that accepts connections but does not answer.
"""

from __future__ import annotations

import stat

from coordinator.client._failover import Absence
from coordinator.net.unix_sockets import path_of
from coordinator.security.file_trust import user_name

__all__ = ["absence_at"]

_SILENT = "check that a coordinator runs there, and that it is not stopped or overloaded"


def absence_at(text: str, endpoint: str) -> Absence:
    """Return why there is no connection to ``endpoint``, from the file that is there and gRPC's text in lower case."""
    path = path_of(endpoint)
    absent = f"no coordinator answers at {endpoint}"
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Absence(f"{absent}: there is no such socket")
    except PermissionError:
        return Absence(
            f"{absent}: this user may not look into its directory", "see the modes of the directories on the way to it"
        )
    except OSError as error:
        return Absence(f"{absent}: {error.strerror}", "correct --endpoint or COORDINATION_ENDPOINT")
    if "connection refused" in text:
        return Absence(f"{absent}: the socket is there, but nothing listens on it any more")
    if "permission denied" in text or "operation not permitted" in text:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        return Absence(
            f"{absent}: this user may not connect; the socket is {user_name(found.st_uid)}'s and has mode {mode}",
            "ask who runs that coordinator to let you in (docs/security.md), or start one of your own",
        )
    if "too many open files" in text:
        return Absence(
            f"{absent}: this process cannot open one more connection",
            "see its limits (`ulimit -n`), and close clients that are not used any more",
        )
    if any(sign in text for sign in ("before receiving settings", "endpoint closing", "temporarily unavailable")):
        return Absence(f"{absent}: something accepts the connection, but does not answer", _SILENT)
    if any(sign in text for sign in ("socket closed", "connection reset", "endpoint closed", "broken pipe")):
        return Absence(f"{absent}: what listens there closes the connection", _SILENT)
    return Absence(absent)
