"""What is known to be wrong with versions of etcd: the one table of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["RECOMMENDED", "Fault", "faults_of", "known_faults", "notice_for", "oldest"]

#: The versions that users are advised to run.
RECOMMENDED = "3.5.33 or newer, or 3.6.14 or newer"

_Version = tuple[int, int, int]


class Fault(NamedTuple):
    """``ranges`` are the versions that have it: from the first one of a pair up to, but without, the second.

    ``breaks_clusters`` means that members of one cluster may come to differ, so that two sessions can both be granted
    one claim; ``source`` is where it is reported.
    """

    text: str
    ranges: tuple[tuple[_Version, _Version], ...]
    source: str
    breaks_clusters: bool = False


_OLDEST = (0, 0, 0)
_FAULTS = (
    Fault(
        "is past its end of life and gets no fixes", ((_OLDEST, (3, 5, 0)),), "etcd.io/docs/latest/op-guide/versioning"
    ),
    Fault(
        "can lose data in a crash under load",
        (((3, 5, 0), (3, 5, 3)),),
        "etcd's postmortem on data inconsistency in v3.5",
        breaks_clusters=True,
    ),
    Fault(
        "can, run as a single member, lose in a crash what it has just confirmed",
        ((_OLDEST, (3, 4, 21)), ((3, 5, 0), (3, 5, 5))),
        "etcd-io/etcd#14423 and #14424",
    ),
    Fault(
        "panics when a transaction that only reads is cancelled",
        (((3, 5, 0), (3, 5, 5)),),
        "etcd-io/etcd#14110, #14178",
    ),
    Fault(
        "lets a leader that is being replaced end claims too early",
        ((_OLDEST, (3, 4, 31)), ((3, 5, 0), (3, 5, 13))),
        "etcd-io/etcd#15247, #17425, #17465",
    ),
    Fault(
        "does not check the rights of etcd users inside nested transactions (CVE-2026-33343)",
        ((_OLDEST, (3, 4, 42)), ((3, 5, 0), (3, 5, 28)), ((3, 6, 0), (3, 6, 9))),
        "CVE-2026-33343",
    ),
    Fault(
        "takes the longer to bind a claim to a lease the more claims share it",
        ((_OLDEST, (3, 4, 27)), ((3, 5, 0), (3, 5, 10))),
        "etcd-io/etcd#15993",
    ),
)


def faults_of(version: str) -> tuple[Fault, ...]:
    """Return what is known to be wrong with a version of etcd.

    A release candidate counts as its release; of a text that is no version nothing is known.
    """
    number = _number(version)
    if number is None:
        return ()
    return tuple(fault for fault in _FAULTS if any(first <= number < fixed for first, fixed in fault.ranges))


def known_faults(version: str) -> tuple[str, ...]:
    """Return what is known to be wrong with a version of etcd, each as a phrase that follows "etcd X.Y.Z"."""
    return tuple(fault.text for fault in faults_of(version))


def notice_for(version: str) -> str | None:
    """Return one sentence on what is known to be wrong with a version of etcd, None where nothing is.

    It names the gravest, which the table lists first, and counts the others.
    """
    faults = known_faults(version)
    if not faults:
        return None
    others = len(faults) - 1
    more = f" and has {others} more known fault{'' if others == 1 else 's'} (see `coordination doctor`)"
    return f"etcd {version} {faults[0]}{more if others else ''}; run {RECOMMENDED}"


def oldest(versions: Iterable[str]) -> str | None:
    """Return the oldest of these versions, before which a text that is no version counts; None of none."""
    return min(versions, key=lambda version: _number(version) or _OLDEST, default=None)


def _number(version: str) -> _Version | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
