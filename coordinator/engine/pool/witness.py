"""The witness: who wrote in a fleet and when, as one unbroken watch of its records has shown it.

An attempt that expired has failed only if others could write when it did not: then neither etcd nor the coordinators
were out of reach. What records the expiry knows that from a watch of its own.

Invariants:
- What was not heard counts as not written: of a time before the watch, or before it broke, nothing is known.
- What is heard within moments of the begin, a break or a silence is not taken in. etcd was out of reach then, and once
  it answers again it applies what it was sent meanwhile: grants and renewals of callers that have given up.
- Only grants and renewals are heard: what the reaper or an operator writes is no sign of a session.
- Its memory is bounded, whatever is written: the older a span of time, the longer it may be. A span lies in a time only
  if all of it does, so that a coarser one never says more.

It has no clock: all times are readings of the one that its caller uses for all calls, in seconds.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass

from coordinator.engine.documents import StoredRecord
from coordinator.limits import MAX_TTL_SECONDS

__all__ = ["Witness", "writer_of"]

#: Spans that are kept, how long one is at least, in seconds, and which share of its age it may be long: 64 for
#: each factor e of age, some 700 after the longest TTL.
_MOST_SPANS, _LEAST_SECONDS, _SHARE_OF_AGE = 2_048, 0.25, 1 / 64
#: etcd is asked every 5 s how far it is. A watch that has said nothing for half as long again has been out of touch.
_SILENT_SECONDS = 7.5
#: How long after that what etcd was sent meanwhile may be applied, in seconds: it does that at once, if it is not busy.
_SETTLING_SECONDS = 5.0
_CLAIMED = re.compile(rb'{"state":"claimed","session":"([^"\\]+)"')
#: What stands for several sessions in one span.
_SEVERAL = ""


@dataclass(slots=True)
class _Span:
    """A time in which ``session`` has written, or several; ``revision`` is the last one of it."""

    begin: float
    end: float
    revision: int
    session: str

    def add(self, later: _Span) -> None:
        self.end, self.revision = later.end, later.revision
        if self.session != later.session:
            self.session = _SEVERAL


class Witness:
    """What one watch has heard of one fleet."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []
        #: The revision of the first write that was heard.
        self._first = 0
        #: When the watch has said something last, and until when nothing is taken in; None: from its next word on.
        self._latest = -math.inf
        self._unsettled_until: float | None = None

    def forget(self) -> None:
        """Forget everything: the watch broke."""
        self._spans, self._first, self._unsettled_until = [], 0, None

    def in_touch(self, at: float) -> None:
        """Take in that the watch has said something; to be called before what that is."""
        if at - self._latest > _SILENT_SECONDS:
            self.forget()
        self._latest = at
        if self._unsettled_until is None:
            self._unsettled_until = at + _SETTLING_SECONDS

    @property
    def has_heard(self) -> bool:
        """Whether anything was heard: otherwise no expiry counts."""
        return bool(self._spans)

    def heard(self, session: str, revision: int, at: float) -> None:
        """Take in that a session has written its claim, in the order of revisions."""
        if self._unsettled_until is None or at < self._unsettled_until:
            return
        heard = _Span(at, at, revision, session)
        if not self._spans:
            self._first = revision
        elif at - self._spans[-1].begin <= _LEAST_SECONDS:
            self._spans[-1].add(heard)
            return
        self._spans.append(heard)
        if len(self._spans) > _MOST_SPANS:
            self._spans = _coarser(self._spans, at)

    def saw_others(self, claimed: StoredRecord, revision: int) -> bool:
        """Return whether another session wrote in the last third of a claim's time, whose record has a ``revision``."""
        written = claimed.renewed_at or claimed.claimed_at
        place = bisect_left(self._spans, revision, key=lambda span: span.revision)
        if revision < self._first or place == len(self._spans) or written is None or claimed.expires_at is None:
            return False
        # By the clock of the replica that wrote both of these; when that was, by ours.
        lasts, wrote = (claimed.expires_at - written).total_seconds(), self._spans[place]
        begin, end = wrote.end + lasts * 2 / 3, wrote.begin + lasts
        return any(
            span.begin >= begin and span.end <= end and span.session != claimed.session for span in self._spans[place:]
        )


def writer_of(record: bytes) -> str:
    """Return which session has written a record by a grant or a renewal; "" for what is none."""
    found = _CLAIMED.match(record)
    return "" if found is None else found[1].decode(errors="replace")


def _coarser(spans: list[_Span], now: float) -> list[_Span]:
    """Return the spans with those merged that may be, without those that no claim can be as old as."""
    merged: list[_Span] = []
    for span in spans:
        if now - span.end > MAX_TTL_SECONDS:
            continue
        allowed = max(_LEAST_SECONDS, (now - span.end) * _SHARE_OF_AGE)
        if merged and span.end - merged[-1].begin <= allowed:
            merged[-1].add(span)
        else:
            merged.append(span)
    return merged
