"""Error replies: the status that the callers of refused calls get, and what the logs hold of these calls.

Invariants: a refusal holds nothing of a call's headers. However many calls are refused, the log gets a bounded number
of lines for each code in an interval, and how many more there were.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import grpc
import grpc.aio

from coordinator.errors import CoordinatorError, NotPermitted
from coordinator.logs.audit import Audit, subject_of
from coordinator.logs.format import log_event
from coordinator.logs.line_limit import LineLimit
from coordinator.names import DEFAULT_FLEET
from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.service.replies import error_detail

__all__ = ["Refusals", "abort"]

_LOG = logging.getLogger(__name__)
_LONGEST_LOGGED = 200
#: Lines of one code in so many seconds.
_MOST_LINES, _SECONDS = 100, 10.0


class Refusals:
    """Writes down which calls were refused; ``audit`` is given those that lacked permission."""

    def __init__(self, audit: Audit | None = None) -> None:
        self._audit = audit
        self._limit = LineLimit(_MOST_LINES, _SECONDS, _more)

    def refused(self, method: str, request: Any, error: CoordinatorError, context: Any) -> None:
        """Write down a refusal; ``request`` is None where it was not read."""
        audit = self._audit if isinstance(error, NotPermitted) else None
        logged = self._limit.lets_through(error.code)
        audited = audit is not None and audit.takes_refusal(error.code)
        if not logged and not audited:
            return
        pairs = {
            "method": method,
            "fleet": _brief(getattr(request, "fleet", "")) or DEFAULT_FLEET,
            "session": _brief(getattr(request, "session", "")),
            **subject_of(request),
            "code": error.code,
            "why": error.message,
        }
        if logged:
            log_event(_LOG, "refused", **pairs)
        if audit is not None and audited:
            audit.write("refused", peer=context.peer(), **pairs)


def _more(code: str, dropped: int) -> None:
    log_event(_LOG, "more were refused", code=code, count=dropped, seconds=_SECONDS)


def _brief(text: str) -> str:
    """Shorten what is too long to be valid, so that a request of megabytes is not one in the log too."""
    return text if len(text) <= _LONGEST_LOGGED else f"({len(text)} characters)"


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: CoordinatorError) -> NoReturn:
    """End a call with the status of an error, and with all that the error says."""
    detail = error_detail(error).SerializeToString()
    await context.abort(grpc.StatusCode[error.code], error.message, trailing_metadata=((ERROR_METADATA_KEY, detail),))
