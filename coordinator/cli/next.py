"""``work-next``: claim one of several pieces of work, the first that is free.

What it says where none is free is in ``coordinator/denial_text.py``, and the hint in ``text.py``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import text as wording
from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects import next_object
from coordinator.cli.key_lists import FromFile, read_key_list
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import parse_ttl
from coordinator.cli.session import find_session
from coordinator.cli.work_arguments import RequestId, SessionOption
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_TTL_SECONDS
from coordinator.model import Choice, Denial, DenialReason, NothingFree

__all__ = ["work_next"]


def work_next(
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY…", help="The work to choose from, the most wanted first.", show_default=False),
    ] = None,
    from_file: FromFile = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="MINUTES",
            help="How long, in minutes, or with s, m, h, d; it may last up to 6 s longer. "
            f"[default: {DEFAULT_TTL_SECONDS / 60:.0f}]",
        ),
    ] = None,
    note: Annotated[
        str,
        typer.Option(
            "--note",
            metavar="TEXT",
            help="Shown to sessions that are denied, and to the next one that claims the work.",
        ),
    ] = "",
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Claim the first of several pieces of work that is free, in one call.

    Name up to 1,000 work keys, the most wanted first; --from - reads them from the standard input. What the session
    holds already is passed over. Exits with 0 if one is yours, with 1 if none was free.
    """
    context = current()
    acting = find_session(session)
    seconds = None if ttl is None else parse_ttl(ttl)
    candidates = list(keys or ())
    if from_file is not None:
        candidates += read_key_list(from_file)
    elif not candidates:
        raise InvalidInput(
            "no work key is named; at least one is needed",
            field="candidates",
            hint="coordination work-next KEY…, or --from FILE with one key on each line",
        )
    request_id = named_request(request_id)
    if not candidates:
        found: Denial | None = None
    else:
        with context.client(instance=acting.instance) as client, under_way(request_id):
            taken = client.try_claim_next(acting.name, candidates, seconds, note=note, request_id=request_id)
        if not isinstance(taken, Denial):
            if taken.typed_key is not None:
                say_what_it_became(taken.typed_key, taken.work_key)
            answer(context, wording.describe_claim(taken), next_object(taken))
            return 0
        found = taken
    denial = found or Denial("", DenialReason.COMPLETED, choice=Choice(nothing_free=NothingFree.EMPTY))
    answer(context, wording.describe_claim(denial), next_object(denial))
    hint(context, wording.what_after_nothing_free(denial))
    return 1
