"""Fetch a newer etcd than the wheel's, from Debian: ``python scripts/fetch_etcd.py [trixie|sid]``.

It is unpacked into ``.etcd/<version>/``, and the path of its etcd is printed; one that is there is not fetched again.
Nothing of the system changes and nothing needs root. The exit code is 3, with one sentence that says why, if it cannot
be had.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from debian_packages import Wanted, fetch, report_fetch

TARGET = Path(__file__).resolve().parent.parent / ".etcd"
SUITES = ("trixie", "sid")


def wanted() -> Wanted:
    """Return what is fetched."""
    return Wanted(
        what="a newer etcd",
        packages=("etcd-server", "etcd-client"),
        program="usr/bin/etcd",
        version=r"etcd Version: (\S+)",
        target=TARGET,
    )


def main() -> int:
    """Fetch the etcd and print where it is."""
    parser = argparse.ArgumentParser(description="Fetch a newer etcd than the wheel's, and print its path.")
    parser.add_argument("suite", nargs="?", choices=SUITES, default="trixie", help="the release of Debian")
    suite = parser.parse_args().suite
    return report_fetch("a newer etcd", lambda: fetch(wanted(), suite))


if __name__ == "__main__":
    sys.exit(main())
