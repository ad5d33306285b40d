"""What becomes of a command that a signal ends.

Invariants:
- It ends with 128 and the number of the signal: 129 for SIGHUP (its terminal was closed), 130 for SIGINT (Ctrl-C), 143
  for SIGTERM. What it began is cleaned up.
- While a request that changes something is under way, its outcome is unknown, and the command says so, with what to
  type to find out. Before and after it, and where something was only read, nothing is said.
- A request that waits is withdrawn, so that nothing of it is held; where that fails, its outcome is unknown, too.
- A second signal ends it at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from coordinator.cli.quick.process import deferred_signal
from coordinator.client._begun import begun
from coordinator.client._ids import new_id
from coordinator.errors import CoordinatorError, OutcomeUnknown

__all__ = ["Ended", "RequestInterrupted", "WaitInterrupted", "catch_signals", "named_request", "under_way"]

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Ended(KeyboardInterrupt):
    """A signal ends the command. It is an interrupt so that asyncio, too, lets it pass from any task."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class RequestInterrupted(OutcomeUnknown):
    """A signal ended the command before an answer came: the outcome of the request is unknown."""

    def __init__(self, request_id: str | None, code: int) -> None:
        super().__init__(
            "a signal ended the command before an answer came: the outcome of the request is unknown",
            hint="run the same command again: it takes effect at most once",
        )
        self.code_of_command = code
        if request_id is not None:
            self.name_request(request_id)


class WaitInterrupted(CoordinatorError):
    """A signal ended the command while it waited for work, and nothing was claimed."""

    code = "CANCELLED"

    def __init__(self, code: int) -> None:
        super().__init__(
            "a signal ended the wait, and nothing was claimed", hint="run the same command again to wait once more"
        )
        self.code_of_command = code


def named_request(request_id: str | None) -> str:
    """Return the id of a request: the one that was given, that of a call which was begun, or a new one."""
    if request_id is None and (call := begun()) is not None:
        return call.request_id
    return new_id() if request_id is None else request_id


@contextlib.contextmanager
def under_way(request_id: str | None = None, withdraw: Callable[[], bool] | None = None) -> Iterator[None]:
    """Raise ``RequestInterrupted`` if a signal comes while the block waits for the answer to a request.

    ``request_id`` is that of the request; None for one that may simply be made again. ``withdraw`` withdraws it, and
    returns whether nothing of it is left: ``WaitInterrupted`` is raised then.
    """
    try:
        number = deferred_signal()
        if number is not None:
            raise Ended(number)
        yield
    except Ended as ended:
        if withdraw is not None and withdraw():
            raise WaitInterrupted(ended.code) from None
        raise RequestInterrupted(request_id, ended.code) from None


def _end(number: int, _frame: object) -> None:
    for other in _SIGNALS:
        if signal.getsignal(other) is _end:
            signal.signal(other, _leave)
    raise Ended(number)


def catch_signals(handler: Callable[[int, object], None] = _end) -> None:
    """Have signals call a handler, which raises ``Ended``, from now on; those that are ignored stay so."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _leave(number: int, _frame: object) -> None:
    os._exit(128 + number)
