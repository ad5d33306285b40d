"""A gRPC server that answers Claim with a fixed grant: what gRPC alone costs, with messages of the same size.

Run as ``python -m benchmarks.echo_server``; prints its port.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc.aio
import uvloop
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceServicer, add_CoordinatorServiceServicer_to_server


class Echo(CoordinatorServiceServicer):
    """Answers with the work key that it was asked for."""

    async def Claim(self, request: pb.ClaimRequest, context: Any) -> pb.ClaimResponse:  # noqa: ARG002, N802  # its name in the API
        """Answer at once."""
        claim = types.Claim(
            work_key=request.work_key,
            kind="task",
            session=request.session,
            attempt=1,
            fencing_token=123456,
            ttl=Duration(seconds=3600),
            claimed_at=Timestamp(seconds=1_800_000_000, nanos=1000),
            expires_at=Timestamp(seconds=1_800_003_600, nanos=1000),
            remaining=Duration(seconds=3600, nanos=1000),
        )
        return pb.ClaimResponse(
            outcome=types.OUTCOME_GRANTED, work_key=request.work_key, typed_key=request.work_key, claim=claim
        )


async def main() -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_CoordinatorServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
