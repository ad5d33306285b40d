"""Ten sessions in processes of their own, run with claims or without, and what came of it.

Both fleets live the same: all pick at once, one of them is killed while it works, the others go on. Every figure is
counted from what the processes reported and from the journal of the work that they did.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.processes import Coordinator, Session, start_session
from demo.session import read_journal
from demo.worklist import BLOB, KILLED, PIECES, SESSIONS, piece

__all__ = ["Fleet", "Tally", "run_fleet"]

#: The TTL of the session that is killed, in seconds: short, so that the demo need not wait an hour for its end.
SHORT_TTL_SECONDS = 6


@dataclass(frozen=True)
class Tally:
    """What a fleet did, counted. ``pieces_untouched`` are on the list and were not done."""

    sessions: int
    killed: int
    grants: int
    denials: int
    pieces_done: int
    distinct_pieces: int
    duplicated_pieces: int
    pieces_untouched: int


@dataclass(frozen=True)
class Fleet:
    """The sessions of one run, their journal, and when one was killed, by ``time.monotonic()``."""

    sessions: dict[str, Session]
    journal: Path
    killed_at: float

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
            grants=sum(pick["attempt"] is not None for pick in picks) + more_grants,
            denials=sum(len(pick["denials"]) for pick in picks) + more_denials,
            pieces_done=done.total(),
            distinct_pieces=len(done),
            duplicated_pieces=done.total() - len(done),
            pieces_untouched=len(PIECES - done.keys()),
        )


@asynccontextmanager
async def run_fleet(
    home: Path, name: str, coordinator: Coordinator | None, at_first_pick: Callable[[Fleet], None]
) -> AsyncIterator[Fleet]:
    """Run a fleet to its end, with claims if there is a coordinator; files are made under ``home``, named ``name``.

    Calls ``at_first_pick`` when all have picked and one was killed, before the others work.
    """
    blob, journal = home / f"{name}.list", home / f"{name}.journal"
    blob.write_text("\n".join(BLOB) + "\n", encoding="utf-8")
    async with AsyncExitStack() as stack:
        sessions = {
            session: await stack.enter_async_context(
                start_session(session, _arguments(session, blob, journal, coordinator), home)
            )
            for session in SESSIONS
        }
        await asyncio.gather(*(session.wait_for("ready") for session in sessions.values()))
        _release(sessions.values())
        await asyncio.gather(*(session.wait_for("picked") for session in sessions.values()))
        await sessions[KILLED].kill()
        fleet = Fleet(sessions, journal, killed_at=time.monotonic())
        at_first_pick(fleet)
        others = [session for session in sessions.values() if session.name != KILLED]
        _release(others)
        await asyncio.gather(*(session.wait_for_end() for session in others))
        yield fleet


def _arguments(session: str, blob: Path, journal: Path, coordinator: Coordinator | None) -> list[str]:
    arguments = ["--blob", str(blob), "--journal", str(journal)]
    if coordinator is not None:
        arguments += ["--endpoint", coordinator.endpoint]
    if session == KILLED:
        arguments += ["--ttl", str(SHORT_TTL_SECONDS)]
    return arguments


def _release(sessions: Iterable[Session]) -> None:
    """Let sessions go on together: nothing else is done between the first of these writes and the last."""
    for session in sessions:
        session.release()
