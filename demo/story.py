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
from demo.telling import Printer
from demo.worklist import BLOB, KILLED, LATECOMER, PIECES, SESSIONS, piece

__all__ = ["play_story"]

#: How long the end of a claim may take beyond its TTL, in seconds, before that is a fault: leases are shared (1 s),
#: etcd looks for expired ones twice a second, and an etcd whose disk hangs first starts them again.
_EXPIRY_ALLOWANCE_SECONDS = 15


async def play_story(home: Path, printer: Printer) -> dict[str, Any]:
    """Play all acts, with files under ``home``; returns the object that ``--json`` prints, ``problems`` included."""
    started = time.monotonic()
    printer.say("Ten autonomous sessions read the same list and start at the same moment.")
    async with (
        start_coordinator(home) as coordinator,
        AsyncClient(coordinator.endpoint, fleet="default", timeout=20, tls=False, token_file="") as client,
    ):
        printer.say(
            f"A coordinator (at {coordinator.endpoint}) and its etcd (at {coordinator.etcd}) run on free ports."
        )
        printer.head(f"The list, best first: {len(BLOB)} items, {len(PIECES)} pieces of work, as two are there twice")
        printer.list_of_work()
        async with run_fleet(
            home, "with-claims", coordinator, lambda fleet: _show_first_picks(printer, fleet)
        ) as fleet:
            loss = await _lose(printer, fleet, client)
            sequel = await _take_over(printer, fleet, coordinator, client, loss)
            records = {record.work_key: record.session async for record in client.list(states=[State.COMPLETED])}
            status = await client.status()
            printer.progress("  the same ten again, without claims …")
            async with run_fleet(home, "without-claims", None, lambda _: None) as without:
                outcome = Outcome(fleet, without, loss, sequel, records, status)
                printer.progress("")
                _show_summary(printer, outcome)
                return outcome.as_object() | {"seconds": round(time.monotonic() - started, 1)}


def _show_first_picks(printer: Printer, fleet: Fleet) -> None:
    printer.head("All ten pick at once. Each claims from the top; where it is denied, it sees by whom, and goes on")
    printer.first_picks(fleet)


async def _lose(printer: Printer, fleet: Fleet, client: AsyncClient) -> Loss:
    """Wait until what the killed session held is free."""
    pick = fleet.picks(KILLED)[0]
    item, note = str(pick["item"]), str(pick["note"])
    killed_at = fleet.killed_at
    printer.head(f"{KILLED} is killed while it works on {BLOB.index(item) + 1}. The others finish, and pick again")
    printer.done(fleet)
    deadline = killed_at + SHORT_TTL_SECONDS + _EXPIRY_ALLOWANCE_SECONDS
    while (claim := (await client.get(item)).claim) is not None:
        if time.monotonic() > deadline:
            raise DemoFailed(f"the claim of the killed session on {claim.work_key} has not ended with its TTL")
        printer.progress(
            f"  its claim has a TTL of {SHORT_TTL_SECONDS} s; it ends in {claim.remaining_seconds:.0f} s …"
        )
        await asyncio.sleep(min(0.2, max(0.05, claim.remaining_seconds)))
    printer.progress("")
    return Loss(item, note, round(time.monotonic() - killed_at, 1))


async def _take_over(
    printer: Printer, fleet: Fleet, coordinator: Coordinator, client: AsyncClient, loss: Loss
) -> Sequel:
    """Let one of the fleet that has done only one piece do the lost one, and then a session come late."""
    shares = [session for session, _ in fleet.done()]
    key = piece(loss.item)
    taker = min((session for session in SESSIONS if session != KILLED), key=shares.count)
    printer.head(
        f"{loss.seconds_until_free:g} s after the kill its claim has run out (TTL {SHORT_TTL_SECONDS} s): free again"
    )
    printer.typed(await coordinator.type("work-list", "--state", "abandoned"))
    printer.head(f"{taker} takes it over, and is shown what was left behind")
    claimed = await coordinator.type("work-claim", taker, key, "--ttl", "60")
    printer.typed(claimed)
    story = await client.get(loss.item)
    append_to_journal(fleet.journal, taker, loss.item)
    printer.typed(await coordinator.type("work-complete", taker, key))
    printer.head("A latecomer still has the old list")
    late = await coordinator.type("work-claim", LATECOMER, BLOB[0], "--ttl", "60")
    printer.typed(late)
    previous = story.history[0] if story.history else None
    return Sequel(taker, claimed, story.claim.attempt if story.claim else None, previous, late)


def _show_summary(printer: Printer, outcome: Outcome) -> None:
    printer.head("The same ten with claims and, run again just now, without")
    printer.say("  Without, each does what comes first of what their common journal does not have as finished.")
    printer.summary(outcome.claiming, outcome.guessing)
    rate = outcome.status.convergence_rate
    counts = f"{rate.granted} granted, {rate.denied} denied, {outcome.status.completed} completed"
    printer.say(f"  The coordinator's own books say the same: {counts}.")
