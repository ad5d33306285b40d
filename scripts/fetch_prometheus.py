"""Fetch Prometheus and promtool from Debian: ``python scripts/fetch_prometheus.py``.

They are unpacked into ``.prometheus/<version>/``, and the path of Prometheus is printed; what is there is not fetched
again. The suite is the machine's own. Nothing of the system changes and nothing needs root. The exit code is 3, with
one sentence that says why, if it cannot be had.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from debian_packages import Wanted, fetch, machine_release, report_fetch

TARGET = Path(__file__).resolve().parent.parent / ".prometheus"


def fetch_prometheus() -> Path:
    """Return the path of Prometheus, having fetched it unless it is there; promtool stands beside it.

    Raises:
        CannotFetch: it cannot be had.

    """
    wanted = Wanted(
        what="Prometheus",
        packages=("prometheus",),
        program="usr/bin/prometheus",
        version=r"prometheus, version ([\w.]+)",
        target=TARGET,
        # What its pages are made with.
        along="libjs-|fonts-",
    )
    # On what is not Debian there is no mirror of it either, which `fetch` reports.
    return fetch(wanted, machine_release() or "stable")


def main() -> int:
    """Fetch Prometheus and print where it is."""
    argparse.ArgumentParser(description="Fetch Prometheus from Debian, and print its path.").parse_args()
    return report_fetch("Prometheus", fetch_prometheus)


if __name__ == "__main__":
    sys.exit(main())
