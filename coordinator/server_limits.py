"""How much a coordinator takes on at a time, and the defaults of the options by which an operator changes that.

What callers may ask for is in ``limits.py``. ``docs/limits.md`` has the same figures for readers; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.errors import InvalidInput

__all__ = [
    "CROWDED_RECEIVE_SECONDS",
    "CROWDED_UNREAD_SECONDS",
    "DEFAULT_MAX_CALLS",
    "DEFAULT_MAX_WAITERS",
    "DEFAULT_RETENTION_DAYS",
    "FEWEST_FILES",
    "FEWEST_FILES_WITH_ETCD",
    "HANDSHAKE_SECONDS",
    "HTTP_HEAD_SECONDS",
    "HTTP_IDLE_SECONDS",
    "HTTP_READER_SECONDS",
    "HTTP_SILENT_SECONDS",
    "IDLE_SECONDS",
    "KEEPALIVE_SECONDS",
    "KEEPALIVE_TIMEOUT_SECONDS",
    "MAX_AGENTS",
    "MAX_CONNECTIONS",
    "MAX_HEADER_BYTES",
    "MAX_HTTP_CONNECTIONS",
    "MAX_LARGE_CALLS",
    "MAX_METRICS_READERS",
    "MAX_READING_WATCHES",
    "MAX_REFUSED_OF_A_CONNECTION",
    "MAX_REFUSED_PER_SECOND",
    "MAX_REQUEST_BYTES",
    "MAX_SHARED_READINGS",
    "MAX_SMALL_REQUEST_BYTES",
    "MAX_STREAMS_OF_A_CONNECTION",
    "MAX_UNADMITTED_CALLS",
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
    "MAX_WATCHERS",
    "MAX_WATCHERS_OF_A_CONNECTION",
    "MOST_UNTAKEN_CALLS",
    "PLACES_FOR_NEWCOMERS",
    "RECEIVE_SECONDS",
    "RESERVED_FILES",
    "SLOW_WATCHER_SECONDS",
    "SPACE_SHARE",
    "UNREAD_SECONDS",
    "WINDOW_BYTES",
    "LimitSettings",
    "check_quota",
]

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
#: may wait while there are more. From eight times as many, or four times the bytes, on that is less, and this at least.
#: A call whose answer waits takes about 15 KB itself, and callers send 20,000 of them in a second or two.
MAX_UNREAD_ANSWERS = 256
MAX_UNREAD_BYTES = 8 * 1024 * 1024
UNREAD_SECONDS = 0.5
CROWDED_UNREAD_SECONDS = 0.1
#: How much of a call's body is taken before the call is looked at, and how much its headers may be, in bytes.
WINDOW_BYTES = 4 * 1024
MAX_HEADER_BYTES = 16 * 1024
#: Calls of one connection at a time; clients of gRPC wait by themselves before they send more.
MAX_STREAMS_OF_A_CONNECTION = 128
#: Calls of all connections that have come and are not taken up yet; from here on some are refused, and all beyond the
#: second figure.
MAX_UNTAKEN_CALLS, MOST_UNTAKEN_CALLS = 1_536, 3_072
#: Calls of all connections that are taken up and not let in, because their requests have not come, before connections
#: have shares of them: as many as 20 connections may send. Each takes about 30 KB.
MAX_UNADMITTED_CALLS = 20 * MAX_STREAMS_OF_A_CONNECTION
#: Calls that are refused in a second before they were let in, and how many of one connection are answered beyond that;
#: the rest is dropped. An answer takes a quarter of a millisecond.
MAX_REFUSED_PER_SECOND, MAX_REFUSED_OF_A_CONNECTION = 500, 4
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
#: Sessions of agents that a coordinator serves at `/mcp` at a time. Each takes about 20 KB, and a renewal of what it
#: holds every few minutes.
MAX_AGENTS = 1_000
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


def check_quota(quota_bytes: int | None) -> int | None:
    """Return etcd's storage quota in bytes if it is at least 1 MiB or None; raises ``InvalidInput`` otherwise."""
    if quota_bytes is not None:
        _check("etcd-quota-bytes", quota_bytes, _LEAST_QUOTA, _MOST_QUOTA)
    return quota_bytes


def _check(name: str, value: int, least: int, most: int, zero: str = "; 0 means no limit") -> None:
    if not least <= value <= most:
        none = zero if least == 0 else ""
        raise InvalidInput(f"--{name} {value} is out of range; allowed are {least} to {most}{none}", field=name)
