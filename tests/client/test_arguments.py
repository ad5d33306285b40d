"""Arguments of clients that mean nothing, or something else, are refused by both, with their field and a sentence."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from tests.client.both_clients import KEY, Driven

EMPTY: list[tuple[str, Callable[[Driven], Awaitable[Any]]]] = [
    ("session", lambda client: client.list_page(session="")),
    ("session", lambda client: client.list(session=" ")),
    ("session", lambda client: client.watch(session="")),
    ("session", lambda client: client.log_page("")),
    ("session", lambda client: client.claim("", KEY)),
    ("kind", lambda client: client.list_page(kind="")),
    ("kind", lambda client: client.hot(kind="\t")),
    ("kinds", lambda client: client.briefing(kinds=["task", ""])),
    ("state", lambda client: client.list_page(states=[""])),
    ("request_id", lambda client: client.complete("session-1", KEY, request_id="")),
    ("request_id", lambda client: client.claim_many("session-1", [KEY], request_id="")),
    ("work_key", lambda client: client.get("")),
]


async def test_9_empty_arguments_are_refused(client: Driven) -> None:
    for field, call in EMPTY:
        with pytest.raises(InvalidInput) as raised:
            await call(client)
        assert raised.value.field == field


@pytest.mark.parametrize("sort", [AsyncClient, Client])
def test_9_an_empty_fleet_is_not_the_default_one(sort: type[AsyncClient | Client]) -> None:
    with pytest.raises(InvalidInput, match="fleet is empty; it must be named"):
        sort(fleet="")


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


HUGE = 10**5000
BAD: list[tuple[str, Callable[[Driven], Awaitable[Any]]]] = [
    *(
        ("ttl", lambda client, ttl=ttl: client.claim("session-1", KEY, ttl))
        for ttl in (
            10**400,
            -(10**400),
            HUGE,
            1e400,
            math.nan,
            b"60",
            [60],
            Decimal(60),
            timedelta.max,
            "60",
            4.999999999,
        )
    ),
    ("ttl", lambda client: client.claim_next("session-1", [KEY], 10**400)),
    ("ttl", lambda client: client.renew("session-1", KEY, _Unprintable())),
    ("repeat_after", lambda client: client.claim("session-1", KEY, repeat_after=10**400)),
    ("repeat", lambda client: client.set_policy("task", repeat=-HUGE)),
    ("max_age", lambda client: client.hot(max_age=10**400)),
    ("max_age", lambda client: client.briefing(max_age=HUGE)),
    ("min_age", lambda client: client.reap(10**400)),
    ("token", lambda client: client.claim("session-1", KEY, token=HUGE)),
    ("token", lambda client: client.claim("session-1", KEY, token=True)),
    ("limit", lambda client: client.hot(limit=-HUGE)),
    ("max_live", lambda client: client.set_policy("task", max_live="1_0")),
    ("page_size", lambda client: client.list_page(page_size=HUGE)),
    ("reopen", lambda client: client.claim("session-1", KEY, reopen="yes")),
    ("reopen", lambda client: client.claim("session-1", KEY, reopen=HUGE)),
    ("reopen", lambda client: client.claim("session-1", KEY, reopen=_Unprintable())),
    ("since", lambda client: client.log_page("session-1", since="yesterday")),
    ("since", lambda client: client.log_page("session-1", since=date(2026, 6, 14))),
    ("since", lambda client: client.log_page("session-1", since=1_750_000_000)),
    ("keys", lambda client: client.claim_many("session-1", None)),
    ("candidates", lambda client: client.claim_next("session-1", 7)),
    ("candidates", lambda client: client.claim_next("session-1", b"task:x")),
    ("states", lambda client: client.list_page(states=None)),
    ("state", lambda client: client.list_page(states=[HUGE])),
    ("kinds", lambda client: client.briefing(kinds=1.5)),
]


async def test_10_arguments_that_are_no_value_of_their_kind_are_refused(client: Driven) -> None:
    for field, call in BAD:
        with pytest.raises(InvalidInput) as raised:
            await call(client)
        assert (raised.value.field, len(raised.value.message) < 200) == (field, True), raised.value.message


ENDPOINTS: list[Any] = [7420, 7420.0, True, b"127.0.0.1:7420", [7420], [None], HUGE]
SWITCHES: list[Any] = ["off", "no", 0, 1, []]
PATHS: list[Any] = [7, b"/x", [], "a\0b"]
TIMEOUTS: list[Any] = [10**400, HUGE, 1e308, True, "5", b"5", [5]]


@pytest.mark.parametrize("sort", [AsyncClient, Client])
def test_10_settings_that_are_no_value_of_their_kind_are_refused(sort: Any) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        *(("endpoint", {"endpoints": each}) for each in ENDPOINTS),
        *(("timeout", {"timeout": each}) for each in TIMEOUTS),
        *(("tls", {"tls": each}) for each in SWITCHES),
        *((name, {name: each}) for name in ("ca", "cert", "key", "token_file") for each in PATHS),
        ("fleet", {"fleet": HUGE}),
    ]
    for field, settings in bad:
        with pytest.raises(InvalidInput) as raised:
            sort(**settings)
        assert (raised.value.field, len(raised.value.message) < 200) == (field, True), raised.value.message
