"""The error of an operation that fails half-way: it says that nothing was changed only where nothing was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Put, Range, Txn, is_absent
from coordinator.errors import CoordinatorError, OutcomeUnknown, Unavailable
from coordinator.keys import parse_work_key
from coordinator.recorder import NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.campaigns.faults.proxies import SILENT, Relay
from tests.conftest import RunningEtcd


def writes_and_reads(key: bytes, then: Callable[[], None]) -> Operation[None]:
    yield from commit(Txn((is_absent(key),), (Put(key, b"{}"),)))
    then()
    yield from commit(Txn((), (Range(key),)))


def reads_and_reads(key: bytes, then: Callable[[], None]) -> Operation[None]:
    yield from commit(Txn((is_absent(key),), (Range(key),)))
    then()
    yield from commit(Txn((), (Range(key),)))


@pytest.mark.parametrize(("operation", "error"), [(writes_and_reads, OutcomeUnknown), (reads_and_reads, Unavailable)])
@pytest.mark.parametrize("many", [False, True])
async def test_what_has_changed_something_and_cannot_go_on_has_an_unknown_outcome(
    etcd: RunningEtcd,
    fleet: str,
    operation: Callable[[bytes, Callable[[], None]], Operation[None]],
    error: type[CoordinatorError],
    many: bool,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay("etcd")
        await relay.start(stack, int(etcd.endpoint.rpartition(":")[2]))
        channel = EtcdChannel([relay.endpoint])
        stack.push_async_callback(channel.close)
        runner = Runner(channel, LeasePool(channel), NullRecorder())
        key = FleetPaths(fleet).of(parse_work_key("task:a")).record
        deadline = time.monotonic() + 2.0

        def fall_silent() -> None:
            relay.set_mode(SILENT)

        if many:
            (found,) = await runner.run_many([lambda: operation(key, fall_silent)], deadline=deadline)
        else:
            with pytest.raises(error) as raised:
                await runner.run(lambda: operation(key, fall_silent), deadline=deadline)
            found = raised.value
        assert isinstance(found, error)
        runner.close()
