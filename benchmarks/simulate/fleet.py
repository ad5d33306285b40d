"""Sessions that start at the same moment and choose from one list: without claims, with claims, with next.

All want about the same, because they have read the same context: each ranks the list by chance, and an item's chance to
come next is proportional to 1/place, as in Zipf's law. In all three ways the sessions rank it alike. Each does at most
one piece of work, and does it until all have chosen.

Invariant: what was done is counted from what the sessions did and, where they claimed, compared with what the
coordinator has as completed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from coordinator import AsyncClient, Denial, State

__all__ = ["PIECES", "WAYS", "Ran", "as_object", "simulate"]

#: How many pieces of work are on the list.
PIECES = 100
#: How a session may choose its work.
WAYS = ("nothing", "claims", "next")
#: How many clients the sessions share.
_CLIENTS = 4


@dataclass(frozen=True)
class Ran:
    """One fleet, counted. ``calls`` were made to get work: calls that complete it are not among them."""

    sessions: int
    done: int
    different: int
    calls: int


def rank(sessions: int, seed: int) -> list[list[str]]:
    """Return the list as each session ranks it, the most wanted first."""
    chance = random.Random(seed)  # noqa: S311  # no secret: the same seed is to give the same ranking
    places = range(1, PIECES + 1)
    # What waits for an exponential time with rate 1/place comes next with a chance proportional to 1/place.
    times = ({place: chance.expovariate(1 / place) for place in places} for _ in range(sessions))
    return [[f"task:piece-{place}" for place in sorted(each, key=each.__getitem__)] for each in times]


async def run_fleet(way: str, lists: Sequence[Sequence[str]], clients: Sequence[AsyncClient]) -> Ran:
    """Let each session choose from its list and do what it has chosen; the sessions share the clients."""
    of = [clients[at % len(clients)] for at in range(len(lists))]
    chosen = await asyncio.gather(*(_choose(way, each, _name(at), of[at]) for at, each in enumerate(lists)))
    done = Counter(piece for piece, _ in chosen if piece is not None)
    if way != "nothing":
        await asyncio.gather(
            *(of[at].complete(_name(at), piece) for at, (piece, _) in enumerate(chosen) if piece is not None)
        )
        booked = [record.work_key async for record in of[0].list(states=[State.COMPLETED])]
        if sorted(done.elements()) != sorted(booked):
            raise RuntimeError(f"{done.total()} pieces were done, and the coordinator has {len(booked)} as completed")
    return Ran(len(lists), done.total(), len(done), sum(calls for _, calls in chosen))


async def _choose(way: str, ranked: Sequence[str], session: str, client: AsyncClient) -> tuple[str | None, int]:
    """Return the piece that a session is to do, and how many calls it has made."""
    if way == "nothing":
        return ranked[0], 0
    if way == "next":
        answer = await client.try_claim_next(session, ranked)
        return None if isinstance(answer, Denial) else answer.work_key, 1
    for calls, piece in enumerate(ranked, 1):
        if not isinstance(await client.try_claim(session, piece), Denial):
            return piece, calls
    return None, len(ranked)


def _name(number: int) -> str:
    return f"session-{number}"


async def simulate(
    endpoint: str, sizes: Sequence[int], rounds: int, progress: Callable[[str], None]
) -> dict[str, list[list[Ran]]]:
    """Run fleets of so many sessions, ``rounds`` times each; returns for each way, for each size, what came of it."""
    found: dict[str, list[list[Ran]]] = {way: [[] for _ in sizes] for way in WAYS}
    for at, size in enumerate(sizes):
        for number in range(rounds):
            lists = rank(size, seed=number)
            for way in WAYS:
                progress(f"{size} sessions, round {number + 1} of {rounds}, {way} …")
                fleet = f"{way}-{size}-{number}"
                async with AsyncExitStack() as stack:
                    clients = [
                        await stack.enter_async_context(
                            AsyncClient(endpoint, fleet=fleet, timeout=60, tls=False, token_file="")
                        )
                        for _ in range(_CLIENTS)
                    ]
                    found[way][at].append(await run_fleet(way, lists, clients))
    return found


def as_object(found: dict[str, list[list[Ran]]]) -> dict[str, Any]:
    """Return the means over the rounds as an object, with what was counted in each round."""
    return {
        "schema": "v1",
        "pieces": PIECES,
        "rounds": len(found[WAYS[0]][0]),
        "ways": {way: [_means(rounds) for rounds in sizes] for way, sizes in found.items()},
    }


def _means(rounds: Sequence[Ran]) -> dict[str, Any]:
    done, different, calls = (sum(getattr(ran, name) for ran in rounds) for name in ("done", "different", "calls"))
    return {
        "sessions": rounds[0].sessions,
        "done_twice": round((done - different) / len(rounds), 1),
        "covered_percent": round(100 * different / len(rounds) / PIECES, 1),
        "calls_per_piece": round(calls / different, 2),
        "rounds": [asdict(ran) for ran in rounds],
    }
