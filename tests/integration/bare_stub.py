"""The service as callers in other languages see it: through the bare stub."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

KEY = "task:db-migration"
CLAIM = {"session": "s", "work_key": KEY}


class Failed(NamedTuple):
    """How a call failed: its status, and the detail from the trailing metadata."""

    code: grpc.StatusCode
    message: str
    detail: types.ErrorDetail


class Stub:
    """The bare stub, in the fleet of the test."""

    def __init__(self, channel: grpc.aio.Channel, fleet: str) -> None:
        self.channel = channel
        self.fleet = fleet
        self._stub = CoordinatorServiceStub(channel)

    async def __call__(self, method: str, **fields: Any) -> Any:
        fields = {"fleet": self.fleet} | fields
        return await getattr(self._stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=60)

    async def fails(self, method: str, **fields: Any) -> Failed:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self(method, **fields)
        return failure_of(caught.value)


def failure_of(error: grpc.aio.AioRpcError) -> Failed:
    (detail,) = (value for key, value in error.trailing_metadata() or () if key == ERROR_METADATA_KEY)
    assert isinstance(detail, bytes)
    return Failed(error.code(), error.details() or "", types.ErrorDetail.FromString(detail))


def seconds(value: float) -> Duration:
    whole = int(value // 1)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))
