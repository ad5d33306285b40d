"""The values that everything speaks in: claims, denials, records and what became of attempts.

All are frozen. Times are aware datetimes in UTC; durations are seconds as floats. What does not apply is None.
"""

from __future__ import annotations

from importlib import import_module

from coordinator.model.claims import NOTHING_LISTED, Choice, Claim, Denial, Previous, SimilarTopic, Skipped
from coordinator.model.enumerations import (
    Cause,
    DenialReason,
    Event,
    ImportOutcome,
    NothingFree,
    Outcome,
    PoolStanding,
    PoolState,
    Repeat,
    Similar,
    SkipReason,
    State,
    Submitted,
)

# As in typing, which takes longer to load than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.model.fleet import (
        Briefing,
        ConvergenceRate,
        CoordinatorStatus,
        EtcdStatus,
        FleetList,
        FleetUse,
        HotKey,
        HotKeys,
        Policy,
        PolicyList,
        Progress,
        ReaperStatus,
        Status,
        TaskStatus,
    )
    from coordinator.model.imports import ForeignWork, Imported
    from coordinator.model.pool import (
        Failure,
        NewWork,
        PoolBlocker,
        PoolCounts,
        PoolEntry,
        PoolPage,
        PoolWork,
        Submission,
    )
    from coordinator.model.work import ClaimEvent, HistoryEntry, LogEntry, LogPage, Record, RecordPage, WorkDetails

__all__ = [
    "NOTHING_LISTED",
    "Briefing",
    "Cause",
    "Choice",
    "Claim",
    "ClaimEvent",
    "ConvergenceRate",
    "CoordinatorStatus",
    "Denial",
    "DenialReason",
    "EtcdStatus",
    "Event",
    "Failure",
    "FleetList",
    "FleetUse",
    "ForeignWork",
    "HistoryEntry",
    "HotKey",
    "HotKeys",
    "ImportOutcome",
    "Imported",
    "LogEntry",
    "LogPage",
    "NewWork",
    "NothingFree",
    "Outcome",
    "Policy",
    "PolicyList",
    "PoolBlocker",
    "PoolCounts",
    "PoolEntry",
    "PoolPage",
    "PoolStanding",
    "PoolState",
    "PoolWork",
    "Previous",
    "Progress",
    "ReaperStatus",
    "Record",
    "RecordPage",
    "Repeat",
    "Similar",
    "SimilarTopic",
    "SkipReason",
    "Skipped",
    "State",
    "Status",
    "Submission",
    "Submitted",
    "TaskStatus",
    "WorkDetails",
]

# What describes fleets and records is loaded when it is asked for: a claim needs none of it, and to make its classes
# takes a twentieth of the time of a command.
_LATER = ("coordinator.model.work", "coordinator.model.fleet", "coordinator.model.pool", "coordinator.model.imports")


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _LATER:
            module = import_module(home)
            if name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
