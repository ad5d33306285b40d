"""The values that everything speaks in: claims, denials, records and what became of attempts.

All are frozen. Times are aware datetimes in UTC; durations are seconds as floats. What does not apply is None.
"""

from __future__ import annotations

from coordinator.model.claims import NOTHING_LISTED, Choice, Claim, Denial, Previous, Skipped
from coordinator.model.enumerations import Cause, DenialReason, Event, NothingFree, Outcome, Repeat, SkipReason, State
from coordinator.model.fleet import (
    Briefing,
    ConvergenceRate,
    CoordinatorStatus,
    EtcdStatus,
    HotKey,
    HotKeys,
    Policy,
    PolicyList,
    ReaperStatus,
    Status,
    TaskStatus,
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
    "HistoryEntry",
    "HotKey",
    "HotKeys",
    "LogEntry",
    "LogPage",
    "NothingFree",
    "Outcome",
    "Policy",
    "PolicyList",
    "Previous",
    "ReaperStatus",
    "Record",
    "RecordPage",
    "Repeat",
    "SkipReason",
    "Skipped",
    "State",
    "Status",
    "TaskStatus",
    "WorkDetails",
]
