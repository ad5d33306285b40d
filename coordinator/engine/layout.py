"""The layout of keys in etcd.

Below ``/coordination/v1/<fleet>/``:

    claim/<K>                             the claim, bound to a lease
    record/<K>                            the last known state of the work
    history/<K>/<attempt>                 one entry for every ended attempt
    ended/<time>/<K>/<attempt>            time index of the history
    loose/<K>                             index of loose ends
    contender/<K>/<session>               who was denied during the present attempt
    work/<K>                              what was submitted of the work, and how often it failed
    pool/<K>                              the pool: submitted work that is neither completed nor failed
    failed/<K>                            index of work that failed too often
    request/<session>/<id>                what a ClaimNext was granted, or a request that was withdrawn; bound to a
                                          lease
    request/~operator/<id>                an operator's request that was withdrawn; bound to a lease. ~acknowledge for
                                          acknowledgements (``NoSession``)
    request/~operator/<id>/<verb>/<K or pattern>
                                          such a request that was done (``idempotency.py``); bound to a lease
    policy/<pattern>                      what an operator has set for a kind or a prefix of work keys
    signature/<hash>                      the topics of one kind that have the same words
    topic/<K>                             which signature lists a topic
    distinct/<K1>/<K2>                    a session has said that the two topics are different work; K1 sorts first

``/coordination-meta/v1/policy/<fleet>`` is written whenever the policies of a fleet change.

Invariant: two different work keys never share a key nor lie in a range of one another, and no input leaves its fleet.
It holds because a work key K, a session, a pattern and the id of a request are percent-encoded outside
``[A-Za-z0-9._:#@-]``, so that none of them holds a ``/``; every range below ends in ``/`` or names one key. Nor does
any of them hold a ``~``: no session's requests lie where those of ``NoSession`` do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from urllib.parse import quote, unquote

from coordinator.engine.transaction import Delete, Range, end_of_prefix
from coordinator.keys import WorkKey
from coordinator.names import FLEET

__all__ = [
    "ATTEMPT_DIGITS",
    "POLICY_CHANGES",
    "ROOT",
    "FleetPaths",
    "NoSession",
    "WorkPaths",
    "decode_segment",
    "encode_segment",
    "fleet_of",
    "format_stamp",
    "read_work_key",
    "work_paths_of",
]

ROOT = "/coordination/v1/"
#: Where each fleet has its mark of a change: one watch reports the changes in all fleets.
POLICY_CHANGES = b"/coordination-meta/v1/policy/"
_UNRESERVED = re.compile(r"[A-Za-z0-9._:#@-]+")
#: Ten digits keep attempts in numerical order for as long as anyone will count them.
ATTEMPT_DIGITS = 10


class NoSession(Enum):
    """Who sends requests that name no session; the value is a segment that no session has.

    Operators have a place of their own, so that no agent, whatever it may withdraw, withdraws what one of them wants.
    """

    OPERATOR = "~operator"
    ACKNOWLEDGER = "~acknowledge"


def encode_segment(text: str) -> str:
    """Percent-encode a work key, a session or the id of a request so that it is one segment of a path."""
    if _UNRESERVED.fullmatch(text):
        return text
    # quote() never encodes "~", which the layout does not allow.
    return quote(text, safe=":#@").replace("~", "%7E")


def decode_segment(segment: str) -> str:
    """Undo ``encode_segment``."""
    return unquote(segment, errors="replace")


def read_work_key(segment: str) -> WorkKey | None:
    """Read a work key back from its segment; None for one that no coordinator has written."""
    kind, colon, identity = decode_segment(segment).partition(":")
    if not kind or not colon or not identity or encode_segment(f"{kind}:{identity}") != segment:
        return None
    return WorkKey(kind, identity)


def fleet_of(key: bytes) -> str | None:
    """Return the fleet of a key; None for a key of no fleet."""
    fleet, slash, _ = key.decode(errors="replace").removeprefix(ROOT).partition("/")
    return fleet if slash and key.startswith(f"{ROOT}{fleet}/".encode()) and FLEET.fullmatch(fleet) else None


def work_paths_of(key: bytes, table: str) -> WorkPaths | None:
    """Return the paths of the work key whose key in ``table`` (``claim`` or ``record``) this is; None if it is none."""
    fleet = fleet_of(key)
    if fleet is None:
        return None
    prefix = FleetPaths(fleet).prefix(table)
    work_key = read_work_key(key.removeprefix(prefix).decode(errors="replace")) if key.startswith(prefix) else None
    return None if work_key is None else FleetPaths(fleet).of(work_key)


def _request(root: str, sender: str | NoSession, request_id: str) -> bytes:
    segment = sender.value if isinstance(sender, NoSession) else encode_segment(sender)
    return f"{root}request/{segment}/{encode_segment(request_id)}".encode()


@lru_cache(maxsize=1024)
def format_stamp(moment: datetime) -> str:
    """Write a time so that its text sorts as it does: RFC 3339, UTC, milliseconds."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


@dataclass(frozen=True, slots=True)
class FleetPaths:
    """The keys of one fleet. The fleet must have been checked (``check_fleet``)."""

    fleet: str

    def of(self, work_key: WorkKey) -> WorkPaths:
        """Return the keys of one work key."""
        root, segment = f"{ROOT}{self.fleet}/", encode_segment(f"{work_key.kind}:{work_key.identity}")
        claim, record = f"{root}claim/{segment}".encode(), f"{root}record/{segment}".encode()
        return WorkPaths(work_key, root, segment, claim, record)

    def request(self, sender: str | NoSession, request_id: str) -> bytes:
        """The mark that a request was withdrawn, or what it was granted; it is the same for all work keys."""
        return _request(f"{ROOT}{self.fleet}/", sender, request_id)

    def policy(self, pattern: str) -> bytes:
        """The policy of a pattern."""
        return f"{ROOT}{self.fleet}/policy/{encode_segment(pattern)}".encode()

    @property
    def policy_change(self) -> bytes:
        """The mark that a policy has changed."""
        return POLICY_CHANGES + self.fleet.encode()

    def prefix(self, table: str) -> bytes:
        """Return what every key of a table (``claim``, ``record`` …) starts with."""
        return f"{ROOT}{self.fleet}/{table}/".encode()

    def count(self, table: str) -> Range:
        """Count the keys of a table."""
        prefix = self.prefix(table)
        return Range(prefix, end_of_prefix(prefix), count_only=True)


@dataclass(frozen=True, slots=True)
class WorkPaths:
    """The keys of one work key; ``FleetPaths.of`` makes them. ``claim`` and ``record`` are those of its two values."""

    work_key: WorkKey
    root: str
    segment: str
    claim: bytes
    record: bytes

    @property
    def fleet(self) -> str:
        """The fleet that they lie in."""
        return self.root[len(ROOT) : -1]

    @property
    def loose(self) -> bytes:
        """Its entry in the index of loose ends."""
        return f"{self.root}loose/{self.segment}".encode()

    @property
    def work(self) -> bytes:
        """What was submitted of it."""
        return f"{self.root}work/{self.segment}".encode()

    @property
    def pool(self) -> bytes:
        """Its entry in the pool."""
        return f"{self.root}pool/{self.segment}".encode()

    @property
    def failed(self) -> bytes:
        """Its entry in the index of failed work."""
        return f"{self.root}failed/{self.segment}".encode()

    def history(self, attempt: int) -> bytes:
        """The history entry of an attempt."""
        return f"{self.root}history/{self.segment}/{attempt:0{ATTEMPT_DIGITS}d}".encode()

    def ended(self, moment: datetime, attempt: int) -> bytes:
        """An attempt's entry in the time index."""
        return f"{self.root}ended/{format_stamp(moment)}/{self.segment}/{attempt:0{ATTEMPT_DIGITS}d}".encode()

    @property
    def topic(self) -> bytes:
        """Which signature lists it."""
        return f"{self.root}topic/{self.segment}".encode()

    def signature(self, digest: str) -> bytes:
        """The topics that have the same words; ``digest`` has hexadecimal digits only."""
        return f"{self.root}signature/{digest}".encode()

    def distinct(self, other: WorkPaths) -> bytes:
        """The mark that it and another topic of its fleet are different work; it is the same key for both."""
        first, second = sorted((self.segment, other.segment))
        return f"{self.root}distinct/{first}/{second}".encode()

    def delete_distinct(self) -> Delete:
        """Forget from which topics that sort behind it it is distinct."""
        prefix = f"{self.root}distinct/{self.segment}/".encode()
        return Delete(prefix, end_of_prefix(prefix))

    def contender(self, session: str) -> bytes:
        """The mark that a session was denied during the present attempt."""
        return f"{self.root}contender/{self.segment}/{encode_segment(session)}".encode()

    def request(self, sender: str | NoSession, request_id: str) -> bytes:
        """The mark that a request was withdrawn, or what it was granted; it is the same for all work keys."""
        return _request(self.root, sender, request_id)

    def read_history(self, limit: int = 0, *, before: int | None = None) -> Range:
        """Read the history, latest first, or that of the attempts ``before`` one."""
        prefix = f"{self.root}history/{self.segment}/".encode()
        end = end_of_prefix(prefix) if before is None else self.history(before)
        return Range(prefix, end, limit=limit, descending=True)

    def read_contenders(self, *, count_only: bool = False) -> Range:
        """Read, or count, the contenders."""
        prefix = f"{self.root}contender/{self.segment}/".encode()
        return Range(prefix, end_of_prefix(prefix), count_only=count_only)

    def delete_contenders(self) -> Delete:
        """Forget the contenders."""
        contenders = self.read_contenders()
        return Delete(contenders.key, contenders.end)

    def delete_history_before(self, attempt: int) -> Delete:
        """Forget the history entries of all attempts before ``attempt``."""
        return Delete(self.history(0), self.history(attempt))
