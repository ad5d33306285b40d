"""``work-next``: claim one of several pieces of work, the first that is free.

What it says where none is free is in ``coordinator/denial_text.py``, and the hint in ``text/claims.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects.work import next_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import parse_ttl
from coordinator.cli.session import find_session
from coordinator.cli.text import claims as wording
from coordinator.cli.work.arguments import (
    ClaimNote,
    ClaimTtl,
    DistinctFrom,
    RequestId,
    SessionOption,
    Wait,
    read_wait,
    withdrawing,
)
from coordinator.cli.work.key_lists import FromFile, read_key_list
from coordinator.cli.work.new_fleet_notice import say_if_new
from coordinator.cli.work.similar_notice import say_what_is_similar
from coordinator.errors import InvalidInput
from coordinator.model import Claim, Denial

__all__ = ["COMMANDS"]


def work_next(
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY…",
            help="The work to choose from, the most wanted first; by default what was submitted to the pool.",
            show_default=False,
        ),
    ] = None,
    from_file: FromFile = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="From the pool, only work of this kind.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Claim nothing: say what the pool would hand out, and why not the rest.")
    ] = False,
    ttl: ClaimTtl = None,
    note: ClaimNote = "",
    wait: Wait = None,
    distinct_from: DistinctFrom = None,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Claim the best piece of work of the pool, or the first of several that is free, in one call.

    Without KEY the pool hands out what was submitted: the highest priority first, once all that it depends on is
    completed. Or name up to 1,000 work keys, the most wanted first; --from - reads them from the standard input. What
    the session holds already is passed over. Exits with 0 if one is yours, with 1 if none was free.
    """
    context = current()
    acting = find_session(session)
    seconds, waits = None if ttl is None else parse_ttl(ttl), read_wait(wait)
    candidates = _candidates(keys, from_file, about_pool=kind is not None or explain)
    request_id = named_request(request_id)
    with context.client(instance=acting.instance) as client:
        withdraw = withdrawing(client, acting.name, "", request_id, seconds) if waits else None
        with under_way(request_id, withdraw):
            found = client.try_claim_next(
                acting.name,
                candidates,
                seconds,
                kind=kind,
                note=note,
                explain=explain,
                wait=waits,
                distinct_from=distinct_from or (),
                request_id=request_id,
            )
    if explain and isinstance(found, Denial):
        answer(context, wording.explain_next(found), next_object(found, explained=True))
        return 0 if found.work_key else 1
    say_if_new(context, found)
    say_what_is_similar(context, found)
    if isinstance(found, Claim) and found.typed_key is not None:
        say_what_it_became(found.typed_key, found.work_key)
    answer(context, wording.describe_claim(found), next_object(found))
    if isinstance(found, Denial):
        hint(context, wording.after_a_wait(found, waits) + wording.what_after_nothing_free(found))
        return 1
    return 0


def _candidates(keys: list[str] | None, from_file: Path | None, *, about_pool: bool) -> list[str] | None:
    """Return the work to choose from; None for the pool."""
    if not keys and from_file is None:
        return None
    if about_pool:
        raise InvalidInput(
            "--kind and --explain are about the pool, and work keys are named; leave out one of them",
            field="candidates",
        )
    return [*(keys or ()), *(read_key_list(from_file) if from_file is not None else ())]


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"work-next": work_next}
