"""A history as a right service would leave it, made step by step, for tests to spoil."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from tests.campaigns.faults.history import Call, Fault, History, StoreEvent

__all__ = ["Story"]

_PREFIX = "/coordination/v1/default/"


@dataclass
class Story:
    """Calls come one after the other, a second apart, and last half a second; the store writes in between."""

    calls: list[Call] = field(default_factory=list)
    store: list[StoreEvent] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)
    now: float = 1000.0
    revision: int = 1
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    def history(self) -> History:
        """Return all that has happened."""
        store = sorted(self.store, key=lambda event: (event.revision, event.key))
        return History(tuple(self.calls), tuple(store), tuple(self.faults), {"fleet": "default"}, self.counters)

    def call(self, session: str, do: str, args: dict[str, Any], answer: dict[str, Any], request: str = "") -> Call:
        """Add a call that was answered."""
        number = len(self.calls)
        args = {"request_id": request or f"r{number}", **args}
        call = Call(f"c{number}", session, session, do, args, self.now, self.now + 0.5, answer)
        self.calls.append(call)
        self.now += 1.0
        return call

    def write(self, table: str, name: str, value: Any, created: int = 0) -> None:
        """Have the store write at its present revision."""
        key = f"{_PREFIX}{table}/{name}"
        self.store.append(StoreEvent(self.revision, key, value, created or self.revision, self.now + 0.2))

    def claim(self, session: str, key: str, ttl: float = 60.0, **args: Any) -> Call:
        """Have a session be granted a work key."""
        request = f"r{len(self.calls)}"
        answer = self._grant(session, key, ttl, request)
        return self.call(session, "claim", {"key": key, "ttl": ttl, **args}, answer, request)

    def choose(self, session: str, key: str, candidates: Sequence[str] | None, ttl: float = 60.0) -> Call:
        """Have a session be granted one of many."""
        request = f"r{len(self.calls)}"
        answer = self._grant(session, key, ttl, request)
        args = {"candidates": None if candidates is None else [*candidates], "ttl": ttl, "kind": ""}
        return self.call(session, "claim_next", args, answer, request)

    def _grant(self, session: str, key: str, ttl: float, request: str) -> dict[str, Any]:
        self.revision += 1
        name, number = quote(key, safe=":"), self.attempts.get(key, 0) + 1
        self.attempts[key] = number
        claim = {"session": session, "attempt": number, "request_id": request, "ttl": ttl}
        self.live[key] = {**claim, "token": self.revision, "deadline": self.now + ttl}
        self.write("claim", name, claim)
        self.write("record", name, {"state": "claimed", "session": session, "attempt": number})
        self.write("loose", name, None)
        self.counters["granted"] = self.counters.get("granted", 0) + 1
        return {"is": "granted", "key": key, "attempt": number, "token": self.revision, "deadline": self.now + ttl}

    def deny(self, session: str, key: str, reason: str = "held", holder: str = "") -> Call:
        """Have a session be denied; by whom is known, if not said."""
        answer = {"is": "denied", "reason": reason, "holder": holder or self.live[key]["session"]}
        return self.call(session, "claim", {"key": key, "ttl": 60.0}, answer)

    def renew(self, key: str, ttl: float = 60.0) -> Call:
        """Have the holder renew."""
        live = self.live[key]
        self.revision += 1
        self.write("claim", quote(key, safe=":"), {"session": live["session"]}, created=live["token"])
        live["deadline"] = self.now + ttl
        answer = {"is": "renewed", "attempt": live["attempt"], "token": live["token"], "deadline": live["deadline"]}
        return self.call(live["session"], "renew", {"key": key, "token": live["token"]}, answer)

    def end(self, key: str, do: str = "complete") -> Call:
        """Have the holder complete or release."""
        live = self._ended(key, {"complete": "completed", "release": "abandoned"}[do], "released")
        state = "completed" if do == "complete" else "abandoned"
        answer = {"state": state, "attempt": live["attempt"], "session": live["session"]}
        return self.call(live["session"], do, {"key": key, "token": live["token"]}, answer)

    def expire(self, key: str, after: float = 1.0) -> None:
        """Have a claim expire so many seconds after its deadline, and be recorded."""
        self.now = max(self.now, self.live[key]["deadline"] + after)
        self.revision += 1
        self.write("claim", quote(key, safe=":"), None, created=self.live[key]["token"])
        self._ended(key, "abandoned", "expired", with_claim=False)
        self.now += 1.0

    def _ended(self, key: str, ended: str, cause: str, *, with_claim: bool = True) -> dict[str, Any]:
        live, name = self.live.pop(key), quote(key, safe=":")
        self.revision += 1
        entry = {"session": live["session"], "attempt": live["attempt"], "fencing_token": live["token"], "ended": ended}
        record = {"state": ended, "session": live["session"], "attempt": live["attempt"]}
        if with_claim:
            self.write("claim", name, None, created=live["token"])
        if ended == "abandoned":
            entry["cause"] = cause
            self.write("loose", name, {"session": live["session"], "attempt": live["attempt"]})
        self.write("record", name, record)
        self.write("history", f"{name}/{live['attempt']:010d}", entry)
        if ended == "completed":
            self.write("pool", name, None)
        counted = "completed" if ended == "completed" else cause
        self.counters[counted] = self.counters.get(counted, 0) + 1
        return live

    def submit(self, key: str, priority: int = 0, depends: Sequence[str] = ()) -> None:
        """Put work into the pool."""
        self.revision += 1
        for table in ("pool", "work"):
            self.write(table, quote(key, safe=":"), {"priority": priority, "depends": [*depends]})
        self.call("boss", "submit", {"key": key}, {"outcome": "created"})

    def show(self, key: str, state: str, session: str, attempt: int, ends: Sequence[Sequence[Any]]) -> Call:
        """Have somebody look."""
        live = self.live.get(key)
        record = {
            "key": key,
            "state": state,
            "session": session,
            "attempt": attempt,
            "history": [[*end] for end in ends],
        }
        record["live"] = {"token": live["token"]} if live else None
        return self.call("reader", "get", {"key": key}, {"records": [record]})

    def change(self, call: Call, **changes: Any) -> None:
        """Have a call come out otherwise; ``answer`` and ``args`` name what changes of them."""
        place = self.calls.index(call)
        if "answer" in changes:
            changes["answer"] = {**call.answer, **changes["answer"]}
        if "args" in changes:
            changes["args"] = {**call.args, **changes["args"]}
        self.calls[place] = replace(call, **changes)

    def forget(self, call: Call) -> None:
        """Have the caller never learn what came of it."""
        self.calls[self.calls.index(call)] = replace(call, ended=math.inf, answer={"error": "OutcomeUnknown"})

    def rewrite(self, table: str, name: str, last: int = 1, **changes: Any) -> None:
        """Have the ``last`` but so many write of a key been another one; a member that is None is left out."""
        places = [place for place, event in enumerate(self.store) if event.key == f"{_PREFIX}{table}/{name}"]
        place = places[-last]
        value = {**(self.store[place].value or {}), **changes}
        self.store[place] = replace(
            self.store[place], value={name: each for name, each in value.items() if each is not None}
        )

    def unwrite(self, table: str, name: str) -> None:
        """Have the last write of a key never been made."""
        place = max(place for place, event in enumerate(self.store) if event.key == f"{_PREFIX}{table}/{name}")
        del self.store[place]
