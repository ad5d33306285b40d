"""The views of the pools of the fleets in which work was taken from the pool lately."""

from __future__ import annotations

from functools import partial

from coordinator.service.fleet_views import FleetViews
from coordinator.service.next.pool_view import PoolView
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.operation_driver import Runner

__all__ = ["Pools"]

#: Fleets whose pools are in memory at a time, and after how many seconds without a call one is forgotten.
_FLEETS, _IDLE_SECONDS = 16, 900.0


class Pools(FleetViews[PoolView]):
    """Makes and ends views of pools."""

    def __init__(self, channel: EtcdChannel, runner: Runner) -> None:
        make = partial(PoolView, channel, runner)
        super().__init__(make, "a fleet's pool", most=_FLEETS, idle_seconds=_IDLE_SECONDS)
