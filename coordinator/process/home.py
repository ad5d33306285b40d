"""The home directory of this user, where there is one.

Invariant: what is looked for or kept there never lands in the current directory or in the root directory because a
variable is empty.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["home_directory"]


def home_directory() -> Path | None:
    """Return the home directory: that of $HOME, else that of the user; None where there is none.

    An empty $HOME is one that is not set, and a relative one would be looked for in every checkout.
    """
    home = os.environ.get("HOME", "")
    if not home:
        try:
            import pwd

            home = pwd.getpwuid(os.getuid()).pw_dir
        except (KeyError, ImportError, OSError):
            return None
    return Path(home) if Path(home).is_absolute() else None
