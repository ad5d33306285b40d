"""What is known to be wrong with versions of etcd: the one table of it.

Sources: etcd's postmortem on data inconsistency in v3.5, its changelogs, its security advisories, etcd-io/etcd#15993.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["RECOMMENDED", "known_faults", "notice_for"]

#: What to tell users to run.
RECOMMENDED = "3.5.33 or newer, or 3.6.14 or newer"

_Version = tuple[int, int, int]


class _Fault(NamedTuple):
    """``ranges`` are the versions that have it: from the first one of a pair up to, but without, the second."""

    text: str
    ranges: tuple[tuple[_Version, _Version], ...]


_OLDEST = (0, 0, 0)
_FAULTS = (
    _Fault("is past its end of life and gets no fixes", ((_OLDEST, (3, 5, 0)),)),
    _Fault("can lose data in a crash under load", (((3, 5, 0), (3, 5, 3)),)),
    _Fault(
        "does not check the rights of etcd users inside nested transactions (CVE-2026-33343)",
        ((_OLDEST, (3, 4, 42)), ((3, 5, 0), (3, 5, 28)), ((3, 6, 0), (3, 6, 9))),
    ),
    _Fault(
        "takes the longer to bind a claim to a lease the more claims share it",
        ((_OLDEST, (3, 4, 27)), ((3, 5, 0), (3, 5, 10))),
    ),
)


def known_faults(version: str) -> tuple[str, ...]:
    """Return what is known to be wrong with a version of etcd, each as a phrase that follows "etcd X.Y.Z".

    A release candidate counts as its release; of a text that is no version nothing is known.
    """
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return ()
    number = (int(found[1]), int(found[2]), int(found[3]))
    return tuple(fault.text for fault in _FAULTS if any(first <= number < fixed for first, fixed in fault.ranges))


def notice_for(version: str) -> str | None:
    """Return one sentence on what is known to be wrong with a version of etcd, None where nothing is."""
    faults = known_faults(version)
    if not faults:
        return None
    listed = " and ".join(filter(None, (", ".join(faults[:-1]), faults[-1])))
    return f"etcd {version} {listed}; run {RECOMMENDED}"
