"""The commands that read what is recorded of work: ``work-show``, ``work-list`` and ``work-log``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from coordinator.cli.context import Context, current
from coordinator.cli.json_objects.work import list_object, log_object, show_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.session import find_asking
from coordinator.cli.text import work as wording
from coordinator.cli.times import parse_moment
from coordinator.cli.work.arguments import Key
from coordinator.cli.work.lists import Wanted, collect
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from coordinator.model import LogEntry, LogPage, PoolStanding, RecordPage, State
from coordinator.names import check_session_filter

__all__ = ["COMMANDS"]

Limit = Annotated[int, typer.Option("--limit", metavar="N", help="How many to show, at most.", min=1, max=100_000)]
PageToken = Annotated[str, typer.Option("--page-token", metavar="TOKEN", help="Continue where a page ended.")]


#: How the work stands in the pool that each option lists.
_AVAILABLE, _FAILED = (PoolStanding.AVAILABLE,), (PoolStanding.FAILED,)
_BLOCKED = (PoolStanding.BLOCKED, PoolStanding.RETURNED)


def work_show(
    key: Key,
    similar: Annotated[
        bool, typer.Option("--similar", help="Show also which topics may be the same work under another name.")
    ] = False,
) -> int:
    """Show all that is known of a unit of work; exits with 1 if it has never been claimed."""
    context = current()
    with context.client() as client:
        details = client.get(key)
        alike = client.find_similar(key) if similar else None
    say_what_it_became(key, details.record.work_key)
    answer(context, wording.describe_work(details, alike), show_object(details, alike))
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
    claimed: Annotated[bool, typer.Option("--claimed", help="The same as --state claimed.")] = False,
    available: Annotated[
        bool,
        typer.Option(
            "--available", help="Free to be claimed: what the pool hands out, the best first, and abandoned work."
        ),
    ] = False,
    blocked: Annotated[
        bool, typer.Option("--blocked", help="In the pool, and waiting for other work or until it is offered again.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Failed too often, and not handed out until an operator puts it back.")
    ] = False,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only work of this kind, e.g. github.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session", "--agent", metavar="SESSION", help="Only work that this session holds or was the last to hold."
        ),
    ] = None,
    limit: Limit = DEFAULT_PAGE_SIZE,
    page_token: PageToken = "",
) -> int:
    """List work by its key: what is claimed, completed and abandoned, and then what is in the pool."""
    context = current()
    states = (*(state or ()), *(["claimed"] * claimed), *(["abandoned"] * available))
    standings = (*_AVAILABLE * available, *_BLOCKED * blocked, *_FAILED * failed)
    everything = not states and not standings
    wanted = Wanted(
        states=states,
        # Work that no session holds or held is no session's.
        standings=() if session is not None else (*_AVAILABLE, *_BLOCKED, *_FAILED) if everything else standings,
        records=everything or bool(states),
        pool_first=bool(standings),
        kind=kind,
        session=session,
    )
    with context.client() as client:
        found = collect(client, wanted, limit, page_token)
    lines = [wording.describe_records(found.records), wording.describe_pool(found.pool)]
    text = "\n".join(itertools.chain(*(reversed(lines) if wanted.pool_first else lines))) or "nothing found"
    page = RecordPage(tuple(found.records), found.next_page_token, found.revision, found.damaged)
    answer(context, text, list_object(page, found.pool))
    if damaged := page.damaged:
        which = "1 record cannot be read and was" if damaged == 1 else f"{damaged} records cannot be read and were"
        hint(context, f"{which} left out; the coordinator's log names them")
    _say_more(context, page.next_page_token)
    return 0


def work_log(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="Whose attempts. [default: the session that COORDINATION_SESSION or an agent's variable names; "
            "the whole fleet's where none does]",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="today, yesterday, how long ago (2h, 90m, 1d), or a date or time, e.g. 2026-06-14T02:00:00Z; in UTC.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The attempts of all sessions.")] = False,
    limit: Limit = DEFAULT_PAGE_SIZE,
    page_token: PageToken = "",
) -> int:
    """List attempts that have ended, of a session or of the fleet, latest first; exits with 1 if there are none."""
    context = current()
    if everything and session is not None:
        raise InvalidInput("--all is of all sessions, and a session is named; leave out one of them", field="session")
    named = find_asking(None) if session is None else check_session_filter(session)
    whose = None if everything else named
    moment = None if since is None else parse_moment(since, datetime.now(UTC), field="since")
    entries: list[LogEntry] = []
    token = page_token
    with context.client() as client:
        while True:
            size = min(limit - len(entries), MAX_PAGE_SIZE)
            page = client.log_page(whose, since=moment, page_size=size, page_token=token)
            entries += page.entries
            token = page.next_page_token or ""
            if not token or len(entries) >= limit:
                break
    found = LogPage(whose, tuple(entries), token or None)
    answer(context, wording.describe_log(found, since=moment), log_object(found))
    _say_more(context, found.next_page_token)
    return 0 if entries else 1


#: The commands by their names, in the order in which help lists them.
COMMANDS: dict[str, Callable[..., int]] = {"work-show": work_show, "work-list": work_list, "work-log": work_log}


def _say_more(context: Context, page_token: str | None) -> None:
    if page_token is not None:
        hint(context, f"there is more: raise --limit, or continue with --page-token '{page_token}'")
