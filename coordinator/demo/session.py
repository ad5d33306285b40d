"""One session of the fleet, in a process of its own: ``python -m coordinator.demo.session SESSION --blob FILE …``.

It reads the list once, and then does up to ``PIECES_EACH`` pieces of work. How it chooses them is its ``--way``:

    claims     claims from the top of the list, until one claim is granted
    next       names the whole list in one call, and is given the first that is free
    nothing    takes the first that the journal of finished work, which all write and read, does not have

Doing a piece of work is taking ``WORK_SECONDS`` and writing a line to the journal.

It prints its events on standard output, one JSON object a line, and goes on past its first two steps only when it has
read a byte from standard input, so that the whole fleet picks, and then works, at once. The end of that ends it.

    {"event": "ready"}                                                         then it waits
    {"event": "picked", "item": … or null, "attempt", "note", "calls", "denials": [{"item", "work_key", "reason",
     "by"}]}                                                                   then, the first time, it waits
    {"event": "done", "item": …}
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from coordinator import Client, Denial, DenialReason

__all__ = ["PIECES_EACH", "WAYS", "WORK_SECONDS", "append_to_journal", "read_journal"]

#: How a session may come by its work.
WAYS = ("claims", "next", "nothing")
PIECES_EACH = 2
#: Longer than ten processes need to pick on a busy machine, short enough to watch.
WORK_SECONDS = 0.6


class Pick(NamedTuple):
    """What a session decided to do, who kept it from doing what it asked for before, and how many calls it made."""

    item: str | None
    attempt: int | None
    note: str | None
    denials: list[dict[str, Any]]
    calls: int


class Chooser(Protocol):
    """How a session comes by its work."""

    def choose(self, blob: Sequence[str]) -> Pick:
        """Decide what to do next."""

    def finish(self, item: str) -> None:
        """Report that it is done."""


class Claiming:
    """Claims an item before doing it, and goes on to the next where that is denied."""

    def __init__(self, session: str, client: Client, ttl: float) -> None:
        self._session = session
        self._client = client
        self._ttl = ttl
        self._completed: set[str] = set()

    def choose(self, blob: Sequence[str]) -> Pick:
        """Claim the first item that is granted, leaving out those known to be completed."""
        denials: list[dict[str, Any]] = []
        for item in blob:
            if item in self._completed:
                continue
            answer = self._client.try_claim(self._session, item, self._ttl)
            if not isinstance(answer, Denial):
                note = _note_of(self._session)
                self._client.renew(self._session, item, note=note, token=answer.fencing_token)
                return Pick(item, answer.attempt, note, denials, len(denials) + 1)
            if answer.reason is DenialReason.COMPLETED:
                self._completed.add(item)
            by = answer.holder or answer.completed_by
            denials.append({"item": item, "work_key": answer.work_key, "reason": answer.reason.value, "by": by})
        return Pick(None, None, None, denials, len(denials))

    def finish(self, item: str) -> None:
        """Complete the claim."""
        self._client.complete(self._session, item, result="done in the demo")
        self._completed.add(item)


class Asking:
    """Names the whole list, and does what it is given of it."""

    def __init__(self, session: str, client: Client, ttl: float) -> None:
        self._session = session
        self._client = client
        self._ttl = ttl

    def choose(self, blob: Sequence[str]) -> Pick:
        """Claim the first item that is free, in one call."""
        note = _note_of(self._session)
        answer = self._client.try_claim_next(self._session, blob, self._ttl, note=note)
        if isinstance(answer, Denial):
            return Pick(None, None, None, [], 1)
        return Pick(answer.typed_key, answer.attempt, note, [], 1)

    def finish(self, item: str) -> None:
        """Complete the claim."""
        self._client.complete(self._session, item, result="done in the demo")


class Guessing:
    """Does the first item that is not finished according to the journal."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def choose(self, blob: Sequence[str]) -> Pick:
        """Take the first item that is not in the journal."""
        finished = {item for _, item in read_journal(self._journal)}
        return Pick(next((item for item in blob if item not in finished), None), None, None, [], 0)

    def finish(self, item: str) -> None:
        """Do nothing more: the journal has it."""


def _note_of(session: str) -> str:
    """Return the note that a session leaves on its claim."""
    return f"branch {session}: tests written, fix half done"


def read_journal(journal: Path) -> list[tuple[str, str]]:
    """Return who has done what, in the order in which it was done."""
    if not journal.exists():
        return []
    entries = (line.partition("\t") for line in journal.read_text(encoding="utf-8").splitlines())
    return [(session, item) for session, _, item in entries]


def append_to_journal(journal: Path, session: str, item: str) -> None:
    """Note that a session has done an item; whole lines, however many processes write."""
    line = f"{session}\t{item}\n".encode()
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _run(arguments: argparse.Namespace) -> None:
    blob = arguments.blob.read_text(encoding="utf-8").splitlines()
    with ExitStack() as stack:
        chooser: Chooser = Guessing(arguments.journal)
        if arguments.way != "nothing":
            client = Client(arguments.endpoint, fleet=arguments.fleet, timeout=20, tls=False, token_file="")
            stack.enter_context(client)
            client.status()  # connects, so that the race is about claims
            claims = arguments.way == "claims"
            chooser = (Claiming if claims else Asking)(arguments.session, client, arguments.ttl)
        _tell("ready")
        _wait_for_release()
        for number in range(PIECES_EACH):
            pick = chooser.choose(blob)
            _tell("picked", **pick._asdict())
            if number == 0:
                _wait_for_release()
            if pick.item is None:
                return
            time.sleep(WORK_SECONDS)
            append_to_journal(arguments.journal, arguments.session, pick.item)
            chooser.finish(pick.item)
            _tell("done", item=pick.item)


def _tell(event: str, **what: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
    sys.stdout.flush()


def _wait_for_release() -> None:
    if not os.read(0, 1):
        sys.exit("the demo has ended")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m coordinator.demo.session", description=__doc__.split("\n", 1)[0])
    parser.add_argument("session")
    parser.add_argument("--blob", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--way", choices=WAYS, default=WAYS[-1], help="how it chooses its work")
    parser.add_argument("--endpoint", help="where the coordinator is")
    parser.add_argument("--fleet", default="default", help="the fleet in which it claims")
    parser.add_argument("--ttl", type=float, default=3600.0, help="of the claims, in seconds")
    return parser.parse_args()


if __name__ == "__main__":
    _run(_parse())
