"""In which orders requests that ran together can have taken effect, and what is not promised of such requests.

Not promised, because an operation first reads and then compares no more than it must: that a claim's end has the note
that a renewal wrote at the same time, that a session which is denied at the same time is counted, that a completion
without a token ends a claim that was granted after it began, and whom a refusal names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from unittest.mock import ANY

from tests.property.history_state import End, Work
from tests.property.history_store import Stored
from tests.property.history_words import Answer, Claiming, Completing, Details, Expiring, Refusal, Renewing, Request


def possible_orders(
    before: Work, requests: Sequence[Request], done: Sequence[int]
) -> Iterator[tuple[Work, tuple[int, ...]]]:
    """Yield every order of the requests ``done``, each with the state to start from."""
    for seen, pinned in product(_notes_seen(before, requests), _attempts_pinned(before, requests)):
        for order in permutations(done):
            yield replace(before, seen=seen, pinned=pinned), order


def _attempts_pinned(before: Work, requests: Sequence[Request]) -> list[int | None]:
    """Which attempts those of the requests that complete the work can have found; None stands for the latest."""
    grants = sum(isinstance(request, Claiming) for request in requests)
    if not grants or not any(isinstance(request, Completing) and not request.token for request in requests):
        return [None]
    attempts = before.known.attempts if before.known else 0
    return [None, *range(attempts, attempts + grants)]


def _notes_seen(before: Work, requests: Sequence[Request]) -> list[str | None]:
    """What those of the requests that end the claim can have read as its note; None stands for the latest."""
    written = [request.note for request in requests if isinstance(request, Claiming | Renewing)]
    if len(requests) == 1 or not written:
        return [None]
    return [None, *({before.held.note if before.held else "", *written} - {None})]


def with_counts_of(work: Work, before: Work, stored: Stored, requests: Sequence[Request], *, shared: bool) -> Work:
    """Take over how many contenders an attempt had that ended amid others, if it can have been so many.

    They are counted when the ending begins, and a claim marks its session before it has looked whose the work is.
    ``shared`` says whether one may have been answered from another's reply.
    """
    live = before.known.attempt if before.known else 0
    most = len(before.contenders | {request.session for request in requests if isinstance(request, Claiming)})

    def taken_over(end: End) -> End:
        found = stored.history.get(end.attempt)
        if found is None or before.entry(end.attempt) is not None:
            return end
        least = len(before.contenders) if end.attempt == live else 0
        return replace(end, contenders=found.contenders) if least <= found.contenders <= most else end

    work = replace(work, history=tuple(map(taken_over, work.history)))
    # The mark of a session whose denial was answered from another's reply is made later (ADR 8). It compares the claim
    # that was met, so that it never counts for another, and comes to nothing where that claim ends in between. Only an
    # end that is not written down leaves anything to be seen of that here.
    if not shared or work.expired is None or not any(isinstance(request, Expiring) for request in requests):
        return work
    found = frozenset(stored.contenders)
    noted = before.contenders if work.expired.attempt == live else frozenset[str]()
    return replace(work, contenders=found) if noted <= found <= work.contenders else work


def same(expected: Answer, answered: Answer, *, exactly: bool) -> bool:
    if not exactly and isinstance(expected, Refusal):
        # Who held the work when the refusal was made up is not part of what is promised.
        expected = expected._replace(holder=ANY)
    if not exactly and isinstance(expected, Details):
        expected = expected._replace(contenders=ANY)
    return expected == answered
