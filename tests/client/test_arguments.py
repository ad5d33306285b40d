"""Arguments of clients that mean nothing, or something else, are refused by both, with their field and a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
