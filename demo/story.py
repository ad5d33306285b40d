"""The demo from its first act to its last, and whether all went as it must.

Invariant: nothing is assumed. What is shown and what is checked comes from the processes, from the journals of the work
that they did, and from the coordinator.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from coordinator import AsyncClient, State
from demo.fleet import SHORT_TTL_SECONDS, Fleet, run_fleet
from demo.outcome import Loss, Outcome, Sequel
from demo.processes import Coordinator, DemoFailed, start_coordinator
from demo.session import append_to_journal
from demo.telling import Teller
from demo.worklist import BLOB, KILLED, LATECOMER, PIECES, SESSIONS, piece

__all__ = ["tell_story"]

#: How long the end of a claim may take beyond its TTL, in seconds, before that is a fault: leases are shared (1 s),
#: etcd looks for expired ones twice a second, and an etcd whose disk hangs first starts them again.
_EXPIRY_ALLOWANCE_SECONDS = 15


async def tell_story(home: Path, tell: Teller) -> dict[str, Any]:
    """Play all acts, with files under ``home``; returns the object that ``--json`` prints, ``problems`` included."""
    started = time.monotonic()
    tell.say("Ten autonomous sessions read the same list and start at the same moment.")
    async with (
        start_coordinator(home) as coordinator,
        AsyncClient(coordinator.endpoint, fleet="default", timeout=20, tls=False, token_file="") as client,
    ):
        tell.say(f"A coordinator (at {coordinator.endpoint}) and its etcd (at {coordinator.etcd}) run on free ports.")
        tell.head(f"The list, best first: {len(BLOB)} items, {len(PIECES)} pieces of work, as two are there twice")
        tell.list_of_work()
        async with run_fleet(home, "with-claims", coordinator, lambda fleet: _tell_first_picks(tell, fleet)) as fleet:
            loss = await _lose(tell, fleet, client)
            sequel = await _take_over(tell, fleet, coordinator, client, loss)
            records = {record.work_key: record.session async for record in client.list(states=[State.COMPLETED])}
            status = await client.status()
            tell.progress("  the same ten again, without claims …")
            async with run_fleet(home, "without-claims", None, lambda _: None) as without:
                outcome = Outcome(fleet, without, loss, sequel, records, status)
                tell.progress("")
                _tell_summary(tell, outcome)
                return outcome.as_object() | {"seconds": round(time.monotonic() - started, 1)}


def _tell_first_picks(tell: Teller, fleet: Fleet) -> None:
    tell.head("All ten pick at once. Each claims from the top; where it is denied, it is told by whom, and goes on")
    tell.first_picks(fleet)


async def _lose(tell: Teller, fleet: Fleet, client: AsyncClient) -> Loss:
    """Wait until what the killed session held is free."""
    pick = fleet.picks(KILLED)[0]
    item, note = str(pick["item"]), str(pick["note"])
    killed_at = fleet.killed_at
    tell.head(f"{KILLED} is killed while it works on {BLOB.index(item) + 1}. The others finish, and pick again")
    tell.done(fleet)
    deadline = killed_at + SHORT_TTL_SECONDS + _EXPIRY_ALLOWANCE_SECONDS
    while (claim := (await client.get(item)).claim) is not None:
        if time.monotonic() > deadline:
            raise DemoFailed(f"the claim of the killed session on {claim.work_key} has not ended with its TTL")
        tell.progress(f"  its claim has a TTL of {SHORT_TTL_SECONDS} s; it ends in {claim.remaining_seconds:.0f} s …")
        await asyncio.sleep(min(0.2, max(0.05, claim.remaining_seconds)))
    tell.progress("")
    return Loss(item, note, round(time.monotonic() - killed_at, 1))


async def _take_over(tell: Teller, fleet: Fleet, coordinator: Coordinator, client: AsyncClient, loss: Loss) -> Sequel:
    """Let one of the fleet that has done only one piece do the lost one, and then somebody come late."""
    shares = [session for session, _ in fleet.done()]
    key = piece(loss.item)
    taker = min((session for session in SESSIONS if session != KILLED), key=shares.count)
    tell.head(
        f"{loss.seconds_until_free:g} s after the kill its claim has run out (TTL {SHORT_TTL_SECONDS} s): free again"
    )
    tell.typed(await coordinator.type("work-list", "--state", "abandoned"))
    tell.head(f"{taker} takes it over, and is shown what was left behind")
    claimed = await coordinator.type("work-claim", taker, key, "--ttl", "60")
    tell.typed(claimed)
    story = await client.get(loss.item)
    append_to_journal(fleet.journal, taker, loss.item)
    tell.typed(await coordinator.type("work-complete", taker, key))
    tell.head("A latecomer still has the old list")
    late = await coordinator.type("work-claim", LATECOMER, BLOB[0], "--ttl", "60")
    tell.typed(late)
    previous = story.history[0] if story.history else None
    return Sequel(taker, claimed, story.claim.attempt if story.claim else None, previous, late)


def _tell_summary(tell: Teller, outcome: Outcome) -> None:
    tell.head("The same ten with claims and, run again just now, without")
    tell.say("  Without, each does what comes first of what their common journal does not have as finished.")
    tell.summary(outcome.claiming, outcome.guessing)
    rate = outcome.status.convergence_rate
    counts = f"{rate.granted} granted, {rate.denied} denied, {outcome.status.completed} completed"
    tell.say(f"  The coordinator's own books say the same: {counts}.")
