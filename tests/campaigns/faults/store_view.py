"""What the writes of the store say: every attempt of every work key, and what was there at any revision.

It reads the layout that docs/storage.md describes, with no code of the product.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.campaigns.faults.history import StoreEvent

__all__ = ["SAFE", "Attempt", "StoreView"]

PREFIX = "/coordination/v1/"
#: What is not percent-encoded in keys, beside letters, digits and what ``quote`` leaves alone.
SAFE = ".:#@-_"


@dataclass(slots=True)
class Attempt:
    """One grant and what became of it.

    ``gone`` is the revision at which its claim key was deleted, ``gone_at`` when that was seen; ``expired`` says that
    etcd did it, by itself. ``written`` are the times and contents of its entries in the history.
    """

    work_key: str
    number: int
    token: int
    session: str
    request: str
    seen_at: float
    ttl: float
    renewals: list[float] = field(default_factory=list)
    gone: int | None = None
    gone_at: float = math.inf
    expired: bool = False
    revoked: bool = False
    written: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def is_taken_back(self) -> bool:
        """Whether it was withdrawn: no session ever worked on it."""
        return bool(self.written) and bool(self.written[-1][1].get("withdrawn"))


class StoreView:
    """The writes of one fleet in their order. ``tables`` has for each key its values by revision."""

    def __init__(self, events: Iterable[StoreEvent], fleet: str) -> None:
        self.tables: dict[str, dict[str, list[tuple[int, Any, float]]]] = defaultdict(lambda: defaultdict(list))
        self.attempts: dict[str, list[Attempt]] = defaultdict(list)
        self.problems: list[tuple[str, str]] = []
        self.revision = 0
        prefix = f"{PREFIX}{fleet}/"
        by_revision: dict[int, list[StoreEvent]] = defaultdict(list)
        for event in events:
            if event.key.startswith(prefix):
                by_revision[event.revision].append(event)
        for revision in sorted(by_revision):
            self.revision = revision
            for event in by_revision[revision]:
                table, _, name = event.key.removeprefix(prefix).partition("/")
                self.tables[table][name].append((revision, event.value, event.at))
            self._take(by_revision[revision], prefix)

    def value(self, table: str, name: str, revision: float = math.inf) -> Any:
        """Return what was stored just before a revision, None if nothing was."""
        return self.entry(table, name, revision)[1]

    def entry(self, table: str, name: str, revision: float = math.inf) -> tuple[int, Any, float]:
        """Return the last write before a revision: its own revision, the value, and when it was seen."""
        writes = self.tables[table].get(name, []) if table in self.tables else []
        place = bisect.bisect_left(writes, revision, key=lambda write: write[0])
        return writes[place - 1] if place else (0, None, -math.inf)

    def names(self, table: str) -> list[str]:
        """Return the keys of a table that were ever written, encoded as they are."""
        return sorted(self.tables[table]) if table in self.tables else []

    def _take(self, events: list[StoreEvent], prefix: str) -> None:
        ended = {event.key.removeprefix(prefix) for event in events if event.value is not None}
        for event in events:
            table, _, name = event.key.removeprefix(prefix).partition("/")
            if table == "claim":
                self._take_claim(event, unquote(name), any(key.startswith(f"history/{name}/") for key in ended))
        for event in events:
            table, _, name = event.key.removeprefix(prefix).partition("/")
            if table == "history" and event.value is not None:
                self._take_end(event, unquote(name.rpartition("/")[0]), int(name.rpartition("/")[2]))

    def _take_claim(self, event: StoreEvent, work_key: str, has_end: bool) -> None:
        attempts = self.attempts[work_key]
        if event.value is None:
            if attempts:
                last = attempts[-1]
                last.gone, last.gone_at, last.expired = event.revision, event.at, not has_end
            return
        if event.created == event.revision:
            value = event.value
            attempts.append(
                Attempt(
                    work_key,
                    value["attempt"],
                    event.created,
                    value["session"],
                    value.get("request_id", ""),
                    event.at,
                    value.get("ttl", 0.0),
                )
            )
        elif attempts:
            attempts[-1].renewals.append(event.at)
            attempts[-1].ttl = max(attempts[-1].ttl, event.value.get("ttl", 0.0))
            attempts[-1].revoked = attempts[-1].revoked or bool(event.value.get("revoked"))

    def _take_end(self, event: StoreEvent, work_key: str, number: int) -> None:
        of_it = [attempt for attempt in self.attempts[work_key] if attempt.number == number]
        if not of_it:
            self.problems.append((work_key, f"attempt {number} has an end and was never granted"))
            return
        of_it[-1].written.append((event.revision, event.value))
