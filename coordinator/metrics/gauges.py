"""Gauges, and what others count, that are read when Prometheus asks.

Invariants:
- Values of the whole cluster are reported by the elected replica only. The others have no sample of them, so that
  nothing is counted twice when samples are added up, and none reports 0 for what it does not know.
- A gauge that cannot be read is left out; the others are still reported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from coordinator.process.tasks import Tasks
from coordinator.recorder import CensusCounts

__all__ = ["CensusGauges", "Reading", "ReplicaGauges", "TaskGauges"]

_LOG = logging.getLogger(__name__)


_NOTHING = CensusCounts({}, {}, {}, {})


class CensusGauges(Collector):
    """What the elected replica has counted in the store. ``bounded`` turns a kind into the label that it goes by."""

    def __init__(self, bounded: Callable[[str], str], other: str) -> None:
        self._bounded = bounded
        #: Always reported, so that a store without claims differs from a replica that is not elected.
        self._other = other
        #: Replaced as a whole: another thread reads it.
        self._census: CensusCounts | None = None

    def show(self, counts: CensusCounts | None) -> None:
        """Show these counts by kind from now on, none for None. A kind of which none is left is shown with 0."""
        if counts is None:
            self._census = None
            return
        before = self._census or _NOTHING
        self._census = CensusCounts(*map(self._summed, before, counts))

    def _summed(self, before: Mapping[str, int], counts: Mapping[str, int]) -> Mapping[str, int]:
        shown = dict.fromkeys((*before, self._other), 0)
        for kind, count in counts.items():
            label = self._bounded(kind)
            shown[label] = shown.get(label, 0) + count
        return shown

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the gauges of the census."""
        census = self._census or _NOTHING
        yield _by_kind("live_claims", "Claims that are live, in all fleets", census.live_claims)
        what = "Abandoned work, in all fleets, that has not been claimed again or acknowledged"
        yield _by_kind("loose_ends", what, census.loose_ends)
        what = "Work in the pools of all fleets that no session holds, whether or not it must wait"
        yield _by_kind("available", what, census.available)
        yield _by_kind("failed", "Work of the pools of all fleets that has failed too often", census.failed)


def _by_kind(name: str, what: str, counts: Mapping[str, int]) -> GaugeMetricFamily:
    source = "reported by the elected reaper only, which counts every 5 s, or less often if counting takes long."
    family = GaugeMetricFamily(f"coordination_{name}", f"{what}; {source}", labels=["kind"])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family


class TaskGauges(Collector):
    """How what this replica does in the background does, by task."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the state of each task."""
        failing = GaugeMetricFamily(
            "coordination_background_task_failing",
            "Whether a background task of the replica fails repeatedly or has stopped reporting: 1 or 0.",
            labels=["task"],
        )
        for status in self._tasks.statuses():
            failing.add_metric([status.name], status.failing)
        yield failing
        failures = CounterMetricFamily(
            "coordination_background_task_failures_total",
            "How often the background tasks of the replica have failed, by task; each is retried.",
            labels=["task"],
        )
        for name, count in self._tasks.failed_in_all().items():
            failures.add_metric([name], count)
        yield failures


class Reading(NamedTuple):
    """A gauge of this replica: ``read`` returns its value, None where it is not known; ``counts`` for a counter."""

    name: str
    help: str
    read: Callable[[], float | None]
    counts: bool = False


class ReplicaGauges(Collector):
    """What this replica has, read from where it is; ``readings`` are called from the thread of the reader."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = readings

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Read and yield the gauges."""
        for reading in self._readings:
            family_of = CounterMetricFamily if reading.counts else GaugeMetricFamily
            family = family_of(f"coordination_{reading.name}", reading.help)
            try:
                value = reading.read()
            except Exception as error:  # noqa: BLE001  # the other metrics are still reported
                _LOG.error("a metric could not be read", exc_info=error)
                value = None
            if value is not None:
                family.add_metric([], value)
            yield family
