"""The process of a command: its signals, and what it writes; ``interruption.py`` and ``streams.py`` have the rules.

Invariant: a signal ends the command at any time, as it ends the full one; a second one ends it at once. One that comes
while the full command is loaded, to go on with a request that was sent, waits until that can say what it says then
(``deferred_signal``). A reader that has gone, or a full disk, changes nothing of that.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed lacks it, and signal loads enum
import os

from coordinator.cli.quick.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from coordinator.cli.quick.answers import Said

__all__ = ["catching_signals", "deferred_signal", "write"]

_SIGNALS = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM)


class catching_signals:  # noqa: N801  # a context manager; those of contextlib load slowly
    """Have signals raise ``Interrupted`` while the block runs; those that are ignored stay so."""

    def __enter__(self) -> Self:
        self._before: dict[int, Any] = {}
        for number in _SIGNALS:
            handler = _signal.getsignal(number)
            if handler != _signal.SIG_IGN:
                self._before[number] = handler
                _signal.signal(number, _interrupt)
        return self

    def defer(self) -> None:
        """Have signals only be noted after the block, until others handle them; a second one ends the command."""
        self._before = dict.fromkeys(self._before, _note)

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            _signal.signal(number, handler)


def _interrupt(number: int, _frame: object) -> None:
    for other in _SIGNALS:
        if _signal.getsignal(other) is _interrupt:
            _signal.signal(other, _leave)
    raise Interrupted(number)


def deferred_signal() -> int | None:
    """Return the signal that was noted, None for none; only the first time."""
    return _noted.pop() if _noted else None


_noted: list[int] = []


def _note(number: int, _frame: object) -> None:
    if _noted:
        os._exit(128 + number)
    _noted.append(number)


def _leave(number: int, _frame: object) -> None:
    os._exit(128 + number)


def write(said: Said, *, as_json: bool, verbose: bool) -> int:
    """Write what is said of an answer; returns the exit code."""
    lost: OSError | None = None
    _complain(said.before)
    try:
        _write(1, said.answer)
    except OSError as error:
        lost = error
    _complain("" if as_json else said.after)
    if lost is None and not verbose:
        return said.code
    from coordinator.cli.quick.handover import say, say_lost

    if verbose:
        say("answered the quick way")
    return said.code if lost is None else say_lost(lost, said.code)


def _complain(text: str) -> None:
    try:
        _write(2, text)
    except OSError:
        return


def _write(descriptor: int, text: str) -> None:
    content = text.encode()
    while content:
        content = content[os.write(descriptor, content) :]
