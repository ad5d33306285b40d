"""Claims for fleets of agent sessions: one gets the work, the others learn at once who has it.

>>> from coordinator import Client
>>> with Client(endpoint) as client:
...     claim = client.claim("session-7f8b", "github:gptme/gptme#2880", ttl=60)
...     record = client.complete("session-7f8b", "github:gptme/gptme#2880", token=claim.fencing_token)
>>> record.state.value
'completed'

There are more than twelve files beside the packages because each holds something that several packages share: names,
limits, errors, the model.
"""

from __future__ import annotations

# As in typing, which takes longer to load than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coordinator._version import __version__
    from coordinator.client import AsyncClient, AsyncHeld, Client, Held
    from coordinator.diagnosis.findings import Diagnosis, Finding, Severity
    from coordinator.errors import (
        ClaimDenied,
        ClaimLost,
        Contended,
        CoordinatorError,
        HistoryGone,
        InternalError,
        InvalidInput,
        LimitExceeded,
        NewerFormat,
        NotFound,
        NotHolder,
        NotImplementedHere,
        NotPermitted,
        OutcomeUnknown,
        PermissionDenied,
        Refused,
        TryAgain,
        Unauthenticated,
        Unavailable,
    )
    from coordinator.model import (
        Briefing,
        Cause,
        Choice,
        Claim,
        ClaimEvent,
        Denial,
        DenialReason,
        Event,
        Failure,
        FleetList,
        FleetUse,
        ForeignWork,
        HistoryEntry,
        HotKey,
        HotKeys,
        Imported,
        ImportOutcome,
        LogEntry,
        LogPage,
        NewWork,
        NothingFree,
        Outcome,
        Policy,
        PolicyList,
        PoolBlocker,
        PoolCounts,
        PoolEntry,
        PoolPage,
        PoolStanding,
        PoolState,
        PoolWork,
        Progress,
        Record,
        RecordPage,
        Repeat,
        Similar,
        SimilarTopic,
        Skipped,
        SkipReason,
        State,
        Status,
        Submission,
        Submitted,
        WorkDetails,
    )

__all__ = [
    "AsyncClient",
    "AsyncHeld",
    "Briefing",
    "Cause",
    "Choice",
    "Claim",
    "ClaimDenied",
    "ClaimEvent",
    "ClaimLost",
    "Client",
    "Contended",
    "CoordinatorError",
    "Denial",
    "DenialReason",
    "Diagnosis",
    "Event",
    "Failure",
    "Finding",
    "FleetList",
    "FleetUse",
    "ForeignWork",
    "Held",
    "HistoryEntry",
    "HistoryGone",
    "HotKey",
    "HotKeys",
    "ImportOutcome",
    "Imported",
    "InternalError",
    "InvalidInput",
    "LimitExceeded",
    "LogEntry",
    "LogPage",
    "NewWork",
    "NewerFormat",
    "NotFound",
    "NotHolder",
    "NotImplementedHere",
    "NotPermitted",
    "NothingFree",
    "Outcome",
    "OutcomeUnknown",
    "PermissionDenied",
    "Policy",
    "PolicyList",
    "PoolBlocker",
    "PoolCounts",
    "PoolEntry",
    "PoolPage",
    "PoolStanding",
    "PoolState",
    "PoolWork",
    "Progress",
    "Record",
    "RecordPage",
    "Refused",
    "Repeat",
    "Severity",
    "Similar",
    "SimilarTopic",
    "SkipReason",
    "Skipped",
    "State",
    "Status",
    "Submission",
    "Submitted",
    "TryAgain",
    "Unauthenticated",
    "Unavailable",
    "WorkDetails",
    "__version__",
]

_HOMES = ("coordinator.client", "coordinator.errors", "coordinator.diagnosis.findings", "coordinator.model")


def __getattr__(name: str) -> Any:
    # Names are fetched when they are asked for, so that what needs only a part (the command line's --help, the engine
    # in a test) does not wait for gRPC to load.
    if name == "__version__":
        from coordinator._version import __version__

        return __version__
    # Loading it takes a tenth of the time that Python takes to start.
    from importlib import import_module

    if name in __all__:
        homes = _HOMES[:1] if name in ("AsyncClient", "AsyncHeld", "Client", "Held") else _HOMES[1:]
        for home in homes:
            module = import_module(home)
            if name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
