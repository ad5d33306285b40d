"""What becomes of each row of another tool's database, and of rows that are the same work here.

Invariants:
- Which rows are the same work is for the coordinator to say, which knows how keys are read: all rows are tried without
  writing first. Of those that are the same, one is imported: the live claim that lasts longest, else the latest.
- With ``dry_run`` nothing else happens, so the report is that of an import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from coordinator.cli.imports.gptme_database import WorkRow
from coordinator.cli.imports.gptme_rows import Refusal, read_row
from coordinator.errors import CoordinatorError, TryAgain
from coordinator.limits import SUBMITTED_AT_ONCE
from coordinator.model import ForeignWork, Imported, ImportOutcome, State

if TYPE_CHECKING:
    from coordinator.client import Client

__all__ = ["Fate", "Progress", "import_rows"]

#: Called with what is being done, how many rows are done, and how many there are.
Progress = Callable[[str, int, int], None]

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Fate(NamedTuple):
    """What became of a row, or would: one of ``imported``, ``refusal`` and ``same_as`` says it.

    ``work`` is what it says, None for what cannot be read; ``same_as`` is the row that is the same work here.
    """

    row: WorkRow
    work: ForeignWork | None
    imported: Imported | None = None
    refusal: str = ""
    same_as: WorkRow | None = None

    @property
    def is_overtaken(self) -> bool:
        """Whether it is a live claim of work that another session has here, or has finished."""
        if self.work is None or self.work.state is not State.CLAIMED or self.imported is None:
            return False
        return self.imported.outcome is ImportOutcome.KNOWN and self.imported.session != self.work.session

    @property
    def is_lost(self) -> bool:
        """Whether its session has a live claim there, and none of this work here."""
        if self.work is None or self.work.state is not State.CLAIMED:
            return False
        return self.is_overtaken or (self.same_as is not None and self.same_as.claimer != self.row.claimer)


def import_rows(
    client: Client, rows: Sequence[WorkRow], progress: Progress, *, repeatable: bool, dry_run: bool
) -> list[Fate]:
    """Import the rows; returns what became of each, in their order.

    ``progress`` is called again and again, with what is being done, and how many rows of how many are. Raises
    ``TryAgain`` where not all could be tried.
    """
    now = datetime.now(UTC)
    read = [read_row(row, now, repeatable=repeatable) for row in rows]
    fates = {
        index: Fate(rows[index], None, refusal=found.reason)
        for index, found in enumerate(read)
        if isinstance(found, Refusal)
    }
    works = {index: found for index, found in enumerate(read) if isinstance(found, ForeignWork)}
    tried = _import(client, works, progress, dry_run=True)
    by_key: dict[str, list[int]] = {}
    for index, answer in tried.items():
        if isinstance(answer, CoordinatorError):
            fates[index] = Fate(rows[index], works[index], refusal=answer.message)
        else:
            by_key.setdefault(answer.work_key, []).append(index)
    chosen = [max(same, key=lambda index: _rank(works[index])) for same in by_key.values()]
    for first, same in zip(chosen, by_key.values(), strict=True):
        for index in same:
            fates[index] = Fate(rows[index], works[index], tried[index], same_as=rows[first])  # type: ignore[arg-type]  # no errors among them
    if not dry_run:
        # What is left of claims has become less, or nothing.
        again = datetime.now(UTC)
        works |= {
            index: found
            for index in chosen
            if isinstance(found := read_row(rows[index], again, repeatable=repeatable), ForeignWork)
        }
        tried |= _import(client, {index: works[index] for index in sorted(chosen)}, progress, dry_run=False)
    for index in chosen:
        answer = tried[index]
        fates[index] = (
            Fate(rows[index], works[index], refusal=answer.message)
            if isinstance(answer, CoordinatorError)
            else Fate(rows[index], works[index], answer)
        )
    return [fates[index] for index in range(len(rows))]


def _rank(work: ForeignWork) -> tuple[float, datetime]:
    return work.remaining_seconds or 0.0, work.ended_at or work.claimed_at or _LONG_AGO


def _import(
    client: Client, works: dict[int, ForeignWork], progress: Progress, *, dry_run: bool
) -> dict[int, Imported | CoordinatorError]:
    answers: dict[int, Imported | CoordinatorError] = {}
    indexes = list(works)
    for start in range(0, len(indexes), SUBMITTED_AT_ONCE):
        progress("looked at" if dry_run else "imported", start, len(indexes))
        part = indexes[start : start + SUBMITTED_AT_ONCE]
        answers |= zip(part, client.import_work([works[each] for each in part], dry_run=dry_run), strict=True)
        for each in part:
            # That row is in order; the coordinator was not able to.
            if isinstance(error := answers[each], TryAgain):
                raise error
    return answers
