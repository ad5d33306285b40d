"""Finished work: whether work is finished, as its record says, and when it was finished last.

Both are asked where no claim is live. A record that says ``claimed`` is that of a claim which has expired then.
"""

from __future__ import annotations

from coordinator.engine.documents import StoredRecord
from coordinator.model import State

__all__ = ["completion_of", "is_open"]


def completion_of(record: StoredRecord) -> StoredRecord | None:
    """Return the record of the latest completion; None where the work was never finished, or was put back."""
    return record if record.state is State.COMPLETED else record.completion


def is_open(record: StoredRecord) -> bool:
    """Return whether the work is not finished: never, or its latest repetition was abandoned."""
    if record.state is State.COMPLETED:
        return False
    # An attempt that had reopened finished work leaves it finished.
    return record.completion is None or record.repeated
