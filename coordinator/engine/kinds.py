"""How many keys of each kind a table has, without reading them all.

Invariant: the work does not grow with what kinds people invent: from so many on, all others are counted as one.
"""

from __future__ import annotations

import re

from coordinator.engine.layout import FleetPaths
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import Range, Txn, end_of_prefix

__all__ = ["MOST_KINDS", "OTHERS", "count_kinds"]

#: Kinds of one table that are told apart.
MOST_KINDS = 64
#: What those beyond it are counted as, and what is not of any kind.
OTHERS = "other"
_KIND = re.compile(rb"([a-z][a-z0-9_-]{0,31}):")


def count_kinds(paths: FleetPaths, table: str) -> Operation[dict[str, int]]:
    """Count the keys of a table (``claim``, ``loose``) by kind: one read for each kind, from one to the next.

    Each count is of a revision of its own.
    """
    prefix = paths.prefix(table)
    end = end_of_prefix(prefix)
    found: dict[str, int] = {}
    rest = (yield from commit(Txn((), (Range(prefix, end, limit=1),)))).range(0)
    for _ in range(MOST_KINDS):
        if not rest.kvs:
            return found
        key = rest.kvs[0].key
        kind = _KIND.match(key.removeprefix(prefix))
        if kind is None:
            # Nobody's work: it is told where it is read for itself.
            found[OTHERS] = found.get(OTHERS, 0) + 1
            following = key + b"\0"
            reply = yield from commit(Txn((), (Range(following, end, limit=1),)))
            rest = reply.range(0)
            continue
        of_kind = Range(prefix + kind[0], end_of_prefix(prefix + kind[0]), count_only=True)
        reply = yield from commit(Txn((), (of_kind, Range(of_kind.end, end, limit=1))))
        name = kind[1].decode()
        found[name] = found.get(name, 0) + reply.range(0).total
        rest = reply.range(1)
    if rest.total:
        found[OTHERS] = found.get(OTHERS, 0) + rest.total
    return found
