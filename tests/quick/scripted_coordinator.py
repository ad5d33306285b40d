"""A gRPC server that answers every call as a test says, and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc

__all__ = ["Answer", "ScriptedCoordinator", "scripted_coordinator"]


class Answer(NamedTuple):
    """What a call is answered: a message, or a status with the details of an error."""

    message: bytes = b""
    status: grpc.StatusCode | None = None
    sentence: str = ""
    detail: bytes | None = None


class ScriptedCoordinator(grpc.GenericRpcHandler):
    """The handler; ``answers`` are given in turn, the last one again and again."""

    def __init__(self) -> None:
        self.endpoint = ""
        self._lock = threading.Lock()
        self._answers: Sequence[Answer] = ()
        self.requests: list[tuple[str, bytes]] = []

    def answer(self, *answers: Answer) -> None:
        """Answer so from now on, and forget what was asked."""
        with self._lock:
            self._answers, self.requests = answers, []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                self.requests.append((details.method.rpartition("/")[2], request))
                answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
            if answer.status is None:
                return answer.message
            if answer.detail is not None:
                context.set_trailing_metadata((("coordinator-error-bin", answer.detail),))
            return context.abort(answer.status, answer.sentence)

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def scripted_coordinator() -> Iterator[ScriptedCoordinator]:
    """Run one while the block runs."""
    handler = ScriptedCoordinator()
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[handler])
    handler.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield handler
    finally:
        server.stop(None).wait()
