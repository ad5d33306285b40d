"""What came of the demo: the object that ``--json`` prints, and whether all went as it must.

Invariant: what the sessions reported, what their journals say and what the coordinator has in its books must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from coordinator import Cause, HistoryEntry, Status
from coordinator.demo.fleet import Fleet, Tally
from coordinator.demo.processes import Typed
from coordinator.demo.worklist import BLOB, KILLED, LATECOMER, PIECES, piece
from coordinator.names import DEFAULT_FLEET

__all__ = ["Books", "Loss", "Outcome", "Sequel", "Taken"]


@dataclass(frozen=True)
class Loss:
    """What the killed session held, with the note on its claim, and how long after its death that was free again."""

    item: str
    note: str
    seconds_until_free: float


@dataclass(frozen=True)
class Taken:
    """How a session took the lost work over, and as which ``attempt``."""

    taker: str
    claimed: Typed
    attempt: int | None


@dataclass(frozen=True)
class Sequel:
    """How the lost work was taken over, after which attempt, and what a late session was answered."""

    taken: Taken
    previous: HistoryEntry | None
    late: Typed


@dataclass(frozen=True)
class Books:
    """What the coordinator has of a fleet: the completed pieces of work, each with by whom, and its counts."""

    records: dict[str, str | None]
    status: Status

    def as_object(self) -> dict[str, Any]:
        """Return the counts for ``--json``."""
        rate, status = self.status.convergence_rate, self.status
        return {
            "granted": rate.granted,
            "denied": rate.denied,
            "completed": status.completed,
            "live_claims": status.live_claims,
            "loose_ends": status.loose_ends,
        }


@dataclass(frozen=True)
class Outcome:
    """Everything: three fleets, and of the two that claimed what was lost, who took it over, and the books."""

    fleet: Fleet
    asking: Fleet
    without: Fleet
    loss: Loss
    sequel: Sequel
    taken: Taken
    books: Books
    asking_books: Books

    @property
    def claiming(self) -> Tally:
        """The figures of the fleet with claims; the take-over was typed, and one more was denied: the latecomer."""
        granted, denied = self.sequel.taken.claimed.exit_code == 0, self.sequel.late.exit_code == 1
        return self.fleet.tally(more_grants=int(granted), more_denials=int(denied))

    @property
    def asking_tally(self) -> Tally:
        """The figures of the fleet that asks for the next piece; the take-over was typed."""
        return self.asking.tally(more_grants=int(self.taken.claimed.exit_code == 0))

    @property
    def guessing(self) -> Tally:
        """The figures of the fleet without claims."""
        return self.without.tally()

    def problems(self) -> list[str]:
        """Return what did not go as it must, a sentence each."""
        return [*self._problems_of_fleets(), *self._problems_of_books(), *self._problems_of_sequel()]

    def as_object(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints, but for the time that it took."""
        problems = self.problems()
        previous = self.sequel.previous
        return {
            "schema": "v1",
            "fleet": DEFAULT_FLEET,
            "ok": not problems,
            "problems": problems,
            "items": list(BLOB),
            "pieces": len(PIECES),
            "with_claims": _fleet_object(self.fleet, self.claiming),
            "with_next": _fleet_object(self.asking, self.asking_tally),
            "without_claims": _fleet_object(self.without, self.guessing),
            "coordinator": self.books.as_object(),
            "coordinator_with_next": self.asking_books.as_object(),
            "killed": {"session": KILLED, "work_key": piece(self.loss.item), **asdict(self.loss)},
            "takeover": _taken_object(self.sequel.taken)
            | {
                "previous": None
                if previous is None
                else {
                    "attempt": previous.attempt,
                    "session": previous.session,
                    "cause": previous.cause,
                    "note": previous.note,
                },
            },
            "takeover_with_next": _taken_object(self.taken),
            "latecomer": {"session": LATECOMER, **asdict(self.sequel.late)},
        }

    def _problems_of_fleets(self) -> Iterator[str]:
        for tally in (self.claiming, self.asking_tally):
            if tally.duplicated_pieces:
                yield f"{tally.duplicated_pieces} pieces of work were done twice although they were claimed"
            if tally.pieces_untouched:
                yield f"{tally.pieces_untouched} pieces of work on the list were not done"
        if not self.guessing.duplicated_pieces:
            yield "the fleet without claims did no work twice, so that there is nothing to compare"

    def _problems_of_books(self) -> Iterator[str]:
        for fleet, tally, books in (
            (self.fleet, self.claiming, self.books),
            (self.asking, self.asking_tally, self.asking_books),
        ):
            rate, status = books.status.convergence_rate, books.status
            if sorted(fleet.done()) != sorted((session or "?", key) for key, session in books.records.items()):
                yield "what the coordinator has as completed is not what the sessions did"
            if (rate.granted, rate.denied) != (tally.grants, tally.denials):
                counted = f"the coordinator counts {rate.granted} grants and {rate.denied} denials"
                yield f"{counted}, but the sessions were given {tally.grants} and {tally.denials}"
            if (status.live_claims, status.loose_ends, status.completed) != (0, 0, len(PIECES)):
                yield (
                    f"the coordinator ends with {status.live_claims} live claims, {status.loose_ends} loose ends and "
                    f"{status.completed} completed; it must be 0, 0 and {len(PIECES)}"
                )

    def _problems_of_sequel(self) -> Iterator[str]:
        previous, left = self.sequel.previous, (KILLED, Cause.EXPIRED, self.loss.note)
        for taken in (self.sequel.taken, self.taken):
            if taken.attempt != 2 or taken.claimed.exit_code:
                yield f"{taken.taker} could not take over what the killed session held: {taken.claimed.answer}"
            elif self.loss.note not in taken.claimed.answer:
                yield f"{taken.taker} was not shown what the killed session left behind"
        if previous is None or (previous.session, previous.cause, previous.note) != left:
            yield "what the killed session left behind was not kept"
        if self.sequel.late.exit_code != 1 or "DENIED: already completed by" not in self.sequel.late.answer:
            yield f"the latecomer was not denied because the work is completed, but: {self.sequel.late.answer}"


def _fleet_object(fleet: Fleet, tally: Tally) -> dict[str, Any]:
    firsts = fleet.first_picks().items()
    return {
        **asdict(tally),
        "first_picks": [
            {"session": session, "item": pick["item"], "work_key": piece(pick["item"]), "denials": pick["denials"]}
            for session, pick in firsts
        ],
        "done": [{"session": session, "work_key": key} for session, key in fleet.done()],
    }


def _taken_object(taken: Taken) -> dict[str, Any]:
    return {"session": taken.taker, "attempt": taken.attempt, **asdict(taken.claimed)}
