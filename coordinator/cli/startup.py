"""Prepares the process of a command before anything else runs: its standard descriptors, its locale, its output.

Invariants:
- Descriptors 0, 1 and 2 are open, so that no connection or file ever gets one of these numbers and is written to as
  standard output. Those that were closed are open in this process only.
- Arguments, environment and names of files are UTF-8, whatever the locale. Python decodes them as the locale says
  before the first line of ours runs; where that is not UTF-8, it is started again in UTF-8 mode, with the same process
  id. Bytes that are not UTF-8 stay recognisable (``surrogateescape``), and are refused where they are used.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

from coordinator.cli import streams
from coordinator.run.descriptors import occupy_closed

__all__ = ["prepare"]


def prepare() -> None:
    """Make this process such that the rest can rely on it."""
    occupy_closed()
    _require_utf8()
    streams.prepare()


def _require_utf8() -> None:
    if sys.flags.utf8_mode or codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        return
    program, *rest = sys.orig_argv
    with contextlib.suppress(OSError):  # then at least all that is ASCII works
        # The mode is an option, not PYTHONUTF8, which what we start would inherit.
        os.execv(sys.executable or program, [program, "-X", "utf8", *rest])  # noqa: S606  # this very program
