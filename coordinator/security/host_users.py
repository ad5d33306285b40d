"""Whether this host has other users, who must not get a token."""

from __future__ import annotations

import os

__all__ = ["has_other_users"]

#: People's accounts (UID_MIN and UID_MAX in /etc/login.defs, as distributions set them).
_PEOPLE = range(1000, 60_001)
_NO_SHELLS = ("nologin", "false", "sync")


def has_other_users() -> bool:
    """Return whether another person can log in here, as far as this host lists its users."""
    import pwd

    return any(
        user.pw_uid in _PEOPLE and user.pw_uid != os.geteuid() and not user.pw_shell.endswith(_NO_SHELLS)
        for user in pwd.getpwall()
    )
