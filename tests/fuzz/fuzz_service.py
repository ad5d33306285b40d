"""A coordinator on an etcd of its own, in this process, called with raw bytes; and what must hold after every call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from coordinator.engine.transaction import Delete, KeyValue, Put, Range, Txn
from coordinator.net.channels import ERROR_METADATA_KEY
from coordinator.server import SERVICE, Server
from coordinator.server_settings import ServerSettings
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.methods import Methods
from coordinator.v1 import types_pb2 as types

T = TypeVar("T")

#: For how many minutes each test goes on with inputs that are different every time; 0 means few, always the same.
MINUTES = float(os.environ.get("COORDINATION_FUZZ_MINUTES", "0"))
#: How many inputs are made before the next seed is taken.
_BATCH = 200
_SECONDS = 30.0
_STREAM_SECONDS = 0.1
#: What a caller may be answered: an error of its own, or to retry.
TYPED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}
#: How much larger this process may grow, in bytes, hypothesis included.
_MOST_GROWTH = 200 * 1024 * 1024

Snapshot = dict[bytes, tuple[bytes, int]]


class Answer(NamedTuple):
    """What became of a call; ``reply`` is None where it failed."""

    code: grpc.StatusCode
    message: str
    reply: Any


class FuzzedService:
    """The coordinator, and etcd beside it."""

    def __init__(self, endpoint: str) -> None:
        self.tally: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._handler = TroubleHandler(self.troubles)
        logging.getLogger().addHandler(self._handler)
        self.mark_size()
        self.run(self._start(endpoint))

    async def _start(self, endpoint: str) -> None:
        self._server = Server(
            ServerSettings(
                etcd=(endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", grace_seconds=1.0, reaper=None
            )
        )
        await self._server.start()
        self._etcd = EtcdChannel([endpoint])
        self._channel = grpc.aio.insecure_channel(self._server.endpoint)

    def close(self) -> None:
        """Stop it all."""
        self.run(self._stop())
        self._loop.close()
        logging.getLogger().removeHandler(self._handler)

    async def _stop(self) -> None:
        await self._channel.close()
        await self._server.stop()
        await self._etcd.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the loop that the coordinator runs on."""
        return self._loop.run_until_complete(coroutine)

    def call(self, method: str, request: Message | bytes, *, must_end: bool = False) -> Answer:
        """Call a method; fails unless the answer is one that a caller may get.

        A stream is not waited for any longer once it may have no events, unless it ``must_end``.
        """
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer = self.run(self._call(method, data, _SECONDS if must_end else _STREAM_SECONDS))
        self.tally[f"{method}: {answer.code.name}"] += 1
        self.tally["calls"] += 1
        assert answer.code in TYPED, f"{method} was answered {answer}, the log says {self.troubles}"
        assert not self.troubles, self.troubles
        return answer

    async def _call(self, method: str, data: bytes, stream_seconds: float) -> Answer:
        described = SERVICE.methods_by_name[method]
        path = f"/{SERVICE.full_name}/{method}"
        read = GetMessageClass(described.output_type).FromString
        unary: Any = self._channel.unary_unary(path, response_deserializer=read)
        stream: Any = self._channel.unary_stream(path, response_deserializer=read)
        try:
            if described.server_streaming:
                call = stream(data, timeout=_SECONDS)
                reply = None
                with contextlib.suppress(TimeoutError):
                    # A stream without events is one that was let in.
                    reply = await asyncio.wait_for(call.read(), stream_seconds)
                call.cancel()
            else:
                reply = await unary(data, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            _check_detail(error)
            return Answer(error.code(), error.details() or "", None)
        return Answer(grpc.StatusCode.OK, "", reply)

    def read_all(self) -> dict[bytes, KeyValue]:
        """Read everything in etcd."""
        reply = decode_txn(self._commit(Txn((), (Range(b"\0", b"\0"),))))
        return {kv.key: kv for kv in reply.range(0).kvs}

    def write(self, *operations: Put | Delete) -> None:
        """Write past the coordinator, as an operator may."""
        for operation in operations:
            self._commit(Txn((), (operation,)))

    def _commit(self, txn: Txn) -> Any:
        deadline = time.monotonic() + _SECONDS
        return self.run(self._etcd.call(Methods.TXN, encode_txn(txn), deadline=deadline))

    def mark_size(self) -> None:
        """Count from here on how this process grows."""
        self._size = resident_bytes()

    def check_size(self) -> None:
        """Fail if this process has grown without bounds."""
        grown = resident_bytes() - self._size
        assert grown < _MOST_GROWTH, f"grown by {grown // 1024**2} MiB"


def contents(kvs: dict[bytes, KeyValue], but: Callable[[bytes], bool]) -> Snapshot:
    """What lies under the keys, but for some and for the reaper's own, and when it was last written."""
    return {
        key: (kv.value, kv.mod_revision)
        for key, kv in kvs.items()
        if not but(key) and not key.startswith(b"/coordination-meta/")
    }


def fuzz(check: Callable[[Any], None], inputs: st.SearchStrategy[Any], *, examples: int, tally: Counter[str]) -> None:
    """Check inputs: the same ``examples`` every time, or other ones for as many minutes as was asked."""

    until = time.monotonic() + 60 * MINUTES

    def counted(value: Any) -> None:
        if MINUTES and time.monotonic() > until:
            return
        tally["inputs"] += 1
        check(value)

    common = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
    if not MINUTES:
        settings(common, max_examples=examples, derandomize=True)(given(inputs)(counted))()
        return
    while time.monotonic() < until:
        chosen = random.SystemRandom().getrandbits(32)
        seed(chosen)(settings(common, max_examples=_BATCH)(given(inputs)(counted)))()


def resident_bytes() -> int:
    """How much memory this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _check_detail(error: grpc.aio.AioRpcError) -> None:
    """Whatever the coordinator itself refuses comes with a detail that says the same."""
    found: list[Any] = [value for key, value in error.trailing_metadata() or () if key == ERROR_METADATA_KEY]
    if not found:
        # gRPC itself refuses what is larger than it takes.
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
        return
    detail = types.ErrorDetail.FromString(found[0])
    assert (detail.code, detail.message) == (error.code().name, error.details())


class TroubleHandler(logging.Handler):
    """Notes what is logged as an error: nothing that is sent or stored may cause one."""

    def __init__(self, troubles: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._troubles = troubles
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        # gRPC wakes all event loops of a process that have used it, those that earlier tests have closed among them.
        if "PollerCompletionQueue" not in record.getMessage():
            self._troubles.append(self.format(record))
