"""A coordinator's clock is compared with its caller's, and with those of the other coordinators (30)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from coordinator import clock
from coordinator.client._diagnosis import diagnosis_from
from coordinator.diagnosis.clocks import judge_clock
from coordinator.diagnosis.findings import Severity
from coordinator.engine.election import Beat, show_sign
from coordinator.metrics import PrometheusRecorder
from coordinator.service import diagnosis as module
from coordinator.service.diagnosis import DiagnosisReader
from coordinator.store.diagnosis.probe import Examination
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunEtcd

AN_HOUR = timedelta(hours=1)


def runner(channel: EtcdChannel) -> Runner:
    return Runner(channel, LeasePool(channel), PrometheusRecorder(CollectorRegistry()))


def reader(channel: EtcdChannel, ahead: timedelta = timedelta()) -> DiagnosisReader:
    def off() -> datetime:
        return clock.now() + ahead

    return DiagnosisReader(Examination(channel), runner(channel), version="1", endpoint="c:1", clock=off)


@pytest.mark.parametrize(
    ("ahead", "severity"), [(timedelta(), Severity.OK), (AN_HOUR, Severity.WARNING), (-AN_HOUR, Severity.WARNING)]
)
async def test_a_clock_that_is_off_is_found(ahead: timedelta, severity: Severity, etcd_channel: EtcdChannel) -> None:
    sent = datetime.now(UTC)
    answer = await reader(etcd_channel, ahead).read(deadline=time.monotonic() + 30)
    got = datetime.now(UTC)

    diagnosis = diagnosis_from(pb.DiagnoseResponse.FromString(answer.SerializeToString()))
    found, reported = judge_clock("c:1", diagnosis, sent=sent, got=got)

    assert (found.severity, found.subject) == (severity, "c:1")
    # The examination itself takes time, which is no difference of clocks.
    assert reported == pytest.approx(ahead.total_seconds(), abs=1.0)


async def test_a_replica_whose_clock_is_off_is_found(run_etcd: RunEtcd, tmp_path: Path) -> None:
    deadline = time.monotonic() + 60
    with run_etcd(tmp_path) as etcd:
        channel = EtcdChannel([etcd.endpoint])
        lease = await LeasePool(channel).lease(60, deadline=deadline)
        assert lease is not None
        sign = Beat(clock=clock.now() + AN_HOUR, name="host-2/127.0.0.1:7420")
        await runner(channel).run(partial(show_sign, "0123456789abcdef", sign, lease.id, 0), deadline=deadline)
        answer = await reader(channel).read(deadline=deadline)
        await channel.close()

    (found,) = [finding for finding in diagnosis_from(answer).findings if finding.check == "clock"]
    assert (found.severity, found.subject) == (Severity.PROBLEM, "host-2/127.0.0.1:7420")
    assert "ahead of" in found.message


@pytest.mark.long_but_for("False-behind0", "True-behind2")
@pytest.mark.parametrize("behind", [timedelta(seconds=25.7), AN_HOUR, timedelta(days=2)])
@pytest.mark.parametrize("alive", [False, True])
async def test_a_clock_that_is_behind_is_believed_once_its_sign_has_changed(
    run_etcd: RunEtcd, tmp_path: Path, behind: timedelta, alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore: what a backup brought back was a sign of life when it was made."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "_BETWEEN_SIGNS_SECONDS", 60.0 if alive else 0.5)
    deadline = time.monotonic() + 60
    with run_etcd(tmp_path) as etcd:
        channel = EtcdChannel([etcd.endpoint])

        async def show() -> None:
            sign = Beat(clock=clock.now() - behind, name="host-2/127.0.0.1:7420")
            await runner(channel).run(partial(show_sign, "0123456789abcdef", sign, 0, 0), deadline=deadline)

        await show()
        reading = asyncio.create_task(reader(channel).read(deadline=deadline))
        while alive and not reading.done():
            await asyncio.sleep(0.2)
            await show()
        answer = await reading
        await channel.close()
    found = [finding for finding in diagnosis_from(answer).findings if finding.check == "clock"]
    assert [finding.subject for finding in found] == (["host-2/127.0.0.1:7420"] if alive else [])
