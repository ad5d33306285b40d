"""A session as the campaign has twenty of: it does whatever a session may do, and much that it should not.

It claims, chooses, renews, completes and releases; it forgets what it holds, comes back after its deadline, sends a
request again that was answered, and is restarted under its name; it acts as an operator, and looks around.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from coordinator import AsyncClient, Claim
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, OutcomeUnknown
from tests.campaigns.faults.answers import answer_of
from tests.campaigns.faults.notes import Notes

__all__ = ["GENERATION_SECONDS", "Session", "keys_of_generation"]

#: How long a set of work keys is used before the next one, in seconds.
GENERATION_SECONDS = 20.0
#: How long a call may take, in seconds, and how long a session thinks between two.
CALL_SECONDS, THINK_SECONDS = 4.0, 0.45
_TTLS = (5.0, 5.0, 6.0, 8.0)


def keys_of_generation(number: int) -> list[str]:
    """Return the work keys of which one generation takes its work, those of the pool left out."""
    keys = [f"task:g{number}-{each}" for each in range(9)]
    keys += [f"lock:g{number}-{each}" for each in range(3)]
    return keys + [f"job:g{number}-{each}" for each in range(3)]


@dataclass
class Held:
    """What the session believes that it holds."""

    key: str
    token: int
    deadline: float


class Session:
    """One session. ``started`` is when the campaign began, from which generations are counted."""

    @property
    def actions(self) -> dict[str, int]:
        """What it does, and how often, by the names of methods."""
        return _ACTIONS

    def __init__(self, notes: Notes, name: str, endpoints: str, fleet: str, seed: str, started: float) -> None:
        self._notes = notes
        self._name = name
        self._endpoints = endpoints
        self._fleet = fleet
        self._chance = random.Random(seed)
        self._started = started
        self._held: list[Held] = []
        self._again: list[Callable[[], Awaitable[Any]]] = []
        self._life = 0
        self._client = self._new_client()

    def _new_client(self) -> AsyncClient:
        self._life += 1
        self._instance = f"{self._name}.{self._life}"
        return AsyncClient(self._endpoints, fleet=self._fleet, timeout=CALL_SECONDS, instance=self._instance)

    async def run(self, until: float) -> None:
        """Act until a time on the boot-time clock."""
        names = [*self.actions]
        weights = [self.actions[name] for name in names]
        while boot_seconds() < until:
            name = self._chance.choices(names, weights)[0]
            try:
                await getattr(self, f"_do_{name}")()
            except CoordinatorError as error:
                if not isinstance(error, OutcomeUnknown):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(self._chance.uniform(0.3, 1.7) * THINK_SECONDS)
        await self._client.aclose()

    async def _call(self, do: str, args: dict[str, Any], ask: Callable[..., Awaitable[Any]]) -> Any:
        """Make a call and note it; what is in doubt is mostly asked again, and sometimes what was answered."""
        args = {"request_id": uuid.uuid4().hex, "instance": self._instance, **args}
        try:
            found = await self._once(do, args, ask)
        except OutcomeUnknown:
            if self._chance.random() < 0.3:
                raise
            found = await self._once(do, args, ask)
        if self._chance.random() < 0.1 and do in ("claim", "claim_next", "complete", "release"):
            self._again = [*self._again[-4:], partial(self._once, do, args, ask)]
        return found

    async def _once(self, do: str, args: dict[str, Any], ask: Callable[..., Awaitable[Any]]) -> Any:
        call = self._notes.begin(self._instance, self._name, do, args)
        try:
            found = await ask(request_id=args["request_id"])
        except CoordinatorError as error:
            self._notes.end(call, answer_of(error))
            raise
        self._notes.end(call, answer_of(found))
        return found

    def _key(self) -> str:
        number = int((boot_seconds() - self._started) / GENERATION_SECONDS)
        if self._chance.random() < 0.2 and number:
            number -= 1
        return self._chance.choice(keys_of_generation(number))

    def _keys(self, most: int) -> list[str]:
        return [*dict.fromkeys(self._key() for _ in range(self._chance.randint(2, most)))]

    def _pool_key(self) -> str:
        number = int((boot_seconds() - self._started) / GENERATION_SECONDS)
        return f"pool:g{number}-{self._chance.randrange(12)}"

    def _keep(self, answer: object) -> None:
        if isinstance(answer, Claim):
            self._held = [each for each in self._held if each.token != answer.fencing_token]
            self._held.append(Held(answer.work_key, answer.fencing_token, answer.deadline or 0.0))

    def _take(self) -> Held | None:
        if not self._held:
            return None
        return self._held.pop(self._chance.randrange(len(self._held)))

    async def _do_claim(self) -> None:
        key, ttl = self._key(), self._chance.choice(_TTLS)
        reopen = self._chance.random() < 0.1
        claim = partial(self._client.try_claim, self._name, key, ttl, reopen=reopen)
        self._keep(await self._call("claim", {"key": key, "ttl": ttl, "reopen": reopen}, claim))

    async def _do_wait(self) -> None:
        key, ttl, wait = self._key(), self._chance.choice(_TTLS), self._chance.uniform(0.5, 5.0)
        claim = partial(self._client.try_claim, self._name, key, ttl, wait=wait)
        self._keep(await self._call("claim", {"key": key, "ttl": ttl, "wait": wait}, claim))

    async def _do_claim_many(self) -> None:
        keys, ttl = self._keys(4), self._chance.choice(_TTLS)
        claim = partial(self._client.claim_many, self._name, keys, ttl)
        for answer in await self._call("claim_many", {"keys": keys, "ttl": ttl}, claim):
            self._keep(answer)

    async def _do_choose(self) -> None:
        keys, ttl = self._keys(6), self._chance.choice(_TTLS)
        claim = partial(self._client.try_claim_next, self._name, keys, ttl)
        self._keep(await self._call("claim_next", {"candidates": keys, "ttl": ttl}, claim))

    async def _do_take(self) -> None:
        ttl, wait = self._chance.choice(_TTLS), self._chance.choice((None, None, 2.0))
        claim = partial(self._client.try_claim_next, self._name, None, ttl, wait=wait)
        args = {"candidates": None, "ttl": ttl, "kind": "", "wait": wait, "wall": time.time()}
        self._keep(await self._call("claim_next", args, claim))

    async def _do_renew(self) -> None:
        held = self._take()
        if held is None:
            return
        renew = partial(
            self._client.renew,
            self._name,
            held.key,
            self._chance.choice((None, *_TTLS)),
            note=self._chance.choice((None, "half done")),
            token=held.token,
        )
        self._keep(await self._call("renew", {"key": held.key, "token": held.token}, renew))

    async def _do_complete(self) -> None:
        await self._end("complete")

    async def _do_release(self) -> None:
        await self._end("release")

    async def _end(self, do: str) -> None:
        held = self._take()
        if held is None:
            return
        if do == "complete":
            ask = partial(self._client.complete, self._name, held.key, token=held.token)
        else:
            failed = self._chance.random() < 0.3
            ask = partial(self._client.release, self._name, held.key, token=held.token, failed=failed)
        await self._call(do, {"key": held.key, "token": held.token}, ask)

    async def _do_come_late(self) -> None:
        """Wake when the claim has expired, and end it all the same."""
        held = self._take()
        if held is None:
            return
        await asyncio.sleep(max(0.0, held.deadline - boot_seconds()) + self._chance.uniform(-0.5, 4.0) % 4.5)
        self._held.append(held)
        await self._end(self._chance.choice(("complete", "complete", "release")))

    async def _do_forget(self) -> None:
        self._take()

    async def _do_restart(self) -> None:
        """Be another process under the same name, which does not know what the first one holds."""
        old, self._client, self._held, self._again = self._client, self._new_client(), [], []
        await old.aclose()

    async def _do_repeat(self) -> None:
        if self._again:
            self._keep(await self._again.pop()())

    async def _do_get(self) -> None:
        key = self._chance.choice((self._key(), self._key(), self._pool_key()))
        await self._look("get", {"key": key}, lambda: self._client.get(key))

    async def _do_list(self) -> None:
        kind = self._chance.choice(("task", "lock", "job"))
        await self._look("list", {"kind": kind}, lambda: self._client.list_page(kind=kind, page_size=30))

    async def _do_look(self) -> None:
        looks: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("briefing", self._client.briefing),
            ("status", lambda: self._client.status(progress=True)),
            ("log", lambda: self._client.log_page(self._name)),
            ("hot", self._client.hot),
            ("reap", self._client.reap),
            ("expired", self._client.expired),
            ("list_policies", self._client.list_policies),
            ("explain", lambda: self._client.try_claim_next(self._name, None, explain=True)),
        ]
        do, ask = self._chance.choice(looks)
        await self._look(do, {}, ask)

    async def _look(self, do: str, args: dict[str, Any], ask: Callable[[], Awaitable[Any]]) -> None:
        call = self._notes.begin(self._instance, self._name, do, args)
        try:
            found = await ask()
        except CoordinatorError as error:
            self._notes.end(call, answer_of(error))
            raise
        self._notes.end(call, answer_of(found) if do in ("get", "list") else {})

    async def _do_submit(self) -> None:
        key = self._pool_key()
        depends = [each for each in {self._pool_key() for _ in range(2)} if each != key]
        named = depends if self._chance.random() < 0.3 else None
        submit = partial(
            self._client.submit, self._name, key, priority=self._chance.randrange(5), depends=named, brief="do it"
        )
        await self._call("submit", {"key": key}, submit)

    async def _do_withdraw(self) -> None:
        key = self._pool_key()
        await self._call("submit", {"key": key}, partial(self._client.submit, self._name, key, withdraw=True))

    async def _do_operate(self) -> None:
        """Do what operators do."""
        key = self._chance.choice((self._key(), self._key(), self._pool_key()))
        do = self._chance.choice(("revoke", "revoke", "acknowledge", "reopen", "policy"))
        if do == "revoke":
            at_once = self._chance.random() < 0.5
            revoke = partial(self._client.revoke, key, at_once=at_once)
            await self._call(do, {"key": key, "at_once": at_once}, revoke)
        elif do == "acknowledge":
            await self._call(do, {"key": key}, partial(self._client.acknowledge, key))
        elif do == "reopen":
            await self._call(do, {"key": key, "pooled": key.startswith("pool:")}, partial(self._client.reopen, key))
        elif self._chance.random() < 0.6:
            repeat: Any = self._chance.choice(("never", "always", 2.0))
            setting = partial(self._client.set_policy, "job", repeat=repeat, max_live=self._chance.randint(1, 4))
            await self._call("set_policy", {"pattern": "job"}, setting)
        else:
            await self._call("unset_policy", {"pattern": "job"}, partial(self._client.unset_policy, "job"))


#: What a session does, and how often, by the name of the method.
_ACTIONS = {
    "claim": 22,
    "wait": 4,
    "claim_many": 5,
    "choose": 9,
    "take": 9,
    "renew": 14,
    "complete": 10,
    "release": 6,
    "come_late": 4,
    "forget": 2,
    "restart": 1,
    "repeat": 3,
    "get": 8,
    "list": 2,
    "look": 3,
    "submit": 8,
    "withdraw": 1,
    "operate": 5,
}
