"""``python -m benchmarks.hello SESSION KEY``: the least that a command with typer and gRPC does to claim work."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import grpc
import typer

from coordinator.v1.service_pb2 import ClaimRequest
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub


def claim(session: Annotated[str, typer.Argument()], key: Annotated[str, typer.Argument()]) -> None:
    """Claim work."""
    with grpc.insecure_channel(os.environ["COORDINATION_ENDPOINT"]) as channel:
        request = ClaimRequest(fleet="default", session=session, work_key=key)
        sys.stdout.write(f"{CoordinatorServiceStub(channel).Claim(request).work_key}\n")


if __name__ == "__main__":
    typer.run(claim)
