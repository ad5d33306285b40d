"""What is said of an import, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from coordinator.cli.imports.gptme_database import Database
from coordinator.cli.imports.gptme_rows import shown_task
from coordinator.cli.imports.plan import Fate
from coordinator.cli.quantities import format_count
from coordinator.model import Cause, ImportOutcome, State
from coordinator.quotation import key, name, quoted
from coordinator.time_text import format_duration

__all__ = ["describe_import", "import_object", "outcome_of"]

#: How many rows of one sort are named in the text; JSON names all.
_MOST_NAMED = 100
#: How much of what a row holds is shown.
_MOST_SHOWN = 60


def outcome_of(fate: Fate) -> str:
    """Return in one word what became of a row."""
    if fate.same_as is not None:
        return "same-work"
    return "refused" if fate.imported is None else fate.imported.outcome.value


def describe_import(found: Database, fates: Sequence[Fate], file: str, *, dry_run: bool) -> str:
    """Say what was imported, or would be, and what was not and why."""
    outcomes = Counter(outcome_of(fate) for fate in fates)
    done = outcomes[ImportOutcome.IMPORTED]
    verb = "would import" if dry_run else "imported"
    head = f"{verb} {done} of {format_count(len(fates), 'row')} of work from {quoted(file, _MOST_SHOWN)}"
    lines = [head, *_what_was_imported(fates)]
    for outcome, words in (
        (ImportOutcome.KNOWN, "known here already, left as found"),
        (ImportOutcome.TOO_OLD, "ended too long ago to be remembered here, left out"),
    ):
        if outcomes[outcome]:
            lines.append(f"  {outcomes[outcome]} {words}")
    claims = [fate for fate in fates if outcome_of(fate) == ImportOutcome.IMPORTED and _state(fate) is State.CLAIMED]
    lines += _named(claims, _claim)
    lines += _named([fate for fate in fates if fate.is_overtaken], _overtaken)
    lines += _named([fate for fate in fates if fate.same_as is not None], _same_work)
    lines += _named([fate for fate in fates if outcome_of(fate) == "refused"], _refused)
    if found.others:
        left_out = ", ".join(format_count(count, word) for word, count in found.others.items())
        lines.append(f"left out, as there is nothing like it here: {left_out}")
    return "\n".join(lines)


def import_object(found: Database, fates: Sequence[Fate], file: str, *, dry_run: bool) -> dict[str, Any]:
    """Return the same as an object, with all rows."""
    counts = Counter(outcome_of(fate) for fate in fates)
    return {
        "source": "gptme-coordination",
        "file": file,
        "dry_run": dry_run,
        "counts": {outcome: counts[outcome] for outcome in (*map(str, ImportOutcome), "same-work", "refused")},
        "left_out": {f"{word.replace(' ', '_')}s": count for word, count in found.others.items()},
        "rows": [_row_object(fate) for fate in fates],
    }


def _row_object(fate: Fate) -> dict[str, Any]:
    imported, work = fate.imported, fate.work
    return {
        "row": fate.row.number,
        "task_id": shown_task(fate.row),
        "outcome": outcome_of(fate),
        "work_key": None if imported is None else imported.work_key,
        "state": None if imported is None else imported.state.value,
        "session": None if imported is None else imported.session,
        "in_file": None if work is None else {"state": work.state.value, "session": work.session},
        "expires_in_seconds": None if work is None else work.remaining_seconds,
        "submitted": work is not None and work.brief is not None,
        "same_as_row": None if fate.same_as is None else fate.same_as.number,
        "reason": fate.refusal or None,
    }


def _what_was_imported(fates: Sequence[Fate]) -> list[str]:
    sorts: Counter[str] = Counter()
    pooled = 0
    for fate in fates:
        if outcome_of(fate) == ImportOutcome.IMPORTED and fate.work is not None:
            sorts[_sort(fate)] += 1
            pooled += fate.work.brief is not None
    lines = [f"  {count} {sort}" for sort, count in sorts.items()]
    return [*lines, f"  {pooled} of them in the pool"] if pooled else lines


def _sort(fate: Fate) -> str:
    work = fate.work
    if work is None or work.state is State.AVAILABLE:
        return "submitted, and claimed by no session"
    match work.state:
        case State.CLAIMED:
            return "claimed, for as long as the claim has left"
        case State.COMPLETED:
            return f"completed, {'may be claimed again' if work.repeatable else 'denied to who claims it again'}"
    return "abandoned, expired" if work.cause is Cause.EXPIRED else "abandoned, released"


def _state(fate: Fate) -> State | None:
    return None if fate.work is None else fate.work.state


def _claim(fate: Fate) -> str:
    work_key = key(fate.imported.work_key) if fate.imported else "?"
    left = format_duration(fate.work.remaining_seconds or 0.0) if fate.work else "?"
    return f"claimed {work_key} by {name(fate.work.session if fate.work else None)} (expires in {left})"


def _overtaken(fate: Fate) -> str:
    here = fate.imported
    if here is None or fate.work is None:
        return ""
    by = "" if here.session is None else f" by {name(here.session)}"
    return f"NOT IMPORTED {_row(fate)}: claimed by {name(fate.work.session)} there, {here.state.value}{by} here"


def _same_work(fate: Fate) -> str:
    work_key = "?" if fate.imported is None else key(fate.imported.work_key)
    other = "?" if fate.same_as is None else fate.same_as.number
    claim = f", and so is the claim of {name(fate.work.session)}" if fate.work and _state(fate) is State.CLAIMED else ""
    return f"SAME WORK {_row(fate)} is {work_key}, as row {other} is: left out{claim}"


def _refused(fate: Fate) -> str:
    return f"REFUSED {_row(fate)}: {fate.refusal}"


def _row(fate: Fate) -> str:
    return f"row {fate.row.number} {quoted(shown_task(fate.row), _MOST_SHOWN)}"


def _named(fates: Sequence[Fate], describe: Any) -> list[str]:
    lines = [describe(fate) for fate in fates[:_MOST_NAMED]]
    more = len(fates) - _MOST_NAMED
    return [*lines, f"  … and {more} more; --json names all"] if more > 0 else lines
