"""What could never be right is refused by both clients, with its field."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from tests.client.both_clients import KEY, Driven


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("session", lambda client: client.claim(7, KEY)),
        ("session", lambda client: client.claim(None, KEY)),
        ("session", lambda client: client.claim("", KEY)),
        ("session", lambda client: client.renew(b"session-1", KEY)),
        # Session and key swapped.
        ("session", lambda client: client.claim("https://github.com/gptme/gptme/pull/2880", "session-1")),
        ("session", lambda client: client.complete("github:gptme/gptme", "session-1")),
        ("session", lambda client: client.claim_many("task:db-migration", ["session-1"])),
        ("work_key", lambda client: client.claim("session-1", None)),
        ("work_key", lambda client: client.get(2880)),
        ("work_key", lambda client: client.complete("session-1", "\ud800")),
        ("ttl", lambda client: client.claim("session-1", KEY, "60")),
        ("ttl", lambda client: client.claim("session-1", KEY, True)),
        ("ttl", lambda client: client.claim("session-1", KEY, math.nan)),
        ("ttl", lambda client: client.claim("session-1", KEY, math.inf)),
        ("ttl", lambda client: client.claim("session-1", KEY, -60)),
        ("ttl", lambda client: client.claim("session-1", KEY, 4.9)),
        ("ttl", lambda client: client.claim("session-1", KEY, timedelta(days=8))),
        ("ttl", lambda client: client.renew("session-1", KEY, timedelta.max)),
        ("note", lambda client: client.claim("session-1", KEY, note=1)),
        ("note", lambda client: client.claim("session-1", KEY, note="n" * 16385)),
        ("result", lambda client: client.complete("session-1", KEY, result=["merged"])),
        ("reason", lambda client: client.release("session-1", KEY, reason=1)),
        ("request_id", lambda client: client.claim("session-1", KEY, request_id=1)),
        ("candidates", lambda client: client.claim_next("session-1", (f"task:{number}" for number in count()))),
        ("candidates", lambda client: client.claim_next("session-1", ["task:many"] * 200_000)),
        ("min_age", lambda client: client.reap(-1)),
        ("min_age", lambda client: client.reap("1h")),
        ("state", lambda client: client.list(states=["lost"])),
        ("kind", lambda client: client.list(kind=1)),
        ("page_size", lambda client: client.list_page(page_size=1001)),
        ("page_size", lambda client: client.log_page("session-1", page_size=-1)),
    ],
)
async def test_what_could_never_be_right_is_refused(
    field: str, call: Callable[[Driven], Awaitable[Any]], client: Driven
) -> None:
    with pytest.raises(InvalidInput) as raised:
        await call(client)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("endpoint", {"endpoints": ""}),
        ("endpoint", {"endpoints": []}),
        ("endpoint", {"endpoints": "nowhere"}),
        ("endpoint", {"endpoints": ["127.0.0.1:7420", "127.0.0.1:0"]}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": math.nan}),
        ("timeout", {"timeout": math.inf}),
        ("fleet", {"fleet": 1}),
        ("instance", {"instance": 1}),
    ],
)
def test_settings_that_could_never_be_right_are_refused(field: str, settings: dict[str, Any]) -> None:
    for kind in (AsyncClient, Client):
        with pytest.raises(InvalidInput) as raised:
            kind(**settings)
        assert raised.value.field == field
