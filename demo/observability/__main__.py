"""``python -m demo.observability [--seconds N]``: everything that there is to see of a coordinator, on one machine.

Starts etcd, two coordinators, Prometheus with the configuration of ``deploy/prometheus``, and a fleet whose convergence
comes and goes; prints where to look; runs until interrupted, which is its ordinary end, and leaves nothing behind.
Exits with 1 and a sentence on standard error if something cannot be started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from coordinator import CoordinatorError
from coordinator.demo.processes import Coordinator, DemoFailed, start_coordinator
from demo.observability.configuration import copy_config
from demo.observability.fleet import CROWDS, FleetLoad
from demo.observability.prometheus import PrometheusFailed, RunningPrometheus, run_prometheus

_FLEET = "observed"
_RATE = "coordination:convergence_rate:ratio_rate5m"
#: Seconds between scrapes, and between rounds of work; how many rounds until the crowds are as large again.
_INTERVAL = "2s"
_PAUSE_SECONDS = 1.0
_TIDE_ROUNDS = 600
#: How long a piece of work is worked at, in seconds.
_SHORTEST_SECONDS = 1.0
_LONGEST_SECONDS = 20.0
#: Of so many rounds, in one sessions also die with their claims, and in one the loose ends are seen to.
_DYING_EVERY = 20
_TIDY_EVERY = 5


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.observability", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=math.inf, help="end by itself after so long")
    seconds = parser.parse_args().seconds
    try:
        with tempfile.TemporaryDirectory(prefix="coordinator-observability-") as home:
            for each in ("one", "other"):
                Path(home, each).mkdir()
            asyncio.run(_show(Path(home), seconds))
    except (DemoFailed, PrometheusFailed, CoordinatorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _show(home: Path, seconds: float) -> None:
    reported = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, reported.set)
    async with (
        # Prometheus scrapes etcd too.
        start_coordinator(home / "one", etcd_listen="127.0.0.1:0") as one,
        start_coordinator(home / "other", etcd=one.etcd) as other,
    ):
        both = [one, other]
        metrics = [coordinator.metrics for coordinator in both]
        config = copy_config(home / "config", coordinators=metrics, etcd=[one.etcd], interval=_INTERVAL)
        with run_prometheus(config, home) as prometheus:
            _show_where(both, prometheus)
            endpoints = [coordinator.endpoint for coordinator in both]
            async with FleetLoad(endpoints, fleet=_FLEET, crowd=_crowd, hold=_hold) as load:
                work = asyncio.create_task(_work(load))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reported.wait(), None if math.isinf(seconds) else seconds)
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            if not reported.is_set():
                _show_found(load, prometheus)


async def _work(load: FleetLoad) -> None:
    """Have rounds overlap, as the work of sessions does."""
    rounds = 0
    async with asyncio.TaskGroup() as group:
        while True:
            rounds += 1
            group.create_task(_in_spite_of_trouble(load.rounds(1)))
            if rounds % _DYING_EVERY == 1:
                group.create_task(_in_spite_of_trouble(load.let_expire(2)))
            if rounds % _TIDY_EVERY == 0:
                group.create_task(_in_spite_of_trouble(load.acknowledge()))
            await asyncio.sleep(_PAUSE_SECONDS)


async def _in_spite_of_trouble(work: Awaitable[None]) -> None:
    """Go on after what a call failed of: a machine that slept, for instance, wakes up without claims."""
    try:
        await work
    except* CoordinatorError as group:
        print(f"warning: {group.exceptions[0]}", file=sys.stderr)


def _crowd(kind: str, number: int) -> int:
    """Return how many sessions want a piece of work: the crowds come and go like the tide."""
    tide = (1 - math.cos(2 * math.pi * number / _TIDE_ROUNDS)) / 2
    return 2 + round(2 * CROWDS[kind] * tide)


def _hold() -> float:
    return random.uniform(_SHORTEST_SECONDS, _LONGEST_SECONDS)  # noqa: S311  # not a secret


def _show_where(coordinators: list[Coordinator], prometheus: RunningPrometheus) -> None:
    one = coordinators[0]
    graph = {"g0.expr": _RATE, "g0.tab": "0", "g0.range_input": "15m"}
    lines = [
        ("etcd", one.etcd),
        *((f"coordinator {number}", f"{its.endpoint}, {its.metrics}") for number, its in enumerate(coordinators, 1)),
        ("board", f"{one.board}?fleet={_FLEET}"),
        ("Prometheus", prometheus.url),
        ("convergence", prometheus.page("graph", **graph)),
        ("alerts", prometheus.page("alerts")),
        ("the fleet", f"coordination --endpoint {one.endpoint} --fleet {_FLEET} status"),
    ]
    print("\n".join(f"{name:<15}{where}" for name, where in lines))
    print("Ctrl-C ends all of it.", flush=True)


def _show_found(load: FleetLoad, prometheus: RunningPrometheus) -> None:
    print(
        f"denied {load.counts.convergence_rate():.1%} of all claims, as the sessions were answered; "
        f"{prometheus.value(_RATE):.1%} in the last five minutes, as Prometheus says"
    )


if __name__ == "__main__":
    sys.exit(main())
