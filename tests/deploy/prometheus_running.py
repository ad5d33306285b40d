"""A real Prometheus with the configuration of ``deploy/prometheus``, quick enough for tests.

    urls = [one.metrics_url, other.metrics_url]
    with deployed_prometheus(tmp_path, coordinators=urls, etcd=[etcd.endpoint]) as prometheus:
        prometheus.query("sum(coordination_claims_total)")  # [Sample(labels, value)]
        prometheus.wait_for("coordination:convergence_rate:ratio_rate5m")

It scrapes and evaluates every second, and all windows of the rules are ``WINDOW`` long; ``with_window`` does the same
to an expression from elsewhere, a dashboard for instance. Where Prometheus cannot be had, what uses it fails and says
why. ``RunningPrometheus`` says what may be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.observability.configuration import DEPLOYED, copy_config, with_window
from demo.observability.prometheus import (
    PrometheusFailed,
    RunningPrometheus,
    Sample,
    Series,
    find_prometheus,
    run_prometheus,
)

__all__ = [
    "DEPLOYED",
    "WINDOW",
    "PrometheusFailed",
    "RunningPrometheus",
    "Sample",
    "Series",
    "deployed_prometheus",
    "find_promtool",
    "run_prometheus",
    "with_window",
]

#: Longer than the load of a test takes on a busy machine: nothing falls out of it.
WINDOW = "2m"


@contextmanager
def deployed_prometheus(
    home: Path, *, coordinators: Sequence[str], etcd: Sequence[str], window: str = WINDOW
) -> Iterator[RunningPrometheus]:
    """Run Prometheus on the deployed configuration until the block ends, and have all targets up when it begins.

    ``coordinators`` and ``etcd`` are ``host:port`` or URLs; ``home`` is a directory that holds nothing of it yet.
    """
    config = copy_config(home / "config", coordinators=coordinators, etcd=etcd, interval="1s", window=window)
    with run_prometheus(config, home) as prometheus:
        prometheus.wait_for(f"sum(up) == {len(coordinators) + len(etcd)}")
        yield prometheus


def find_promtool() -> Path:
    """Return the promtool that stands beside Prometheus."""
    return find_prometheus().with_name("promtool")
