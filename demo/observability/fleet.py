"""A fleet that converges on the same work all the time, and counts what it is answered.

Work comes in rounds: of each kind one piece, which a crowd of sessions claims at once, through all coordinators. One of
them gets it and completes it, releases it, has it revoked, or lets it expire. What the coordinators' counters must
say is in ``Counts``. Who gets it is chance, but not how many are denied: each attempt of a round has one grant and as
many denials as its crowd is large, so that the convergence rate is the same at all times.

Invariant: whatever was answered is counted, and nothing else; where a call fails, the round fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from coordinator import AsyncClient, Claim, Denial, State
from coordinator.errors import Refused
from coordinator.model import WorkDetails

__all__ = ["CROWDS", "Counts", "FleetLoad"]

#: How many sessions want each piece of work, by its kind.
CROWDS: Mapping[str, int] = {"github": 6, "task": 3, "blog": 2}
#: Of so many pieces one ends otherwise than completed: released, revoked, or expired.
_RELEASED_EVERY = 4
_REVOKED_EVERY = 9
#: Of so many pieces one that was released is claimed again; the others stay loose ends.
_TAKEN_UP_EVERY = 8
#: The shortest there is.
_SHORT_TTL = 5.0
_TTL = 900.0
_LOOK_SECONDS = 0.05
_LIMIT_SECONDS = 60.0

_Session = tuple[str, AsyncClient]


@dataclass
class Counts:
    """What the counters of all coordinators must have gone up by: the keys are the values of their labels."""

    #: (kind, outcome), (kind, reason), (kind, place), (kind, reason), (kind, late), (kind, cause)
    claims: Counter[tuple[str, str]] = field(default_factory=Counter)
    denials: Counter[tuple[str, str]] = field(default_factory=Counter)
    placements: Counter[tuple[str, str]] = field(default_factory=Counter)
    skips: Counter[tuple[str, str]] = field(default_factory=Counter)
    completions: Counter[tuple[str, str]] = field(default_factory=Counter)
    abandonments: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Attempts that ended, and distinct sessions denied while those were live.
    attempts: int = 0
    contenders: int = 0

    def __sub__(self, before: Counts) -> Counts:
        """Return what was counted since."""
        return Counts(
            claims=self.claims - before.claims,
            denials=self.denials - before.denials,
            placements=self.placements - before.placements,
            skips=self.skips - before.skips,
            completions=self.completions - before.completions,
            abandonments=self.abandonments - before.abandonments,
            attempts=self.attempts - before.attempts,
            contenders=self.contenders - before.contenders,
        )

    def convergence_rate(self, kind: str | None = None) -> float:
        """Return contended asks / asks, of one kind or of all."""
        answered: Counter[str] = Counter()
        for (of, what), number in (*self.claims.items(), *self.placements.items()):
            if kind in (None, of):
                answered[what] += number
        contended = answered["denied"] + answered["later"] + answered["none"]
        return contended / (answered["granted"] + answered["denied"] + answered["none"])


class FleetLoad:
    """Sessions of one fleet, whose claims go to all ``endpoints`` in turn.

    ``crowd`` returns for the kind and the number of a round how many sessions want one, at least two; ``hold``
    shows how long the one that gets it works, in seconds. Use it as
    ``async with FleetLoad(…) as load: await load.rounds(20)``, and read ``load.counts``.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        fleet: str,
        kinds: Sequence[str] = tuple(CROWDS),
        crowd: Callable[[str, int], int] = lambda kind, _: CROWDS[kind],
        hold: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.counts = Counts()
        self._clients = [
            AsyncClient(endpoint, fleet=fleet, timeout=20, tls=False, token_file="") for endpoint in endpoints
        ]
        self._kinds = kinds
        self._crowd = crowd
        self._hold = hold
        self._round = 0
        self._keys = 0
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for client in self._clients:
            await self._open.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def rounds(self, number: int, *, pause: float = 0.0) -> None:
        """Do so many rounds, with a pause after each, in seconds."""
        for _ in range(number):
            self._round += 1
            async with asyncio.TaskGroup() as group:
                for place, kind in enumerate(self._kinds):
                    # Not the same end for all kinds of a round.
                    group.create_task(self._piece(kind, self._round, self._round + place))
                    group.create_task(self._choices(kind, self._round))
            await asyncio.sleep(pause)

    async def let_expire(self, number: int) -> None:
        """Claim so many pieces of each kind, and leave them; returns when that they expired is recorded.

        Half of them are completed then, late. Takes as long as a claim lasts at the least, some six seconds.
        """
        async with asyncio.TaskGroup() as group:
            for kind in self._kinds:
                for place in range(number):
                    group.create_task(self._expiring(kind, late=place % 2 == 1))

    async def leave_live(self) -> None:
        """Claim a piece of each kind and hold it for longer than the load lasts."""
        for kind in self._kinds:
            await self._claim(kind, self._new_key(kind), f"session-long-{kind}", self._client(self._round))

    async def acknowledge(self) -> None:
        """See to what was abandoned, so that loose ends do not pile up."""
        client = self._client(self._round)
        async for record in client.list(states=[State.ABANDONED]):
            if record.acknowledged_at is None:
                # Refused where the work was claimed or completed meanwhile.
                with contextlib.suppress(Refused):
                    await client.acknowledge(record.work_key, reason="seen")

    async def _piece(self, kind: str, number: int, turn: int) -> None:
        key = self._new_key(kind)
        crowd = self._crowd(kind, number)
        sessions = [(f"session-{number}-{place}", self._client(number + place)) for place in range(crowd)]
        holder, client = await self._race(kind, key, sessions)
        await asyncio.sleep(self._hold())
        if turn % _REVOKED_EVERY == 0:
            await self._ask_again(kind, key, sessions, holder)
            await client.revoke(key, reason="its host is gone", at_once=True)
            self._ended(crowd - 1, self.counts.abandonments, (kind, "revoked"))
            return
        if turn % _RELEASED_EVERY == 0:
            await self._ask_again(kind, key, sessions, holder)
            await client.release(holder, key, reason="the tests need a database")
            self._ended(crowd - 1, self.counts.abandonments, (kind, "released"))
            if turn % _TAKEN_UP_EVERY:
                return
            holder, client = await self._race(kind, key, sessions)
        await client.complete(holder, key, result="done")
        self._ended(crowd - 1, self.counts.completions, (kind, "false"))
        # A session that has not heard of it.
        await self._claim(kind, key, f"session-late-{number}", self._client(number))

    async def _choices(self, kind: str, number: int) -> None:
        """Have sessions choose from two pieces, one after the other: of these asks, too, all but one are contended."""
        keys = [self._new_key(kind), self._new_key(kind)]
        client, crowd = self._client(number), self._crowd(kind, number)
        for place in range(crowd + 1):
            answer = await client.try_claim_next(f"session-{number}-choosing-{place}", keys, _TTL)
            self.counts.placements[kind, ("first", "later")[place] if place < len(keys) else "none"] += 1
            self.counts.skips[kind, "held"] += min(place, len(keys))
            if isinstance(answer, Claim):
                self.counts.claims[kind, "granted"] += 1
        await _wait(client, keys[0], lambda story: len(story.contenders) == crowd)
        for place, key in enumerate(keys):
            await client.complete(f"session-{number}-choosing-{place}", key, result="done")
            self._ended(0 if place else crowd, self.counts.completions, (kind, "false"))

    async def _race(self, kind: str, key: str, sessions: Sequence[_Session]) -> _Session:
        """Have sessions claim a piece at once; returns the one that got it, once the others stand as its contenders."""
        answers = await asyncio.gather(*(self._claim(kind, key, name, client) for name, client in sessions))
        granted = [one for one, answer in zip(sessions, answers, strict=True) if isinstance(answer, Claim)]
        if len(granted) != 1:
            raise AssertionError(f"{key} was granted {len(granted)} times at once")
        holder, client = granted[0]
        # They are written down a moment after they were answered, and count if they are when the attempt ends.
        await _wait(client, key, lambda story: len(story.contenders) == len(sessions) - 1)
        renewed = await client.renew(holder, key, note=f"branch {holder}: half done")
        self.counts.claims[kind, renewed.outcome.value] += 1
        return holder, client

    async def _ask_again(self, kind: str, key: str, sessions: Sequence[_Session], holder: str) -> None:
        """Have one that was denied ask once more, which makes a denial, but no contender."""
        name, client = next(one for one in sessions if one[0] != holder)
        await self._claim(kind, key, name, client)

    async def _expiring(self, kind: str, *, late: bool) -> None:
        key = self._new_key(kind)
        session, client = f"session-gone-{kind}", self._client(self._round)
        await self._claim(kind, key, session, client, ttl=_SHORT_TTL)
        await _wait(client, key, lambda story: bool(story.history))
        self._ended(0, self.counts.abandonments, (kind, "expired"))
        if late:
            await client.complete(session, key, result="took longer")
            # Its contenders were counted when it expired.
            self.counts.completions[kind, "true"] += 1

    async def _claim(
        self, kind: str, key: str, session: str, client: AsyncClient, *, ttl: float = _TTL
    ) -> Claim | Denial:
        answer = await client.try_claim(session, key, ttl)
        if isinstance(answer, Denial):
            self.counts.claims[kind, "denied"] += 1
            self.counts.denials[kind, answer.reason.value] += 1
        else:
            self.counts.claims[kind, answer.outcome.value] += 1
        return answer

    def _ended(self, contenders: int, counter: Counter[tuple[str, str]], labels: tuple[str, str]) -> None:
        counter[labels] += 1
        self.counts.attempts += 1
        self.counts.contenders += contenders

    def _client(self, number: int) -> AsyncClient:
        return self._clients[number % len(self._clients)]

    def _new_key(self, kind: str) -> str:
        self._keys += 1
        return f"{kind}:piece-{self._keys}"


async def _wait(client: AsyncClient, key: str, enough: Callable[[WorkDetails], bool]) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while not enough(await client.get(key)):  # noqa: ASYNC110  # the coordinator sends no event for it
            await asyncio.sleep(_LOOK_SECONDS)
