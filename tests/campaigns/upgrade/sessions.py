"""A session that does what the first release serves, and nothing that came later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.campaigns.faults.sessions import Session

__all__ = ["SessionOfRelease"]

_ACTIONS = {
    "claim": 24,
    "claim_many": 6,
    "renew": 14,
    "complete": 10,
    "release": 7,
    "come_late": 4,
    "forget": 3,
    "restart": 1,
    "repeat": 3,
    "get": 8,
    "list": 2,
    "look": 3,
    "operate": 3,
}


class SessionOfRelease(Session):
    """One session: no policies, no pool, no choice among many, and revocations at once only."""

    @property
    def actions(self) -> dict[str, int]:
        """What it does, and how often."""
        return _ACTIONS

    def _key(self) -> str:
        # Of locks and jobs the first release does not know that they may be repeated.
        key = super()._key()
        return key if key.startswith("task:") else f"task:{key.partition(':')[2]}"

    def _pool_key(self) -> str:
        return self._key()

    async def _do_claim(self) -> None:
        # Not of finished work: what becomes of it if the claim expires has changed since.
        key, ttl = self._key(), self._chance.choice((5.0, 5.0, 6.0, 8.0))
        self._keep(
            await self._call("claim", {"key": key, "ttl": ttl}, partial(self._client.try_claim, self._name, key, ttl))
        )

    async def _end(self, do: str) -> None:
        held = self._take()
        if held is None:
            return
        end = self._client.complete if do == "complete" else self._client.release
        await self._call(
            do, {"key": held.key, "token": held.token}, partial(end, self._name, held.key, token=held.token)
        )

    async def _do_look(self) -> None:
        looks: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("briefing", self._client.briefing),
            ("status", self._client.status),
            ("log", lambda: self._client.log_page(self._name)),
            ("reap", self._client.reap),
        ]
        do, ask = self._chance.choice(looks)
        await self._look(do, {}, ask)

    async def _do_operate(self) -> None:
        key = self._key()
        if self._chance.random() < 0.6:
            revoke = partial(self._client.revoke, key, at_once=True)
            await self._call("revoke", {"key": key, "at_once": True}, revoke)
        else:
            await self._call("acknowledge", {"key": key}, partial(self._client.acknowledge, key))
