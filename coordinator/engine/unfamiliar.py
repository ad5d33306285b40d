"""What a newer coordinator has written stays: it is carried along where a value is written, or nothing is changed.

Invariants, for each key that an operation has read as a value which it does not understand in full:
- Members of unknown name are in what the operation writes there.
- Where there is more to it, the operation neither writes the key nor deletes it: it fails with ``NewerFormat``, and has
  changed nothing.

Ranges may be deleted: what is in them goes with the work that they belong to. An index is written from the document
that it is made of, and not read before; what a newer coordinator puts there, it must be able to do without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator._version import __version__
from coordinator.engine.layout import decode_segment
from coordinator.engine.steps import Unfamiliar
from coordinator.engine.transaction import Delete, Operation, Put, Txn
from coordinator.errors import NewerFormat
from coordinator.quotation import key

__all__ = ["carry_along"]

#: Longer than a call lasts by default: it is not tried again here, but at another coordinator, where there is one.
_RETRY_SECONDS = 30.0


def carry_along(txn: Txn, seen: Mapping[bytes, Unfamiliar]) -> Txn:
    """Return the transaction with what it has to keep of the values that were ``seen``, by their keys.

    Raises ``NewerFormat`` where it would change one that must not be changed.
    """
    return txn._replace(
        success=tuple(_kept(operation, seen) for operation in txn.success),
        failure=tuple(_kept(operation, seen) for operation in txn.failure),
    )


def _kept(operation: Operation, seen: Mapping[bytes, Unfamiliar]) -> Operation:
    if isinstance(operation, Txn):
        return carry_along(operation, seen)
    found = seen.get(operation.key) if isinstance(operation, Put | Delete) else None
    if found is None:
        return operation
    if found.newer:
        raise _refuse(found)
    return (
        operation._replace(value=_with_rest(operation.value, found.rest)) if isinstance(operation, Put) else operation
    )


def _with_rest(value: bytes, rest: str) -> bytes:
    """Return a value with the members that it does not have yet."""
    members = json.loads(value)
    missing = {name: member for name, member in json.loads(f"{{{rest}}}").items() if name not in members}
    if not missing:
        return value
    return value[:-1] + b"," + json.dumps(missing, separators=(",", ":"))[1:].encode()


def _refuse(found: Unfamiliar) -> NewerFormat:
    table, _, name = found.key.decode(errors="replace").rpartition("/")
    return NewerFormat(
        f"the {table.rpartition('/')[2]} of {key(decode_segment(name))} was written by a newer coordinator, so this "
        f"one, {__version__}, does not change it: {found.newer}",
        retry_after_seconds=_RETRY_SECONDS,
    )
