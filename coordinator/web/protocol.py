"""HTTP/1.1 on one connection: uvicorn's protocol, with limits on what a caller may leave undone.

Invariants, whichever caller it is:
- The head of a request is small, and comes within a few seconds of its first byte, or of the connection.
- A caller that does not read what it is sent loses its connection, and what waits for it is bounded until then.
- Nothing that a caller does fills the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from coordinator.server_limits import HTTP_HEAD_SECONDS, HTTP_IDLE_SECONDS, HTTP_READER_SECONDS, MAX_HEADER_BYTES

__all__ = ["HttpProtocol", "Owner", "make_config"]

#: uvicorn writes a line for each request that is no HTTP.
_SILENT = logging.getLogger("coordinator.web.uvicorn")
_SILENT.disabled = True
_SILENT.setLevel(logging.CRITICAL)
_NOT_HTTP = f"the request is not HTTP/1.1, or its head is longer than {MAX_HEADER_BYTES // 1024} KiB"
#: How long the last words to a caller that does not read may take to reach it, in seconds.
_LAST_SECONDS = 2.0


class Owner(Protocol):
    """What wants to know about a connection."""

    def at_rest(self) -> None:
        """Note that no request is under way any more."""

    def gone(self) -> None:
        """Note that the connection has ended."""


def make_config(app: Any) -> Config:
    """Return how uvicorn is to serve an application on connections that others accept."""
    config = Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        # Nothing that a caller writes says who it is.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(HTTP_IDLE_SECONDS),
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    return config


class HttpProtocol(H11Protocol):
    """One connection. ``state`` is handed to the application with each request."""

    def __init__(self, config: Config, server_state: ServerState, owner: Owner, state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state=state | {"protocol": self})
        self.logger = self.access_logger = _SILENT
        self.access_log = False
        self._owner = owner
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        #: Whether the application itself sees to it that its answer is read.
        self.streaming = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._head = _cancel(self._head)
        self._reading = _cancel(self._reading)
        self._owner.gone()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self.streaming = False
        super().on_response_complete()
        if not self.busy:
            self._owner.at_rest()
        self._watch_head()

    def pause_writing(self) -> None:
        """Give the caller some time to read what waits for it."""
        super().pause_writing()
        if self._reading is None and not self.streaming:
            self._reading = self.loop.call_later(HTTP_READER_SECONDS, self.abort)

    def resume_writing(self) -> None:
        """Note that the caller reads."""
        super().resume_writing()
        self._reading = _cancel(self._reading)

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def leave(self) -> None:
        """End the connection, unless it is ending already, with what is still to be sent."""
        if not self.transport.is_closing():
            self.abort()

    def say_last(self, data: bytes) -> None:
        """End an answer that its caller does not read with some last words, for when it does."""
        if self.transport.is_closing():
            return
        with contextlib.suppress(h11.LocalProtocolError):
            self.transport.write(self.conn.send(h11.Data(data=data)) or b"")
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        self.transport.close()
        self.loop.call_later(_LAST_SECONDS, self.abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # ours says what is allowed
        """Refuse what cannot be read; where an answer is under way, only the connection can be ended."""
        try:
            super().send_400_response(_NOT_HTTP + "\n")
        except h11.LocalProtocolError:
            self.abort()

    def _should_upgrade(self) -> bool:
        return False

    def _watch_head(self) -> None:
        """See that the head of a request does not take too long; uvicorn counts the time between two requests."""
        if not self.busy and self.conn.trailing_data[0]:
            self._unset_keepalive_if_required()  # the next one has begun
        if self.busy or self.timeout_keep_alive_task is not None or self.transport.is_closing():
            self._head = _cancel(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(HTTP_HEAD_SECONDS, self.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer if there is one; returns that there is none."""
    if timer is not None:
        timer.cancel()
    return None
