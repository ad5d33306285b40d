"""Files of another user, for tests that root runs as well as for those that any user runs.

Root gives them away. Who may not do that sees them as another's: in this process and in those that it starts, what
looks at a file gets the answer that it belongs to another user.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["OTHER", "Giving", "take_over"]

OTHER = 12345
#: Names what is to be seen as another's, for processes that are started: numbers of device and inode.
_VARIABLE = "TESTED_FILES_OF_OTHERS"
_SITE = "import sys; sys.path.insert(0, {tests!r}); import other_users; other_users.take_over()\n"


class Giving:
    """Gives files, directories and links to another user."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
        self._monkeypatch = monkeypatch
        self._site = site

    def __call__(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, OTHER, -1, follow_symlinks=False)
            return
        found = path.lstat()
        known = os.environ.get(_VARIABLE, "")
        self._monkeypatch.setenv(_VARIABLE, f"{known} {found.st_dev}:{found.st_ino}")
        if known:
            return
        for name in ("stat", "lstat", "fstat"):
            self._monkeypatch.setattr(os, name, _seen(getattr(os, name)))
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE.format(tests=str(Path(__file__).parent)))
        self._monkeypatch.setenv("PYTHONPATH", str(self._site))


def take_over() -> None:
    """See files as the process that started this one does."""
    for name in ("stat", "lstat", "fstat"):
        setattr(os, name, _seen(getattr(os, name)))


def _seen(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    @functools.wraps(look)
    def looked(*arguments: Any, **options: Any) -> os.stat_result:
        found = look(*arguments, **options)
        if f"{found.st_dev}:{found.st_ino}" not in os.environ.get(_VARIABLE, "").split():
            return found
        return os.stat_result([*found[:4], OTHER, *found[5:]])

    return looked
