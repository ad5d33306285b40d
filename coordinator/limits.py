"""The ranges of what may be asked for, and how much may be asked at a time, in one place.

``docs/limits.md`` has the same figures for readers; a test compares the two.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from coordinator.errors import InvalidInput

__all__ = [
    "BACK_OFF_SECONDS",
    "CROWDED_RECEIVE_SECONDS",
    "CROWDED_UNREAD_SECONDS",
    "DEFAULT_BRIEFED_SECONDS",
    "DEFAULT_BRIEFING_CHARACTERS",
    "DEFAULT_CERTIFICATE_DAYS",
    "DEFAULT_HOLD_SECONDS",
    "DEFAULT_HOT_KEYS",
    "DEFAULT_HOT_SECONDS",
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_MAX_CALLS",
    "DEFAULT_MAX_WAITERS",
    "DEFAULT_PAGE_SIZE",
    "DEFAULT_RETENTION_DAYS",
    "DEFAULT_TTL_SECONDS",
    "FEWEST_FILES",
    "FEWEST_FILES_WITH_ETCD",
    "HANDSHAKE_SECONDS",
    "HELD_CALL_SECONDS",
    "HTTP_HEAD_SECONDS",
    "HTTP_IDLE_SECONDS",
    "HTTP_READER_SECONDS",
    "HTTP_SILENT_SECONDS",
    "IDLE_SECONDS",
    "KEEPALIVE_SECONDS",
    "KEEPALIVE_TIMEOUT_SECONDS",
    "MAX_BRIEFED_KINDS",
    "MAX_BRIEFED_SECONDS",
    "MAX_BRIEFING_CHARACTERS",
    "MAX_CANDIDATES",
    "MAX_CONNECTIONS",
    "MAX_DEPENDENCIES",
    "MAX_DISTINCT_FROM",
    "MAX_FLEET_CHARACTERS",
    "MAX_HEADER_BYTES",
    "MAX_HOT_KEYS",
    "MAX_HTTP_CONNECTIONS",
    "MAX_ID_BYTES",
    "MAX_IMPORTED_ATTEMPT",
    "MAX_ITEMS",
    "MAX_KIND_CHARACTERS",
    "MAX_LARGE_CALLS",
    "MAX_MAX_ATTEMPTS",
    "MAX_MAX_LIVE",
    "MAX_METRICS_READERS",
    "MAX_PAGE_BYTES",
    "MAX_PAGE_SIZE",
    "MAX_POLICIES",
    "MAX_POOLED",
    "MAX_PRIORITY",
    "MAX_READING_WATCHES",
    "MAX_REPEAT_SECONDS",
    "MAX_REQUEST_BYTES",
    "MAX_SESSION_BYTES",
    "MAX_SHARED_READINGS",
    "MAX_SIMILAR_SHOWN",
    "MAX_SMALL_REQUEST_BYTES",
    "MAX_STREAMS_OF_A_CONNECTION",
    "MAX_TEXT_BYTES",
    "MAX_TIMEOUT_SECONDS",
    "MAX_TRIES",
    "MAX_TTL_SECONDS",
    "MAX_UNFINISHED_REQUESTS",
    "MAX_UNREAD_ANSWERS",
    "MAX_UNREAD_BYTES",
    "MAX_UNTAKEN_CALLS",
    "MAX_WAITED_KEYS",
    "MAX_WAITERS_OF_A_CONNECTION",
    "MAX_WAITING_BYTES",
    "MAX_WAITING_EVENTS",
    "MAX_WAITING_EVENT_BYTES",
    "MAX_WAITING_REQUEST_BYTES",
    "MAX_WAIT_SECONDS",
    "MAX_WALKED_KEYS",
    "MAX_WATCHERS",
    "MAX_WATCHERS_OF_A_CONNECTION",
    "MAX_WORK_KEY_BYTES",
    "MIN_BRIEFING_CHARACTERS",
    "MIN_REPEAT_SECONDS",
    "MIN_TIMEOUT_SECONDS",
    "MIN_TTL_SECONDS",
    "MOST_UNTAKEN_CALLS",
    "PLACES_FOR_NEWCOMERS",
    "RECEIVE_SECONDS",
    "RESERVED_FILES",
    "SLOW_WATCHER_SECONDS",
    "SPACE_SHARE",
    "SUBMITTED_AT_ONCE",
    "UNREAD_SECONDS",
    "WINDOW_BYTES",
    "LimitSettings",
    "check_briefing_characters",
    "check_page_size",
    "check_quota",
    "check_repeat_after",
    "check_timeout",
    "check_ttl",
    "check_wait",
    "typed_number",
]


_DAY_SECONDS = 24 * 3600.0

#: Shortest time to live of a claim. etcd silently raises a lease of less than 2 s at its default timings; below 5 s a
#: single leader election (1 to 2 s) would eat a large part of the claim.
MIN_TTL_SECONDS = 5.0
#: Longest time to live of a claim: seven days.
MAX_TTL_SECONDS = 7 * _DAY_SECONDS
#: What a claim lasts whose caller names no time.
DEFAULT_TTL_SECONDS = 3600.0
#: The same where it is renewed as long as the work goes on: how long the work of a holder that died stays claimed.
DEFAULT_HOLD_SECONDS = 600.0
#: Longest note, reason or result, in bytes of UTF-8.
MAX_TEXT_BYTES = 16 * 1024

#: Longest session, in bytes of UTF-8, of which each allowed character takes one.
MAX_SESSION_BYTES = 128
#: Longest request id and instance, in bytes of UTF-8.
MAX_ID_BYTES = 128
#: Longest names of a fleet and of a kind; all characters that they may hold are ASCII.
MAX_FLEET_CHARACTERS = 63
MAX_KIND_CHARACTERS = 32

#: Longest work key, in bytes of UTF-8, both as typed and as it becomes.
MAX_WORK_KEY_BYTES = 512
#: How often an operation is tried while others keep changing what it has read, the first try included.
MAX_TRIES = 5

#: Records on one page, where the caller names no number, and at most.
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
#: A page ends early rather than grow beyond this; gRPC clients accept 4 MiB by default.
MAX_PAGE_BYTES = 1024 * 1024
#: Most work keys in one ClaimMany, RenewMany or Submit.
MAX_ITEMS = 500
#: The number of an attempt that is imported, at most: attempts count on from it, and are stored with ten digits.
MAX_IMPORTED_ATTEMPT = 1_000_000_000
#: How many pieces of work clients submit in one call. Those with dependencies go one after the other, a few
#: milliseconds each, and a call has 5 s by default.
SUBMITTED_AT_ONCE = 100
#: Most policies of one fleet: all of them are in the memory of each replica that has claims of the fleet.
MAX_POLICIES = 1_000
#: Most pieces of work in the pool of one fleet, beyond which none is submitted: all of them are in the memory of each
#: replica that hands out work there, about 1 KiB each, and more with dependencies.
MAX_POOLED = 100_000
#: Failed attempts after which work is not handed out any more, where no policy says otherwise, and at most.
DEFAULT_MAX_ATTEMPTS, MAX_MAX_ATTEMPTS = 3, 1_000
#: Most live claims that a policy may allow at a time, and how long it may be before work is repeated, in seconds.
MAX_MAX_LIVE = 1_000_000
MIN_REPEAT_SECONDS, MAX_REPEAT_SECONDS = 1.0, 366 * _DAY_SECONDS
#: Most pieces of work that one may depend on, and most work keys whose dependencies are followed to find a circle.
MAX_DEPENDENCIES, MAX_WALKED_KEYS = 32, 100
#: How many topics a claim may say that it is distinct from, and how many similar ones are shown.
MAX_DISTINCT_FROM, MAX_SIMILAR_SHOWN = 16, 5
#: Highest priority of submitted work; the lowest is as far below 0.
MAX_PRIORITY = 1_000_000
#: For how long work that was given back is offered to no session, in seconds: after the first time, the second, and
#: each further one.
BACK_OFF_SECONDS = (60.0, 300.0, 900.0)
#: Most candidates of one ClaimNext.
MAX_CANDIDATES = 1_000
#: Largest request that is read at all, which only those with lists may be, and the largest of all others.
MAX_REQUEST_BYTES = 1024 * 1024
MAX_SMALL_REQUEST_BYTES = 256 * 1024
#: How many requests are received at a time, and how long each may take, in seconds: at most, and while more than that
#: many are there. At 128 of them, of which each may hold a message of MAX_REQUEST_BYTES, memory stays bounded. Callers
#: of which no other request is being received have some places more.
MAX_UNFINISHED_REQUESTS = 128
PLACES_FOR_NEWCOMERS = 32
RECEIVE_SECONDS = 10.0
CROWDED_RECEIVE_SECONDS = 0.25
#: How many answers may wait for callers that do not read them, how many bytes of them, and how long, in seconds, one
#: may wait while there are more. From twice as many on that is less, the more there are, and this at least. A call
#: whose answer waits takes about 15 KB itself, and callers send 20,000 of them in a second or two.
MAX_UNREAD_ANSWERS = 1_024
MAX_UNREAD_BYTES = 16 * 1024 * 1024
UNREAD_SECONDS = 0.5
CROWDED_UNREAD_SECONDS = 0.1
#: How much of a call's body is taken before the call is looked at, and how much its headers may be, in bytes.
WINDOW_BYTES = 4 * 1024
MAX_HEADER_BYTES = 16 * 1024
#: Calls of one connection at a time; clients of gRPC wait by themselves before they send more.
MAX_STREAMS_OF_A_CONNECTION = 128
#: Calls of all connections that have come and are not taken up yet; from here on some are refused, and all beyond the
#: second figure.
MAX_UNTAKEN_CALLS, MOST_UNTAKEN_CALLS = 2_048, 4_096
#: Connections at a time, where the limit of open files allows as many, and how many files are kept for all else.
MAX_CONNECTIONS = 2_000
RESERVED_FILES = 128
#: Fewest files with which a coordinator starts: it has 30 open, more while it is asked, and lets in 32 connections.
#: etcd does not start with fewer than 150, and has as many connections as there are more (``reservedInternalFDNum`` in
#: its ``server/etcdmain``).
FEWEST_FILES, FEWEST_FILES_WITH_ETCD = 96, 192
#: How long a connection may take until it can be called on, and how long it is kept without a call, in seconds.
HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 600.0
#: How often a client is asked for a sign of life, and how long it has to give one, in seconds. Together they bound how
#: long one that has vanished without a word keeps its watches and places.
KEEPALIVE_SECONDS = 10.0
KEEPALIVE_TIMEOUT_SECONDS = 10.0
#: Connections over HTTP at a time, where the limit of open files allows as many.
MAX_HTTP_CONNECTIONS = 512
#: Over HTTP, in seconds: how long the head of a request may take, how long a connection is kept without one, and how
#: long a caller may read nothing of its answer.
HTTP_HEAD_SECONDS, HTTP_IDLE_SECONDS, HTTP_READER_SECONDS = 10.0, 75.0, 10.0
#: How often a reader of events over HTTP gets a sign of life where there is nothing else, in seconds: proxies end what
#: is silent for a minute.
HTTP_SILENT_SECONDS = 15.0
#: Readers of the metrics that are answered at a time. Prometheus is one, a pair of them two.
MAX_METRICS_READERS = 8
#: Most bytes of requests that are being answered at a time.
MAX_WAITING_BYTES = 64 * 1024 * 1024
#: Calls that are answered at a time, each item of a ClaimMany or RenewMany counting as one. At 5,000 claims a second
#: the last of them waits two seconds.
DEFAULT_MAX_CALLS = 10_000
#: Calls that wait for work at a time, and of one connection: half of its calls, so that the others find room there.
DEFAULT_MAX_WAITERS = 4_096
MAX_WAITERS_OF_A_CONNECTION = MAX_STREAMS_OF_A_CONNECTION // 2
#: Work keys that are waited for, those of a list that several wait for once, and bytes of the requests that wait. All
#: these keys are looked at every ten seconds, which takes a tenth of this process at most; each takes up to 4 KiB.
MAX_WAITED_KEYS = 20_000
MAX_WAITING_REQUEST_BYTES = 16 * 1024 * 1024
#: How long one call is held at most while it waits for work, and for how long a caller may wait in all, in seconds.
HELD_CALL_SECONDS = 45.0
MAX_WAIT_SECONDS = 7 * _DAY_SECONDS
#: How long ended work is kept, in days.
DEFAULT_RETENTION_DAYS = 30.0
#: Calls whose answers may be large that are answered at a time: each may hold some megabytes, and takes the loop for
#: some milliseconds at a stretch.
MAX_LARGE_CALLS = 4
#: Readings for many callers, of briefings and of hot keys, that are done at a time.
MAX_SHARED_READINGS = 2
#: From which share of etcd's storage quota on new claims are refused. The rest is for what holders still have to write.
SPACE_SHARE = 0.8

#: Watchers of one coordinator, and of one connection: each has a stream to etcd of its own.
MAX_WATCHERS = 256
MAX_WATCHERS_OF_A_CONNECTION = 32
#: Watches that read from etcd at a time: each may hold some megabytes meanwhile.
MAX_READING_WATCHES = 8
#: How much may wait for one watcher, in events and in bytes, and how long, in seconds, it may take to make room.
MAX_WAITING_EVENTS = 1_000
MAX_WAITING_EVENT_BYTES = 256 * 1024
SLOW_WATCHER_SECONDS = 10.0
#: How far back a briefing lists finished work, by default and at most, in seconds.
DEFAULT_BRIEFED_SECONDS = _DAY_SECONDS
MAX_BRIEFED_SECONDS = 366 * _DAY_SECONDS
MAX_BRIEFED_KINDS = 16
#: How long a briefing is, in characters: by default some 900 tokens of a language model.
DEFAULT_BRIEFING_CHARACTERS = 3_000
MIN_BRIEFING_CHARACTERS, MAX_BRIEFING_CHARACTERS = 500, 100_000
#: How far back ended attempts count in the list of hot work, in seconds, and how long that list is.
DEFAULT_HOT_SECONDS = 3600.0
DEFAULT_HOT_KEYS = 10
MAX_HOT_KEYS = 100
#: How long the certificates that `certs` makes are valid, in days; their authority is valid ten times as long.
DEFAULT_CERTIFICATE_DAYS = 365
#: How long a caller waits for an answer, in seconds: at least and at most.
MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 0.05, 3600.0

_LEAST_QUOTA = 1024 * 1024
_MOST_QUOTA = 2**63 - 1
_MOST_CALLS = 1_000_000
_MOST_WAITERS = 100_000
_MOST_CLAIMS = 1_000_000_000
_MOST_RATE = 2**40


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much is granted and answered at a time, and written.

    ``max_claims_per_session`` and ``max_claims_per_fleet`` bound live claims, 0 means no bound; ``max_calls`` is how
    many calls are answered at a time, from 2 on, and ``max_waiters`` how many more may wait for work. The rates are
    bytes a second that a fleet, and a credential or session in it, may write into etcd on average; 0 means no bound,
    None a share of etcd's quota. Raises ``InvalidInput`` for what is out of range.
    """

    max_claims_per_session: int = 0
    max_claims_per_fleet: int = 0
    max_calls: int = DEFAULT_MAX_CALLS
    max_write_rate_per_fleet: int | None = None
    max_write_rate_per_credential: int | None = None
    max_waiters: int = DEFAULT_MAX_WAITERS

    def __post_init__(self) -> None:
        _check("max-claims-per-session", self.max_claims_per_session, 0, _MOST_CLAIMS)
        _check("max-claims-per-fleet", self.max_claims_per_fleet, 0, _MOST_CLAIMS)
        _check("max-calls", self.max_calls, 2, _MOST_CALLS)
        _check("max-waiters", self.max_waiters, 0, _MOST_WAITERS, "; 0 means that none waits")
        _check("max-write-rate-per-fleet", self.max_write_rate_per_fleet or 0, 0, _MOST_RATE)
        _check("max-write-rate-per-credential", self.max_write_rate_per_credential or 0, 0, _MOST_RATE)


#: A number as it is typed: ASCII digits, without the underscores and other scripts that Python's float() takes.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


def typed_number(typed: str) -> float:
    """Return a number as it is typed, in ASCII digits; NaN, which is in no range, for what is none."""
    return float(typed) if _NUMBER.fullmatch(typed.strip()) else math.nan


def _exactly(seconds: float) -> str:
    """Write a number that is out of range, and never so rounded that it seems to be in it: 4.9999999 is not 5."""
    short = f"{seconds:g}"
    return short if not math.isfinite(seconds) or float(short) == seconds else f"{seconds:.15g}"


def check_ttl(seconds: float) -> float:
    """Return a time to live if it lies between the shortest and the longest; raises ``InvalidInput`` otherwise."""
    if not math.isfinite(seconds) or not MIN_TTL_SECONDS <= seconds <= MAX_TTL_SECONDS:
        raise InvalidInput(
            f"a ttl of {_exactly(seconds)} s is out of range; allowed are {MIN_TTL_SECONDS:g} s to "
            f"{MAX_TTL_SECONDS / _DAY_SECONDS:g} days ({MAX_TTL_SECONDS:.0f} s)",
            field="ttl",
            hint="for long work, claim for less and renew while it goes on"
            if seconds > MAX_TTL_SECONDS
            else f"claim for {MIN_TTL_SECONDS:g} s or more; short work may release it sooner",
        )
    return seconds


def check_wait(seconds: float) -> float:
    """Return how long to wait for work, in seconds; raises ``InvalidInput`` for what is out of range."""
    if not math.isfinite(seconds) or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise InvalidInput(
            f"a wait of {_exactly(seconds)} s is out of range; allowed are 0 s to {MAX_WAIT_SECONDS / _DAY_SECONDS:g} "
            "days",
            field="wait",
        )
    return seconds


def check_repeat_after(seconds: float) -> float:
    """Return after how many seconds work may be repeated; raises ``InvalidInput`` for what is out of range."""
    if not math.isfinite(seconds) or not MIN_REPEAT_SECONDS <= seconds <= MAX_REPEAT_SECONDS:
        raise InvalidInput(
            f"a repeat after {_exactly(seconds)} s is out of range; allowed are {MIN_REPEAT_SECONDS:g} s to "
            f"{MAX_REPEAT_SECONDS / _DAY_SECONDS:g} days",
            field="repeat",
        )
    return seconds


def check_page_size(size: int, default: int = DEFAULT_PAGE_SIZE) -> int:
    """Return a page size if it is one, the default for 0; raises ``InvalidInput`` otherwise."""
    if not 0 <= size <= MAX_PAGE_SIZE:
        raise InvalidInput(
            f"a page size of {size} is out of range; allowed are 1 to {MAX_PAGE_SIZE}", field="page_size"
        )
    return size or default


def check_briefing_characters(characters: int) -> int:
    """Return a length for a briefing if it is long enough and not too long; raises ``InvalidInput`` otherwise."""
    if not MIN_BRIEFING_CHARACTERS <= characters <= MAX_BRIEFING_CHARACTERS:
        raise InvalidInput(
            f"a briefing of {characters} characters is out of range; allowed are {MIN_BRIEFING_CHARACTERS} to "
            f"{MAX_BRIEFING_CHARACTERS}",
            field="max_characters",
        )
    return characters


def check_timeout(typed: str, source: str = "") -> float:
    """Return the seconds of a timeout as it is typed; raises ``InvalidInput`` for what is none or out of range."""
    seconds = typed_number(typed)
    if not MIN_TIMEOUT_SECONDS <= seconds <= MAX_TIMEOUT_SECONDS:
        named = f" ({source})" if source else ""
        raise InvalidInput(
            f"a timeout of {typed[:40]!r}{named} is not valid; allowed are {MIN_TIMEOUT_SECONDS:g} to "
            f"{MAX_TIMEOUT_SECONDS:g} seconds",
            field="timeout",
        )
    return seconds


def check_quota(quota_bytes: int | None) -> int | None:
    """Return etcd's storage quota in bytes if it is at least 1 MiB or None; raises ``InvalidInput`` otherwise."""
    if quota_bytes is not None:
        _check("etcd-quota-bytes", quota_bytes, _LEAST_QUOTA, _MOST_QUOTA)
    return quota_bytes


def _check(name: str, value: int, least: int, most: int, zero: str = "; 0 means no limit") -> None:
    if not least <= value <= most:
        none = zero if least == 0 else ""
        raise InvalidInput(f"--{name} {value} is out of range; allowed are {least} to {most}{none}", field=name)
