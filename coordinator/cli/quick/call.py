"""The call of a command, and how the full command goes on with it.

Invariant: what was begun is handed over with the id of the request, the instance, the deadline and what came of it, so
that the request takes effect once, however often it is sent.
"""

from __future__ import annotations

import time

from coordinator.cli.quick.connection import Connection
from coordinator.cli.quick.endpoint import Place
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.requests import Request
from coordinator.cli.quick.trailers import Failed, Lost

__all__ = ["Call"]

_SERVICE = "/coordinator.v1.CoordinatorService/"
#: How long one of several coordinators may be silent, as in ``coordinator/client/_failover.py``: a share of the time,
#: and seconds at most. So long a connection may take, too.
_SILENCE_SHARE, _SILENCE_SECONDS = 0.25, 1.0


class Call:
    """A request to a coordinator, which is answered within ``timeout`` seconds.

    ``is_only``: there is no other one to ask. ``token`` is "" for none.
    """

    def __init__(self, request: Request, place: Place, *, timeout: float, is_only: bool, token: str) -> None:
        self._request, self._place, self._token = request, place, token
        started = time.monotonic()
        self._deadline = started + timeout
        self._patience = started + min(timeout * _SILENCE_SHARE, _SILENCE_SECONDS)
        self._is_only = is_only
        #: Whether an answer is awaited.
        self.is_under_way = False
        #: Whether the coordinator may have the request.
        self.was_sent = False

    def ask(self) -> bytes:
        """Return the answer; raises ``NotQuick``, and the full command goes on with the call."""
        try:
            connection = Connection(self._place.family, self._place.address, self._patience)
        except NotQuick:
            self.hand_over()
            raise
        connection.deadline = self._deadline if self._is_only else self._patience
        metadata = [(b"user-agent", self._place.agent.encode())]
        if self._token:
            metadata.append((b"authorization", f"Bearer {self._token}".encode()))
        path = f"{_SERVICE}{self._request.method}".encode()
        self.is_under_way = self.was_sent = True
        try:
            answer = connection.call(path, self._place.authority.encode(), metadata, self._request.message)
        except Failed as error:
            self.hand_over(failure=(error.status, error.message, error.detail))
            raise
        except Lost as error:
            from coordinator.client._begun import DEADLINE_EXCEEDED, UNAVAILABLE

            self.hand_over(failure=(UNAVAILABLE if error.in_time else DEADLINE_EXCEEDED, "", None))
            raise
        except NotQuick:
            self.hand_over()
            raise
        finally:
            # Also where a signal ends the command: an answer is awaited until there is one.
            connection.close()
        self.is_under_way = False
        return answer

    def hand_over(self, *, response: bytes | None = None, failure: tuple[int, str, bytes | None] | None = None) -> None:
        """Have the full command go on with the call; with neither, nothing was sent."""
        from coordinator.client._begun import Begun, Failing, begin

        begun = Begun(self._request.method, self._request.message, self._place.name, deadline=self._deadline)
        begun.request_id, begun.instance = self._request.request_id, self._request.instance
        begun.response = response
        begun.failure = None if failure is None else Failing(*failure)
        begin(begun)
