"""The commands by which a session works: ``work-claim``, ``work-renew``, ``work-complete`` and ``work-abandon``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects.work import claim_object, record_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import parse_ttl
from coordinator.cli.session import Session, acting_on
from coordinator.cli.text import claims as wording
from coordinator.cli.work.arguments import (
    ClaimNote,
    ClaimTtl,
    DistinctFrom,
    First,
    RequestId,
    Second,
    SessionOption,
    Token,
    Wait,
    read_wait,
    withdrawing,
)
from coordinator.cli.work.new_fleet_notice import say_if_new
from coordinator.cli.work.similar_notice import say_what_is_similar
from coordinator.model import Denial

__all__ = ["COMMANDS"]


def work_claim(
    first: First = None,
    second: Second = None,
    ttl: ClaimTtl = None,
    note: ClaimNote = "",
    reopen: Annotated[bool, typer.Option("--reopen", help="Claim it although it is completed.")] = False,
    wait: Wait = None,
    distinct_from: DistinctFrom = None,
    token: Token = None,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Claim a unit of work before doing it.

    Exits with 0 if the claim is yours, with 1 if it was denied. Claiming what the session holds already renews it.
    Where an agent's variable names the session, that takes --token, as the agent's sub-agents have the same session.
    """
    context = current()
    acting, key, token = acting_on("work-claim", first, second, session, token)
    seconds, waits = None if ttl is None else parse_ttl(ttl), read_wait(wait)
    request_id = named_request(request_id)
    with context.client(instance=acting.instance) as client:
        withdraw = withdrawing(client, acting.name, key, request_id, seconds) if waits else None
        with under_way(request_id, withdraw):
            found = client.try_claim(
                acting.name,
                key,
                seconds,
                note=note,
                reopen=reopen,
                token=token,
                wait=waits,
                distinct_from=distinct_from or (),
                request_id=request_id,
            )
    say_if_new(context, found)
    say_what_is_similar(context, found)
    say_what_it_became(key, found.work_key)
    answer(context, wording.describe_claim(found), claim_object(found, key))
    if isinstance(found, Denial):
        after = wording.what_after_denial(found, shared_by=_shared_by(acting))
        hint(context, wording.after_a_wait(found, waits) + after)
        return 1
    return 0


def work_renew(
    first: First = None,
    second: Second = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="MINUTES",
            help="How long from now; as before if left out. The deadline never moves back.",
        ),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option("--note", metavar="TEXT", help="How far the work is; shown to the session that takes it over."),
    ] = None,
    token: Token = None,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Give a claim more time, leave a note on it, or both; the deadline never moves back."""
    context = current()
    acting, key, token = acting_on("work-renew", first, second, session, token)
    seconds = None if ttl is None else parse_ttl(ttl)
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        claim = client.renew(acting.name, key, seconds, note=note, token=token, request_id=request_id)
    say_what_it_became(key, claim.work_key)
    answer(context, wording.describe_claim(claim), claim_object(claim, key))
    return 0


def work_complete(
    first: First = None,
    second: Second = None,
    result: Annotated[
        str, typer.Option("--result", metavar="TEXT", help="What came of it: a link, a commit, a sentence.")
    ] = "",
    token: Token = None,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Mark work as finished; later claims of it are denied as already completed."""
    context = current()
    acting, key, token = acting_on("work-complete", first, second, session, token)
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.complete(acting.name, key, result=result, token=token, request_id=request_id)
    say_what_it_became(key, record.work_key)
    answer(context, wording.describe_completion(record), record_object(record))
    return 0


def work_abandon(
    first: First = None,
    second: Second = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; shown to the next session that claims it.")
    ] = "",
    failed: Annotated[
        bool,
        typer.Option(
            "--failed", help="The attempt has failed; work of the pool is handed out three times at most then."
        ),
    ] = False,
    token: Token = None,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Release unfinished work; it can be claimed again at once.

    The Python client and the API call this `release`.
    """
    context = current()
    acting, key, token = acting_on("work-abandon", first, second, session, token)
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.release(acting.name, key, reason=reason, failed=failed, token=token, request_id=request_id)
    say_what_it_became(key, record.work_key)
    answer(context, wording.describe_release(record), record_object(record))
    return 0


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {
    "work-claim": work_claim,
    "work-renew": work_renew,
    "work-complete": work_complete,
    "work-abandon": work_abandon,
}


def _shared_by(session: Session) -> str:
    """Return the variable by which sub-agents have the session too, "" where only the caller has it."""
    return session.source.removeprefix("environment ") if session.shared else ""
