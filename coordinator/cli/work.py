"""The commands for those who work: ``work-claim`` and its kin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator import quotation
from coordinator.cli import text as wording
from coordinator.cli.context import Context, current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects import claim_object, list_object, log_object, record_object, show_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import parse_hours, parse_ttl
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_PAGE_SIZE, DEFAULT_TTL_SECONDS, MAX_PAGE_SIZE
from coordinator.model import Denial, DenialReason, LogEntry, LogPage, Record, RecordPage, State

__all__ = ["COMMANDS"]

Session = Annotated[
    str, typer.Argument(metavar="SESSION", help="The session that works, e.g. session-7f8b.", show_default=False)
]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="The unit of work: kind:identity, a GitHub reference or a URL; without a kind it becomes task:…",
        show_default=False,
    ),
]
Token = Annotated[
    int | None,
    typer.Option("--token", metavar="N", help="The fencing token of the claim.", min=1, max=2**63 - 1),
]
RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="Repeat a request whose outcome was unknown: it takes effect at most once.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="How many to show, at most.", min=1, max=100_000)]
PageToken = Annotated[str, typer.Option("--page-token", metavar="TOKEN", help="Continue where a page ended.")]


def work_claim(
    session: Session,
    key: Key,
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
    reopen: Annotated[bool, typer.Option("--reopen", help="Claim it although it is completed.")] = False,
    token: Token = None,
    request_id: RequestId = None,
) -> int:
    """Claim a unit of work before doing it.

    Exits with 0 if the claim is yours, with 1 if it was denied. Claiming what the session holds already renews it.
    """
    context = current()
    seconds = None if ttl is None else parse_ttl(ttl)
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        found = client.try_claim(session, key, seconds, note=note, reopen=reopen, token=token, request_id=request_id)
    say_what_it_became(key, found.work_key)
    answer(context, wording.describe_claim(found), claim_object(found, key))
    if isinstance(found, Denial):
        hint(context, _what_else(found))
        return 1
    return 0


def work_renew(
    session: Session,
    key: Key,
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
    request_id: RequestId = None,
) -> int:
    """Give a claim more time, leave a note on it, or both; the deadline never moves back."""
    context = current()
    seconds = None if ttl is None else parse_ttl(ttl)
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        claim = client.renew(session, key, seconds, note=note, token=token, request_id=request_id)
    say_what_it_became(key, claim.work_key)
    answer(context, wording.describe_claim(claim), claim_object(claim, key))
    return 0


def work_complete(
    session: Session,
    key: Key,
    result: Annotated[
        str, typer.Option("--result", metavar="TEXT", help="What came of it: a link, a commit, a sentence.")
    ] = "",
    token: Token = None,
    request_id: RequestId = None,
) -> int:
    """Mark work as finished; later claims of it are denied as already completed."""
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.complete(session, key, result=result, token=token, request_id=request_id)
    say_what_it_became(key, record.work_key)
    late = " (late: the claim had expired, and no session had claimed it since)" if record.late else ""
    answer(context, f"completed {quotation.key(record.work_key)}{late}", record_object(record))
    return 0


def work_abandon(
    session: Session,
    key: Key,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; shown to the next session that claims it.")
    ] = "",
    token: Token = None,
    request_id: RequestId = None,
) -> int:
    """Release unfinished work; it can be claimed again at once.

    The Python client and the API call this `release`.
    """
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.release(session, key, reason=reason, token=token, request_id=request_id)
    say_what_it_became(key, record.work_key)
    restored = record.state is State.COMPLETED
    text = f"abandoned {quotation.key(record.work_key)}" + (
        " (it stays completed, as it was before it was reopened)" * restored
    )
    answer(context, text, record_object(record))
    return 0


def work_show(key: Key) -> int:
    """Show all that is known of a unit of work; exits with 1 if it has never been claimed."""
    context = current()
    with context.client() as client:
        details = client.get(key)
    say_what_it_became(key, details.record.work_key)
    answer(context, wording.describe_work(details), show_object(details))
    return 1 if details.record.state is State.AVAILABLE else 0


def _states() -> list[str]:
    return ["claimed", "completed", "abandoned"]


def work_list(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="claimed, completed or abandoned; may be given several times.",
            autocompletion=_states,
        ),
    ] = None,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Only work of this kind, e.g. github.")] = "",
    session: Annotated[
        str,
        typer.Option("--session", metavar="SESSION", help="Only work that this session holds or was the last to hold."),
    ] = "",
    limit: Limit = DEFAULT_PAGE_SIZE,
    page_token: PageToken = "",
) -> int:
    """List work by its key: what is claimed, completed and abandoned."""
    context = current()
    page = _collect_records(context, tuple(state or ()), kind, session, limit, page_token)
    answer(context, wording.describe_records(page.records), list_object(page))
    if damaged := page.damaged:
        which = "1 record cannot be read and was" if damaged == 1 else f"{damaged} records cannot be read and were"
        hint(context, f"{which} left out; the coordinator's log names them")
    _say_more(context, page.next_page_token)
    return 0


def work_log(
    session: Session,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="A date or time, e.g. 2026-06-14 or 2026-06-14T02:00:00Z."),
    ] = None,
    limit: Limit = DEFAULT_PAGE_SIZE,
    page_token: PageToken = "",
) -> int:
    """List the attempts of a session that have ended, latest first; exits with 1 if there are none."""
    context = current()
    moment = None if since is None else _parse_time(since)
    entries: list[LogEntry] = []
    token = page_token
    with context.client() as client:
        while True:
            size = min(limit - len(entries), MAX_PAGE_SIZE)
            page = client.log_page(session, since=moment, page_size=size, page_token=token)
            entries += page.entries
            token = page.next_page_token or ""
            if not token or len(entries) >= limit:
                break
    found = LogPage(session, tuple(entries), token or None)
    answer(context, wording.describe_log(found), log_object(found))
    _say_more(context, found.next_page_token)
    return 0 if entries else 1


def work_reap(
    min_age_hours: Annotated[
        str,
        typer.Option("--min-age-hours", metavar="HOURS", help="Only claims that expired at least so long ago."),
    ] = "0",
) -> int:
    """Record expired claims as abandoned, and report how many this call recorded."""
    context = current()
    hours = parse_hours(min_age_hours)
    with context.client() as client, under_way():
        reaped = client.reap(hours * 3600)
    answer(context, wording.describe_reap(reaped, hours), {"reaped": reaped, "min_age_hours": hours})
    return 0


def work_revoke(
    key: Key,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; shown to the next session that claims it.")
    ],
    request_id: RequestId = None,
) -> int:
    """Take a claim away from its holder; for operators."""
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        record = client.revoke(key, reason=reason, request_id=request_id)
    say_what_it_became(key, record.work_key)
    answer(
        context,
        f"revoked {quotation.key(record.work_key)} (was held by {quotation.name(record.session)})",
        record_object(record),
    )
    return 0


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {
    "work-claim": work_claim,
    "work-renew": work_renew,
    "work-complete": work_complete,
    "work-abandon": work_abandon,
    "work-show": work_show,
    "work-list": work_list,
    "work-log": work_log,
    "work-reap": work_reap,
    "work-revoke": work_revoke,
}


def _what_else(denial: Denial) -> str:
    if denial.reason is DenialReason.COMPLETED:
        return "choose other work; if it must be done again, claim it with --reopen"
    if denial.own_session:
        return "another process of this session works on it; if that was you, name its claim with --token"
    return "choose other work; `coordination work-list --state abandoned` shows what others have left unfinished"


def _collect_records(
    context: Context, states: tuple[str, ...], kind: str, session: str, limit: int, page_token: str
) -> RecordPage:
    """Read pages until there are ``limit`` records, or no more."""
    records: list[Record] = []
    revision = damaged = 0
    with context.client() as client:
        read = functools.partial(client.list_page, states=states, kind=kind, session=session)
        while True:
            page = read(page_size=min(limit - len(records), MAX_PAGE_SIZE), page_token=page_token)
            records += page.records
            revision = revision or page.revision
            damaged += page.damaged
            page_token = page.next_page_token or ""
            if not page_token or len(records) >= limit:
                return RecordPage(tuple(records), page_token or None, revision, damaged)


def _say_more(context: Context, page_token: str | None) -> None:
    if page_token is not None:
        hint(context, f"there is more: raise --limit, or continue with --page-token '{page_token}'")


def _parse_time(typed: str) -> datetime:
    try:
        moment = datetime.fromisoformat(typed)
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{typed!r} is not a time; it must be a date or a time like 2026-06-14T02:00:00Z", field="since"
        ) from None
    return moment
