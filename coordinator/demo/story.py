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
from coordinator.demo.fleet import FLEETS, LIST, SHORT_TTL_SECONDS, Fleet, start_fleet
from coordinator.demo.outcome import Books, Loss, Outcome, Sequel, Taken
from coordinator.demo.printer import Printer
from coordinator.demo.processes import Coordinator, DemoFailed, start_coordinator
from coordinator.demo.session import append_to_journal
from coordinator.demo.worklist import BLOB, KILLED, LATECOMER, PIECES, SESSIONS, piece

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
        _client(coordinator, "claims") as client,
        _client(coordinator, "next") as client_of_next,
    ):
        printer.say(
            f"A coordinator (at {coordinator.endpoint}) and its etcd (at {coordinator.etcd}) run on free ports."
        )
        printer.head(f"The list, best first: {len(BLOB)} items, {len(PIECES)} pieces of work, as two are there twice")
        printer.list_of_work()
        async with (
            start_fleet(home, "claims", coordinator) as fleet,
            start_fleet(home, "next", coordinator) as asking,
        ):
            await fleet.pick()
            printer.head(
                "All ten pick at once. Each claims from the top; where it is denied, it sees by whom, and goes on"
            )
            printer.first_picks(fleet)
            await asyncio.gather(fleet.work(), _pick_and_work(asking))
            printer.head(f"{KILLED} is killed while it works on {_rank(fleet)}. The others finish, and pick again")
            printer.done(fleet)
            # The fleet without claims needs no coordinator: it is run while the claim of the killed session ends.
            loss, guessing = await asyncio.gather(
                _wait_until_free(printer, fleet, client), _play_without_claims(home, coordinator)
            )
            sequel = await _take_over(printer, fleet, coordinator, client, loss)
            taken = await _ask_for_what_is_left(printer, asking, coordinator, client_of_next)
            books = await _books(client), await _books(client_of_next)
            outcome = Outcome(fleet, asking, guessing, loss, sequel, taken, *books)
            _show_summary(printer, outcome)
            return outcome.as_object() | {"seconds": round(time.monotonic() - started, 1)}


def _client(coordinator: Coordinator, way: str) -> AsyncClient:
    return AsyncClient(coordinator.endpoint, fleet=FLEETS[way], timeout=20, tls=False, token_file="")


async def _pick_and_work(fleet: Fleet) -> None:
    await fleet.pick()
    await fleet.work()


async def _play_without_claims(home: Path, coordinator: Coordinator) -> Fleet:
    async with start_fleet(home, "nothing", coordinator) as fleet:
        await _pick_and_work(fleet)
        return fleet


async def _books(client: AsyncClient) -> Books:
    records = {record.work_key: record.session async for record in client.list(states=[State.COMPLETED])}
    return Books(records, await client.status())


def _rank(fleet: Fleet) -> int:
    """Return the rank of what the killed session was at."""
    return BLOB.index(fleet.picks(KILLED)[0]["item"]) + 1


def _taker(fleet: Fleet) -> str:
    """Return one of the fleet that has done only one piece."""
    shares = [session for session, _ in fleet.done()]
    return min((session for session in SESSIONS if session != KILLED), key=shares.count)


async def _wait_until_free(printer: Printer, fleet: Fleet, client: AsyncClient) -> Loss:
    """Wait until what the killed session held is free."""
    pick = fleet.picks(KILLED)[0]
    item, note = str(pick["item"]), str(pick["note"])
    deadline = fleet.killed_at + SHORT_TTL_SECONDS + _EXPIRY_ALLOWANCE_SECONDS
    while (claim := (await client.get(item)).claim) is not None:
        if time.monotonic() > deadline:
            raise DemoFailed(f"the claim of the killed session on {claim.work_key} has not ended with its TTL")
        printer.progress(
            f"  its claim has a TTL of {SHORT_TTL_SECONDS} s; it ends in {claim.remaining_seconds:.0f} s …"
        )
        await asyncio.sleep(min(0.2, max(0.05, claim.remaining_seconds)))
    printer.progress("")
    return Loss(item, note, round(time.monotonic() - fleet.killed_at, 1))


async def _take_over(
    printer: Printer, fleet: Fleet, coordinator: Coordinator, client: AsyncClient, loss: Loss
) -> Sequel:
    """Let one of the fleet that has done only one piece do the lost one, and then a session come late."""
    key, taker = piece(loss.item), _taker(fleet)
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
    return Sequel(Taken(taker, claimed, story.claim.attempt if story.claim else None), previous, late)


async def _ask_for_what_is_left(printer: Printer, fleet: Fleet, coordinator: Coordinator, client: AsyncClient) -> Taken:
    """Let one of the fleet that names whole lists ask again, for what the killed session has left."""
    printer.head(
        "The same ten with work-next: each names the whole list in one call, and is given the first that is free"
    )
    printer.first_calls(fleet)
    loss, taker, where = await _wait_until_free(printer, fleet, client), _taker(fleet), FLEETS["next"]
    printer.say(f"  {KILLED} was killed here, too. The next call is given what it had, the only piece left:")
    claimed = await coordinator.type("work-next", "--session", taker, "--from", LIST, fleet=where)
    printer.typed(claimed)
    story = await client.get(loss.item)
    append_to_journal(fleet.journal, taker, loss.item)
    printer.typed(await coordinator.type("work-complete", taker, piece(loss.item), fleet=where))
    return Taken(taker, claimed, story.claim.attempt if story.claim else None)


def _show_summary(printer: Printer, outcome: Outcome) -> None:
    printer.head("One list, ten sessions, three ways")
    printer.say("  Without claims, each does what comes first of what their common journal does not have as finished.")
    printer.summary(outcome.claiming, outcome.asking_tally, outcome.guessing)
    rates = (books.status.convergence_rate for books in (outcome.books, outcome.asking_books))
    counts = "; ".join(f"{rate.granted} granted and {rate.denied} denied" for rate in rates)
    printer.say(f"  The coordinator's own books say the same: {counts}.")
