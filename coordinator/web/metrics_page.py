"""The page that Prometheus reads.

Invariant: few are written at a time, in threads, so that no reader delays a claim; a reader that is one too many is
asked to come again.
"""

from __future__ import annotations

import asyncio
import gzip

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from coordinator.server_limits import MAX_METRICS_READERS
from coordinator.web.exchange import Exchange, Unread

__all__ = ["MetricsPage"]


class MetricsPage:
    """Answers with what is in ``registry``."""

    def __init__(self, registry: CollectorRegistry, unread: Unread) -> None:
        self._registry = registry
        self._unread = unread
        self._readers = 0

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request for the metrics."""
        if self._readers >= MAX_METRICS_READERS:
            await exchange.answer_text(503, "too many readers at a time; try again", (b"retry-after", b"1"))
            return
        self._readers += 1
        try:
            compressed = "gzip" in exchange.headers.get("accept-encoding", "")
            content_type, body = await asyncio.to_thread(self._write, exchange.headers.get("accept", ""), compressed)
            more = ((b"content-encoding", b"gzip"),) if compressed else ()
            await exchange.answer(200, content_type, body, *more, unread=self._unread)
        finally:
            self._readers -= 1

    def _write(self, accept: str, compressed: bool) -> tuple[str, bytes]:  # positional in to_thread
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(self._registry)
        return content_type, gzip.compress(body, compresslevel=1) if compressed else body
