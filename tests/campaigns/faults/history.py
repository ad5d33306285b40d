"""What a campaign has seen: the calls of its clients, the writes of the store, and the faults, one JSON object a line.

Invariants:
- A call's ``began`` is read before anything is sent, and its ``ended`` after its answer has come: whatever it does to
  the store is done between the two. Where nothing was answered, ``ended`` is infinite.
- All times are readings of the host's boot-time clock, in seconds, so that those of all processes can be compared.
- The lines of one process are in the order in which they were written, and a process that is killed loses none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = [
    "NOTHING_DONE",
    "UNKNOWN",
    "Call",
    "Fault",
    "History",
    "StoreEvent",
    "history_of",
    "lines_of",
    "read_history",
    "write_history",
]

#: The names of errors after which it is not known whether the request has taken effect.
UNKNOWN = frozenset({"OutcomeUnknown", "Crashed", "InternalError"})
#: Those that promise that nothing was changed.
NOTHING_DONE = frozenset({"Unavailable", "LimitExceeded", "Contended", "InvalidInput"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its caller knows it.

    ``args`` has what was asked, ``answer`` what came of it: with ``error`` where that was an error. ``loose`` says that
    copies of the request may still arrive after its answer: their withdrawal has failed, or a proxy has made them.
    """

    id: str
    client: str
    session: str
    do: str
    args: Mapping[str, Any]
    began: float
    ended: float = math.inf
    answer: Mapping[str, Any] = field(default_factory=lambda: {"error": "Crashed"})
    loose: bool = False

    @property
    def error(self) -> str:
        """The name of the error, "" for an answer."""
        return str(self.answer.get("error", ""))

    @property
    def is_unknown(self) -> bool:
        """Whether the answer does not say if the request has taken effect."""
        return self.error in UNKNOWN

    @property
    def requests(self) -> list[str]:
        """The ids of its requests: one, or one for each work key."""
        base = str(self.args.get("request_id", ""))
        if self.do in ("claim_many", "submit_many"):
            return [f"{base}.{number}" for number in range(len(self.args["keys"]))]
        return [base]


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """One write of the store: ``value`` is None for a deletion; ``at`` is when it was seen, which is no earlier."""

    revision: int
    key: str
    value: Any
    created: int
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the cluster, from ``at`` until ``until``; ``details`` are for people."""

    name: str
    at: float
    until: float
    details: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """All of it. ``header`` says how it came about; ``counters`` are what the coordinators counted, if that counts."""

    calls: tuple[Call, ...] = ()
    store: tuple[StoreEvent, ...] = ()
    faults: tuple[Fault, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, float] | None = None

    def without_store(self) -> History:
        """The same as its clients alone know it."""
        return replace(self, store=())


def _number(value: float) -> float | None:
    return None if math.isinf(value) else value


def lines_of(history: History) -> Iterator[dict[str, Any]]:
    """Yield the objects that a history is written as."""
    yield {"header": dict(history.header)}
    for call in history.calls:
        yield {
            "begin": call.id,
            "at": call.began,
            "client": call.client,
            "session": call.session,
            "do": call.do,
            "args": dict(call.args),
        }
        if not math.isinf(call.ended) or call.error != "Crashed":
            yield {"end": call.id, "at": _number(call.ended), "answer": dict(call.answer)}
        if call.loose:
            yield {"loose": call.id}
    for event in history.store:
        yield {
            "store": event.revision,
            "key": event.key,
            "value": event.value,
            "created": event.created,
            "at": event.at,
        }
    for fault in history.faults:
        yield {"fault": fault.name, "at": fault.at, "until": fault.until, "details": fault.details}
    if history.counters is not None:
        yield {"counters": dict(history.counters)}


def write_history(history: History, path: Path) -> None:
    """Write a history to a file."""
    with path.open("w") as file:
        for line in lines_of(history):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_history(*paths: Path) -> History:
    """Read a history from the files that its processes have written."""
    return history_of(
        json.loads(line) for path in paths for line in path.read_text().splitlines() if line.endswith("}")
    )


def history_of(lines: Iterable[Mapping[str, Any]]) -> History:
    """Put together what the lines say, in whatever order they come."""
    collected = _Collected()
    for line in lines:
        collected.take(line)
    return collected.history()


class _Collected:
    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._ends: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._loose_calls: set[str] = set()
        self._loose_requests: set[str] = set()
        self._store: dict[tuple[int, str], StoreEvent] = {}
        self._faults: list[Fault] = []
        self._header: dict[str, Any] = {}
        self._counters: Mapping[str, float] | None = None

    def take(self, line: Mapping[str, Any]) -> None:
        if "begin" in line:
            self._calls[line["begin"]] = Call(
                line["begin"], line["client"], line["session"], line["do"], line["args"], line["at"]
            )
        elif "end" in line:
            self._ends[line["end"]] = (math.inf if line["at"] is None else line["at"], line["answer"])
        elif "store" in line:
            self._take_event(StoreEvent(line["store"], line["key"], line["value"], line["created"], line["at"]))
        elif "fault" in line:
            self._faults.append(Fault(line["fault"], line["at"], line["until"], line.get("details", "")))
        else:
            self._take_other(line)

    def _take_other(self, line: Mapping[str, Any]) -> None:
        if "loose" in line:
            self._loose_calls.add(line["loose"])
        elif "copied" in line:
            self._loose_requests.add(line["copied"])
        elif "header" in line:
            self._header |= line["header"]
        elif "counters" in line:
            self._counters = line["counters"]

    def _take_event(self, event: StoreEvent) -> None:
        """Keep the first sight of each write: several watches may report it."""
        kept = self._store.get((event.revision, event.key))
        if kept is None or event.at < kept.at:
            self._store[event.revision, event.key] = event

    def _whole(self, call: Call) -> Call:
        ended, answer = self._ends.get(call.id, (math.inf, call.answer))
        whole = replace(call, ended=ended, answer=answer)
        requests = {*whole.requests, str(call.args.get("request_id", ""))}
        loose = call.id in self._loose_calls or not self._loose_requests.isdisjoint(requests)
        # The caller may have its error long before the request takes effect, if it ever does.
        return replace(whole, loose=loose, ended=math.inf if whole.is_unknown else ended)

    def history(self) -> History:
        return History(
            calls=tuple(sorted(map(self._whole, self._calls.values()), key=lambda call: call.began)),
            store=tuple(self._store[place] for place in sorted(self._store)),
            faults=tuple(sorted(self._faults, key=lambda fault: fault.at)),
            header=self._header,
            counters=self._counters,
        )
