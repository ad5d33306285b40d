"""The ranges of what callers may ask for, and what they get where they name nothing.

How much a coordinator takes on at a time is in ``server_limits.py``. ``docs/limits.md`` has the same figures for
readers; a test compares them.
"""

from __future__ import annotations

import math
import re

from coordinator.errors import InvalidInput
from coordinator.patterns import Pattern

__all__ = [
    "BACK_OFF_SECONDS",
    "DEFAULT_BRIEFED_SECONDS",
    "DEFAULT_BRIEFING_CHARACTERS",
    "DEFAULT_CERTIFICATE_DAYS",
    "DEFAULT_HOLD_SECONDS",
    "DEFAULT_HOT_KEYS",
    "DEFAULT_HOT_SECONDS",
    "DEFAULT_MAX_ATTEMPTS",
    "DEFAULT_PAGE_SIZE",
    "DEFAULT_TTL_SECONDS",
    "HELD_CALL_SECONDS",
    "HISTORY_LIMIT",
    "MAX_BRIEFED_KINDS",
    "MAX_BRIEFED_SECONDS",
    "MAX_BRIEFING_CHARACTERS",
    "MAX_CANDIDATES",
    "MAX_DEPENDENCIES",
    "MAX_DISTINCT_FROM",
    "MAX_FLEET_CHARACTERS",
    "MAX_HOT_KEYS",
    "MAX_ID_BYTES",
    "MAX_IMPORTED_ATTEMPT",
    "MAX_ITEMS",
    "MAX_KIND_CHARACTERS",
    "MAX_MAX_ATTEMPTS",
    "MAX_MAX_LIVE",
    "MAX_PAGE_BYTES",
    "MAX_PAGE_SIZE",
    "MAX_POLICIES",
    "MAX_POOLED",
    "MAX_PRIORITY",
    "MAX_REPEAT_SECONDS",
    "MAX_SESSION_BYTES",
    "MAX_SIMILAR_SHOWN",
    "MAX_TEXT_BYTES",
    "MAX_TIMEOUT_SECONDS",
    "MAX_TRIES",
    "MAX_TTL_SECONDS",
    "MAX_WAIT_SECONDS",
    "MAX_WALKED_KEYS",
    "MAX_WORK_KEY_BYTES",
    "MIN_BRIEFING_CHARACTERS",
    "MIN_REPEAT_SECONDS",
    "MIN_TIMEOUT_SECONDS",
    "MIN_TTL_SECONDS",
    "SUBMITTED_AT_ONCE",
    "check_briefing_characters",
    "check_dependencies",
    "check_distinct_from",
    "check_page_size",
    "check_priority",
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
#: How many ended attempts of a work key are kept.
HISTORY_LIMIT = 100
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
#: How long one call is held at most while it waits for work, and for how long a caller may wait in all, in seconds.
HELD_CALL_SECONDS = 45.0
MAX_WAIT_SECONDS = 7 * _DAY_SECONDS
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


#: A number as it is typed: ASCII digits, without the underscores and other scripts that Python's float() takes.
_NUMBER = Pattern(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


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


def check_priority(priority: int) -> int:
    """Return a priority if it is in range; raises ``InvalidInput`` otherwise."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInput(
            f"a priority of {priority} is out of range; allowed are {-MAX_PRIORITY} to {MAX_PRIORITY}", field="priority"
        )
    return priority


def check_dependencies(count: int) -> None:
    """Raise ``InvalidInput`` where work is to depend on too many others."""
    if count > MAX_DEPENDENCIES:
        raise InvalidInput(
            f"the work depends on more than {MAX_DEPENDENCIES} others; at most {MAX_DEPENDENCIES} are allowed",
            field="depends",
        )


def check_distinct_from(count: int) -> None:
    """Raise ``InvalidInput`` where work is said to be distinct from too many topics."""
    if count > MAX_DISTINCT_FROM:
        raise InvalidInput(
            f"distinct_from names more than {MAX_DISTINCT_FROM} topics; at most {MAX_DISTINCT_FROM} are allowed",
            field="distinct_from",
        )


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
