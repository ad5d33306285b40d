"""What a command writes to standard output and standard error; every write goes through here.

Invariants:
- The exit code does not depend on whether the output is read, because scripts use it. A closed pipe causes no message.
- No write raises. An answer that was lost, to a full disk for example, is remembered: ``lost`` says why, and the
  command that would have ended with 0 ends with ``LOST`` instead. A denial stays a denial.
- An answer that was lost is not tried again, so that there is never a second one behind a part of the first.
- What is written is UTF-8, whatever the locale.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from coordinator.quotation import visible

__all__ = [
    "LOST",
    "announce",
    "is_listened_to",
    "lose_answer",
    "lost",
    "notice",
    "prepare",
    "say_if_lost",
    "write_answer",
    "write_error",
]

#: The exit code of a command that has done what it was asked for, but whose answer could not be written (EX_IOERR).
LOST = 74


class _Outcome:
    """What became of the answer."""

    #: Whether it is still read.
    listened_to = True
    #: Why it could not be written.
    lost: str | None = None


def prepare() -> None:
    """Make sure that there is something to write to, and that what is written can be encoded."""
    # None where they were closed when Python started: then what is written has no reader.
    _Outcome.listened_to = sys.stdout is not None
    sys.stdout = sys.stdout or _opened(1)
    sys.stderr = sys.stderr or _opened(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Arguments may hold bytes that are not UTF-8.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_answer(text: str) -> None:
    """Write to standard output."""
    if _Outcome.lost is not None or not _Outcome.listened_to:
        return
    try:
        _write(sys.stdout, text)
    except OSError as error:
        lose_answer(error)


def lose_answer(error: OSError) -> None:
    """Note that an answer could not be written, and write nothing more."""
    # A terminal that hung up has no reader any more either.
    is_terminal = error.errno == errno.EIO and os.isatty(1)
    _discard(sys.stdout, 1)
    if error.errno in (errno.EPIPE, errno.ECONNRESET) or is_terminal:
        _Outcome.listened_to = False
    else:
        _Outcome.lost = error.strerror or str(error)


def say_if_lost(code: int) -> int:
    """Say that the answer was lost, if it was; returns the exit code, ``code`` if it was not."""
    why = lost()
    if why is None:
        return code
    done = "" if code else "; what was asked for has been done all the same"
    write_error(
        f"error: the answer could not be written: {visible(why)}\nhint: make room, or send it elsewhere{done}\n"
    )
    return code or LOST


def announce(text: str) -> None:
    """Write to standard output what the command does not depend on: whether it arrives counts for nothing."""
    try:
        _write(sys.stdout, text)
    except OSError:
        _discard(sys.stdout, 1)


def write_error(text: str) -> None:
    """Write to standard error; where that fails, there is nowhere left to say so."""
    try:
        _write(sys.stderr, text)
    except OSError:
        _discard(sys.stderr, 2)


def notice(text: str) -> None:
    """Say what is worth knowing."""
    write_error(f"notice: {visible(text)}\n")


def lost() -> str | None:
    """Return why the answer could not be written; None if it was, or if the reader has gone."""
    return _Outcome.lost


def is_listened_to() -> bool:
    """Return whether answers still arrive anywhere."""
    return _Outcome.listened_to and _Outcome.lost is None


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except ValueError as error:  # it is closed
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error


def _discard(stream: TextIO, descriptor: int) -> None:
    """Have what is left in the buffer, and all that follows, go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        stream.flush()


def _opened(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
