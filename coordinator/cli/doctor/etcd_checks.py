"""Examines an etcd from here, before any coordinator runs. The one part of `doctor` that imports the server's side."""

from __future__ import annotations

import asyncio
import time

from coordinator.cli.server.etcd_options import EtcdOptions
from coordinator.diagnosis.findings import Finding
from coordinator.store.diagnosis.probe import Examination
from coordinator.store.etcd.access import EtcdAccess, parse_members
from coordinator.store.etcd.client import EtcdChannel

__all__ = ["examine"]


def examine(etcd: str, how: EtcdOptions, *, seconds: float) -> tuple[Finding, ...]:
    """Examine the etcd whose members are ``HOST:PORT,…`` and judge it; takes about ``seconds`` at most."""
    access = EtcdAccess(*how)
    endpoints = parse_members(etcd)
    access.check_clear(endpoints)

    async def run() -> tuple[Finding, ...]:
        channel = EtcdChannel(endpoints, access)
        try:
            return await Examination(channel, access=access).findings(deadline=time.monotonic() + seconds)
        finally:
            await channel.close()

    return asyncio.run(run())
