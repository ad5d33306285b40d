"""How requests come in: bytes that are no message are answered like any other bad input.

gRPC itself would answer them with UNKNOWN, and write a trace into the log for every one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from coordinator.errors import InvalidInput

__all__ = ["Malformed", "add_to_server", "refuse_malformed"]


class Malformed:
    """Stands for a request whose bytes are no message of its type."""

    def __init__(self, message: str) -> None:
        self.message = message


def add_to_server(servicer: object, service: ServiceDescriptor, server: grpc.aio.Server) -> None:
    """Serve the methods of a service, as the generated ``add_…Servicer_to_server`` does."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name)) for method in service.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def refuse_malformed(request: object) -> None:
    """Raise ``InvalidInput`` for a request that could not be read."""
    if isinstance(request, Malformed):
        raise InvalidInput(
            f"the request is not a valid {request.message}: its bytes are not in protobuf's wire format, "
            "or one of its strings is not in UTF-8",
            hint="use a client generated from the coordinator's .proto files",
        )


def _handler(method: MethodDescriptor, behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
    return make(
        behaviour,
        request_deserializer=_reader(method),
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _reader(method: MethodDescriptor) -> Callable[[bytes], Any]:
    message = GetMessageClass(method.input_type)
    malformed = Malformed(method.input_type.name)

    def read(data: bytes) -> Any:
        try:
            return message.FromString(data)
        except DecodeError:
            return malformed

    return read
