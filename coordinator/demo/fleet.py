"""Ten sessions in processes of their own that choose their work in one of three ways, and what came of it.

All fleets live the same: all pick at once, one of them is killed while it works, the others go on. Every figure is
counted from what the processes reported and from the journal of the work that they did.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.demo.processes import Coordinator, Session, start_session
from coordinator.demo.session import read_journal
from coordinator.demo.worklist import BLOB, KILLED, PIECES, SESSIONS, piece

__all__ = ["FLEETS", "LIST", "SHORT_TTL_SECONDS", "Fleet", "Tally", "start_fleet"]

#: The file that the sessions read the list from.
LIST = "list.txt"
#: In which fleet of the coordinator sessions claim, by how they choose their work; none without claims.
FLEETS = {"claims": "default", "next": "with-next"}

#: The TTL of the session that is killed, in seconds: short, so that the demo need not wait an hour for its end.
SHORT_TTL_SECONDS = 6


@dataclass(frozen=True)
class Tally:
    """What a fleet did, counted.

    ``calls`` are those that were made to get work, each granted or denied. ``pieces_untouched`` are those on the list
    that were not done.
    """

    sessions: int
    killed: int
    calls: int
    grants: int
    denials: int
    pieces_done: int
    distinct_pieces: int
    duplicated_pieces: int
    pieces_untouched: int

    @property
    def covered(self) -> str:
        """The share of the pieces on the list that were done."""
        return f"{self.distinct_pieces / len(PIECES):.0%}".replace("%", " %")


@dataclass
class Fleet:
    """The sessions of one run, their journal, and when one was killed, by ``time.monotonic()``."""

    sessions: dict[str, Session]
    journal: Path
    killed_at: float = 0.0

    async def pick(self) -> None:
        """Let all pick at once, and kill one before any of them works."""
        _release(self.sessions.values())
        await asyncio.gather(*(session.wait_for("picked") for session in self.sessions.values()))
        await self.sessions[KILLED].kill()
        self.killed_at = time.monotonic()

    async def work(self) -> None:
        """Let the others work, pick again and work to their end."""
        others = [session for session in self.sessions.values() if session.name != KILLED]
        _release(others)
        await asyncio.gather(*(session.wait_for_end() for session in others))

    def picks(self, session: str) -> list[dict[str, Any]]:
        """Return what a session has picked, in order."""
        return [report for report in self.sessions[session].reports if report["event"] == "picked"]

    def first_picks(self) -> dict[str, dict[str, Any]]:
        """Return what each session picked first, in the order of the list, and of the sessions where that is equal."""
        found = {name: self.picks(name)[0] for name in self.sessions}
        return dict(sorted(found.items(), key=lambda pair: BLOB.index(pair[1]["item"])))

    def done(self) -> list[tuple[str, str]]:
        """Return who did which piece of work, in the order in which it was done."""
        return [(session, piece(item)) for session, item in read_journal(self.journal)]

    def tally(self, *, more_grants: int = 0, more_denials: int = 0) -> Tally:
        """Count; ``more_…`` are answers of the coordinator to others than these processes."""
        picks = [pick for name in self.sessions for pick in self.picks(name)]
        done = Counter(key for _, key in self.done())
        return Tally(
            sessions=len(self.sessions),
            killed=sum((session.process.returncode or 0) < 0 for session in self.sessions.values()),
            calls=sum(pick["calls"] for pick in picks) + more_grants + more_denials,
            grants=sum(pick["attempt"] is not None for pick in picks) + more_grants,
            denials=sum(pick["calls"] - (pick["attempt"] is not None) for pick in picks) + more_denials,
            pieces_done=done.total(),
            distinct_pieces=len(done),
            duplicated_pieces=done.total() - len(done),
            pieces_untouched=len(PIECES - done.keys()),
        )


@asynccontextmanager
async def start_fleet(home: Path, way: str, coordinator: Coordinator) -> AsyncIterator[Fleet]:
    """Start the sessions of a fleet, which wait when all are ready; ``way`` is how they choose their work.

    The list is ``LIST`` in ``home``; the journal is made there, too.
    """
    (home / LIST).write_text("\n".join(BLOB) + "\n", encoding="utf-8")
    journal = home / f"{way}.journal"
    async with AsyncExitStack() as stack:
        sessions = {
            session: await stack.enter_async_context(
                start_session(session, _arguments(session, way, home / LIST, journal, coordinator), home)
            )
            for session in SESSIONS
        }
        await asyncio.gather(*(session.wait_for("ready") for session in sessions.values()))
        yield Fleet(sessions, journal)


def _arguments(session: str, way: str, blob: Path, journal: Path, coordinator: Coordinator) -> list[str]:
    arguments = ["--way", way, "--blob", str(blob), "--journal", str(journal)]
    if way in FLEETS:
        arguments += ["--endpoint", coordinator.endpoint, "--fleet", FLEETS[way]]
    if session == KILLED:
        arguments += ["--ttl", str(SHORT_TTL_SECONDS)]
    return arguments


def _release(sessions: Iterable[Session]) -> None:
    """Let sessions go on together: nothing else is done between the first of these writes and the last."""
    for session in sessions:
        session.release()
