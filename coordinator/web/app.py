"""What is answered at which path over HTTP.

Invariants:
- Where a request comes from is looked at before anything else (``origin``); nothing of its body is read for that.
- Every answer that is an error is one of our sentences, or a line of text; what went wrong inside is in the log.
- What needs no credential shows nothing of a fleet.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import cache
from importlib import resources
from typing import Any

from coordinator.errors import CoordinatorError, InternalError
from coordinator.logs.format import said
from coordinator.service.access import Authorizer
from coordinator.service.error_replies import Refusals
from coordinator.service.replies import error_detail
from coordinator.v1 import types_pb2 as types
from coordinator.web.board_pages import BOARD_PATHS, answer_board
from coordinator.web.call_context import CallContext, CallEnded
from coordinator.web.calls import Calls
from coordinator.web.connect import JSON, error_answer
from coordinator.web.events import Events
from coordinator.web.exchange import Exchange, Gone
from coordinator.web.mcp.endpoint import McpEndpoint
from coordinator.web.metrics_page import MetricsPage
from coordinator.web.origin import check_host, check_site

__all__ = ["App"]

_LOG = logging.getLogger(__name__)
_HERE = (
    "The board is at /, calls are at /coordinator.v1.CoordinatorService/METHOD, events at /events, agents' tools "
    "(MCP) at /mcp, their description at /openapi.json, metrics at /metrics, health at /healthz and /readyz."
)
_METRICS_HERE = "The metrics are at /metrics, health at /healthz and /readyz."
_Answer = Callable[[Exchange], Awaitable[None]]


class App:
    """An application for ASGI. Without ``calls`` and ``events`` it serves metrics and health only, to every caller.

    ``names`` are the hosts by which it is known; None where that need not be checked. ``metrics_for`` is whose
    credentials the metrics need, None where they need none. ``ready`` returns whether calls are answered.
    """

    def __init__(
        self,
        metrics: MetricsPage,
        ready: Callable[[], bool],
        refusals: Refusals,
        calls: Calls | None = None,
        events: Events | None = None,
        mcp: McpEndpoint | None = None,
        *,
        names: Collection[str] | None = None,
        metrics_for: Authorizer | None = None,
    ) -> None:
        self._metrics = metrics
        self._ready = ready
        self._refusals = refusals
        self._calls = calls
        self._mcp = mcp
        self._names = names
        self._metrics_for = metrics_for
        self._pages: dict[str, _Answer] = {
            "/metrics": self._answer_metrics,
            "/healthz": self._answer_health,
            "/readyz": self._answer_ready,
            "/": self._answer_root,
        }
        if calls is not None:
            self._pages["/openapi.json"] = _answer_openapi
            self._pages |= dict.fromkeys(BOARD_PATHS, answer_board)
        if events is not None:
            self._pages["/events"] = events.answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except Gone:
            exchange.protocol.leave()
        except CallEnded as ended:
            await _refuse(exchange, ended.detail)
        except CoordinatorError as error:
            self._refusals.refused(exchange.path.rpartition("/")[2], None, error, exchange)
            await _refuse(exchange, error_detail(error))
        except Exception:  # noqa: BLE001  # the last resort: whatever it is, it is logged and answered
            _LOG.exception("a request over HTTP failed because of an internal error", extra=said(path=exchange.path))
            await _refuse(exchange, error_detail(InternalError("it failed inside the coordinator; its log says why")))

    async def _answer(self, exchange: Exchange) -> None:
        if self._calls is not None and exchange.path not in {"/healthz", "/readyz"}:
            if self._names is not None:
                check_host(exchange.headers.get("host"), self._names)
            check_site(exchange.headers, exchange.scheme)
            if exchange.path in self._calls:
                await self._calls.answer(exchange)
                return
            if self._mcp is not None and exchange.path == "/mcp":
                await self._mcp.answer(exchange)
                return
        page = self._pages.get(exchange.path)
        if page is None:
            await self._answer_nothing(exchange)
        elif exchange.method not in {"GET", "HEAD"}:
            await exchange.answer_text(405, "it is read with GET", (b"allow", b"GET, HEAD"))
        else:
            await page(exchange)

    async def _answer_nothing(self, exchange: Exchange) -> None:
        if exchange.path.startswith("/coordinator.") and exchange.method == "POST":
            # What Connect's clients take for a call that is not known.
            message = "this coordinator serves no such call over HTTP"
            await exchange.answer_json(404, {"code": "unimplemented", "message": message})
            return
        await exchange.answer_text(404, f"Nothing is here. {self._here}")

    async def _answer_metrics(self, exchange: Exchange) -> None:
        if self._metrics_for is not None:
            self._metrics_for.identify(CallContext(exchange))
        await self._metrics.answer(exchange)

    async def _answer_health(self, exchange: Exchange) -> None:
        await exchange.answer_text(200, "ok")

    async def _answer_ready(self, exchange: Exchange) -> None:
        if self._ready():
            await exchange.answer_text(200, "ok")
        else:
            await exchange.answer_text(503, "this coordinator is stopping")

    async def _answer_root(self, exchange: Exchange) -> None:
        await exchange.answer_text(200, self._here)

    @property
    def _here(self) -> str:
        return _METRICS_HERE if self._calls is None else _HERE


async def _answer_openapi(exchange: Exchange) -> None:
    await exchange.answer(200, JSON, _openapi())


@cache
def _openapi() -> bytes:
    return resources.files("coordinator.web").joinpath("openapi.json").read_bytes()


async def _refuse(exchange: Exchange, detail: types.ErrorDetail) -> None:
    if exchange.answered:
        exchange.protocol.abort()
        return
    status, body, headers = error_answer(detail)
    await exchange.answer_json(status, body, *headers)
