"""What is said where none of several pieces of work is free: why that is, and what a session can do.

It loads nothing but ``time_text``: the quick way of the command line needs it, and loads nothing that takes time. Work
keys come as they are shown.
"""

from __future__ import annotations

from coordinator.time_text import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["NAMED", "nothing_free", "what_next", "what_next_from_pool"]

#: How many of several work keys are named in a hint.
NAMED = 5
#: What is said of candidates that were passed over, by the reason.
_PASSED_OVER = {
    "held": "held",
    "completed": "completed",
    "cooldown": "completed too lately to be repeated",
    "limit": "at the limit of their policy",
    "similar": "maybe the same as other work",
    "own": "held by your own session",
    "blocked": "waiting for other work",
    "returned": "given back",
    "failed": "failed too often",
}


def nothing_free(passed_over: Iterable[tuple[str, int]], *, from_pool: bool = False) -> str:
    """Say that no candidate was free: ``nothing is free: 9 of 12 are held, 3 are completed``."""
    counts = list(passed_over)
    total = sum(count for _, count in counts)
    parts = [f"{count} {'is' if count == 1 else 'are'} {_PASSED_OVER[reason]}" for reason, count in counts]
    if not parts:
        return f"nothing is free: the {'pool' if from_pool else 'list'} is empty"
    head, _, rest = parts[0].partition(" ")
    parts[0] = f"{head} of {total} {rest}"
    return f"nothing is free: {', '.join(parts)}"


def what_next(why: str | None, retry_after_seconds: float | None, held: Sequence[str]) -> str:
    """Say what a session can do that was given nothing of a list; ``held`` is what it holds of it already."""
    if why == "empty":
        return "there is nothing to do on this list: start nothing, or name other work"
    again = ""
    if retry_after_seconds is not None:
        wait = format_duration(retry_after_seconds)
        # Not "ask again": a model would ask in a loop.
        again = f"; the first claim ends within {wait}, and --wait waits for it"
        if why == "blocked":
            again = f"; the first of these may be repeated in {wait}, and --wait waits for it"
    if held:
        again = f"; go on with what you hold: {', '.join(held[:NAMED])}{again}"
    return f"name other work{again}"


def what_next_from_pool(why: str | None, retry_after_seconds: float | None, held: Sequence[str]) -> str:
    """Say what a session can do that was given nothing from the pool; ``held`` is what it holds of it already."""
    again = "" if retry_after_seconds is None else f"; ask again in {format_duration(retry_after_seconds)}"
    own = f"go on with what you hold: {', '.join(held[:NAMED])}; " if held else ""
    if why == "held":
        return f"{own}others are at the rest; what depends on that is handed out once it is completed{again}"
    if why == "blocked":
        return f"what is left waits; `coordination work-next --explain` says for what{again}"
    if why == "failed":
        return "what is left has failed too often: `coordination work-show KEY` says how; start nothing"
    return "there is nothing to do: start nothing"
