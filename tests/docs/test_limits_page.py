"""docs/limits.md has the limits of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator import limits
from coordinator import server_limits as server
from coordinator.engine.topics import MAX_TOPICS
from coordinator.limits import HISTORY_LIMIT, MAX_SESSION_BYTES, MAX_WORK_KEY_BYTES
from coordinator.service.admission.budgets import BURST_SHARE, REFILL_SECONDS
from coordinator.store.embedded.embedded_etcd import DEFAULT_QUOTA_BYTES, NEEDED_BYTES
from coordinator.store.storage_quota import LOOK_SECONDS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "limits.md").read_text(encoding="utf-8")
MIB = 1024 * 1024
SETTINGS = server.LimitSettings()

ROWS = {
    "work key": f"{MAX_WORK_KEY_BYTES} bytes",
    "session": f"{MAX_SESSION_BYTES} bytes",
    "note, reason, result": f"{limits.MAX_TEXT_BYTES} bytes each",
    "TTL": f"{limits.MIN_TTL_SECONDS:g} to {limits.MAX_TTL_SECONDS:.0f} seconds",
    "brief of submitted work": f"{limits.MAX_TEXT_BYTES} bytes",
    "priority of submitted work": f"-{limits.MAX_PRIORITY} to {limits.MAX_PRIORITY}",
    "what one piece of work depends on": f"{limits.MAX_DEPENDENCIES}",
    "pieces of work in the pool of a fleet": f"{limits.MAX_POOLED}; calls at the same time may exceed it",
    "work keys that are followed to find a circle": f"{limits.MAX_WALKED_KEYS}",
    "work keys in one `ClaimMany`, `RenewMany` or `Submit`": f"{limits.MAX_ITEMS}",
    "candidates of one `ClaimNext`": f"{limits.MAX_CANDIDATES}",
    "topics that a claim says it is distinct from": f"{limits.MAX_DISTINCT_FROM}",
    "similar topics that are shown": f"{limits.MAX_SIMILAR_SHOWN}",
    "topics of a fleet that a replica knows": f"{MAX_TOPICS}",
    "live claims below a pattern": "none",
    "policies of a fleet": f"{limits.MAX_POLICIES}",
    "cooldown of a policy or a request": f"{limits.MIN_REPEAT_SECONDS:g} second to "
    f"{limits.MAX_REPEAT_SECONDS / 86_400:g} days",
    "attempts of a policy": f"1 to {limits.MAX_MAX_ATTEMPTS}",
    "request": f"{server.MAX_REQUEST_BYTES // MIB} MiB",
    "page of `List` or `Log`": f"{limits.MAX_PAGE_SIZE} rows, {limits.MAX_PAGE_BYTES // MIB} MiB",
    "history in `Get`": f"{HISTORY_LIMIT} attempts, {limits.MAX_PAGE_BYTES // MIB} MiB",
    "calls answered at a time": f"{SETTINGS.max_calls}",
    "the same, of one connection": "half of that",
    "calls that wait for work (`--wait`)": f"{SETTINGS.max_waiters}",
    "work keys that are waited for": f"{server.MAX_WAITED_KEYS}, those of one list once",
    "requests that wait": f"{server.MAX_WAITING_REQUEST_BYTES // MIB} MiB in all",
    "one call that waits": f"{limits.HELD_CALL_SECONDS:.0f} seconds",
    "`Get`, `List`, `Log`, `Briefing`, `Hot` answered at a time": f"{server.MAX_LARGE_CALLS}, the others wait in turn",
    "answers that their callers do not read": f"{server.MAX_UNREAD_ANSWERS}, {server.MAX_UNREAD_BYTES // MIB} MiB",
    "calls whose credential or request has not come": f"{server.MAX_UNADMITTED_CALLS}, "
    "those of one connection its share",
    "requests being answered": f"{server.MAX_WAITING_BYTES // MIB} MiB in all",
    "live claims of a session": f"{SETTINGS.max_claims_per_session or 'none'}",
    "live claims of a fleet": f"{SETTINGS.max_claims_per_fleet or 'none'}",
    "etcd's storage": f"{server.SPACE_SHARE:.0%} of the quota".replace("%", " %"),
    "bytes written for a fleet": f"{BURST_SHARE / REFILL_SECONDS * 60:.0%} of the quota in a minute, "
    f"{BURST_SHARE:.0%} at once".replace("%", " %"),
    "bytes written by a credential": "half of that",
    "watchers": f"{server.MAX_WATCHERS}",
    "watchers of one connection": f"{server.MAX_WATCHERS_OF_A_CONNECTION}",
    "watches that read from etcd at a time": f"{server.MAX_READING_WATCHES}, the others wait in turn",
    "what waits for a watcher": f"{server.MAX_WAITING_EVENTS} events, {server.MAX_WAITING_EVENT_BYTES // 1024} KiB, "
    f"{server.SLOW_WATCHER_SECONDS:.0f} seconds",
    "connections over HTTP": f"{server.MAX_HTTP_CONNECTIONS}, fewer where few files may be open",
    "head of a request over HTTP": f"{server.MAX_HEADER_BYTES // 1024} KiB, {server.HTTP_HEAD_SECONDS:.0f} seconds",
    "an answer over HTTP that is not read": f"{server.HTTP_READER_SECONDS:.0f} seconds",
    "sessions that are served at `/mcp`": f"{server.MAX_AGENTS}; one without claims gives way",
    "readers of `/metrics`": f"{server.MAX_METRICS_READERS} at a time, {server.HTTP_READER_SECONDS:.0f} seconds each",
}


def table() -> dict[str, list[str]]:
    """Return the rows of the page's one table by their first cells."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:2] == "| "]
    return {row[0]: row[1:] for row in rows[1:]}


def test_the_table_has_every_limit_and_no_other() -> None:
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("limit", ROWS)
def test_the_table_has_the_limit_of_the_code(limit: str) -> None:
    assert table()[limit][0] == ROWS[limit]


def test_every_option_that_the_page_names_is_one_of_a_coordinator() -> None:
    from coordinator.cli.server.up_arguments import limit_arguments

    settings = server.LimitSettings(
        max_claims_per_session=1,
        max_claims_per_fleet=1,
        max_calls=2,
        max_waiters=1,
        max_write_rate_per_fleet=1,
        max_write_rate_per_credential=1,
    )
    known = set(limit_arguments(settings, 1)[::2])
    named = set(re.findall(r"`(--[a-z-]+)`", PAGE))
    assert known <= named
    others = {"--quota-backend-bytes", "--retention-days", "--tokens", "--reopen", "--max-live", "--wait"}
    assert named - known <= others


def test_the_text_has_the_figures_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"quota of {DEFAULT_QUOTA_BYTES // 1024**3} GiB" in text
    assert f"needs {NEEDED_BYTES // 1_000_000} MB of free disk" in text
    assert f"looks every {('zero', 'one', 'two', 'three')[int(LOOK_SECONDS)]} seconds" in text
