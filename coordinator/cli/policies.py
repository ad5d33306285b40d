"""The commands about policies: ``policy set``, ``policy list`` and ``policy unset``."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator import quotation
from coordinator.cli.common_options import CommonCommand, CommonGroup
from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects.fleet import policies_object, policy_object
from coordinator.cli.output import answer, say_what_it_became
from coordinator.cli.quantities import parse_duration
from coordinator.cli.text.fleet import describe_policies, describe_policy
from coordinator.cli.work.arguments import RequestId
from coordinator.cli.work.new_fleet_notice import is_empty, say_that_it_is_new
from coordinator.errors import InvalidInput
from coordinator.limits import DEFAULT_MAX_ATTEMPTS
from coordinator.model import Repeat, Similar

__all__ = ["COMMANDS"]

Pattern = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN",
        help="A kind, or a prefix of work keys by whole segments: github:gptme/gptme, task:deploy.",
        show_default=False,
    ),
]

policy = typer.Typer(
    cls=CommonGroup, help="What a kind of work means: may it be repeated, how many at once.", rich_markup_mode=None
)


@policy.command("set", cls=CommonCommand)
def policy_set(
    pattern: Pattern,
    repeat: Annotated[
        str | None,
        typer.Option(
            "--repeat",
            metavar="never|always|DURATION",
            help="Whether finished work may be claimed again; a duration, e.g. 20h, is counted from its completion.",
        ),
    ] = None,
    max_live: Annotated[
        str | None,
        typer.Option("--max-live", metavar="N", help="How many claims may be live at a time; 0 pauses this work."),
    ] = None,
    max_attempts: Annotated[
        str | None,
        typer.Option(
            "--max-attempts",
            metavar="N",
            help="How many attempts may fail before work is not handed out any more. "
            f"[default: {DEFAULT_MAX_ATTEMPTS}]",
            show_default=False,
        ),
    ] = None,
    loose_ends: Annotated[
        str | None,
        typer.Option("--loose-ends", metavar="on|off", help="Whether abandoned attempts are loose ends."),
    ] = None,
    similar: Annotated[
        str | None,
        typer.Option(
            "--similar",
            metavar="off|tell|ask",
            help="Whether a claim looks for the same work under another name: tell grants it and shows what is "
            "similar; ask denies it until --distinct-from names what it is not. [default: tell for topics, else off]",
            show_default=False,
        ),
    ] = None,
    request_id: RequestId = None,
) -> int:
    """Set what a kind of work, or all work below a prefix of work keys, means; for operators.

    What is not named stays as it is. Of all policies that match a work key, the longest pattern that sets a field
    counts. In force at every coordinator within 5 seconds. Limits are soft between coordinators.
    """
    context = current()
    wanted = _repeat(repeat)
    live, attempts = _count("max-live", max_live), _count("max-attempts", max_attempts)
    switch, looks = _switch(loose_ends), _looks(similar)
    if (wanted, live, attempts, switch, looks) == (None,) * 5:
        raise InvalidInput(
            "nothing is to be set; at least one option is needed",
            hint="coordination policy set PATTERN --repeat always",
        )
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        was_empty = is_empty(context, client)
        found = client.set_policy(
            pattern,
            repeat=wanted,
            max_live=live,
            max_attempts=attempts,
            loose_ends=switch,
            similar=looks,
            request_id=request_id,
        )
    say_what_it_became(pattern, found.pattern)
    answer(context, f"set {quotation.key(found.pattern)}: {describe_policy(found)}", policy_object(found))
    if was_empty:
        say_that_it_is_new(context)
    return 0


@policy.command("list", cls=CommonCommand)
def policy_list() -> int:
    """List the policies of the fleet, the built-in ones first."""
    context = current()
    with context.client() as client:
        found = client.list_policies()
    answer(context, describe_policies(found), policies_object(found))
    return 0


@policy.command("unset", cls=CommonCommand)
def policy_unset(pattern: Pattern, request_id: RequestId = None) -> int:
    """Take back all that was set for a pattern; for operators. What is built in stays."""
    context = current()
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        removed = client.unset_policy(pattern, request_id=request_id)
    shown = quotation.key(pattern)
    text = f"unset {shown}" if removed else f"nothing is set for {shown}"
    answer(context, text, {"pattern": pattern, "removed": removed})
    return 0 if removed else 1


def _repeat(typed: str | None) -> str | float | None:
    if typed is None or typed in (Repeat.NEVER, Repeat.ALWAYS):
        return typed
    try:
        return parse_duration(typed, field="repeat")
    except InvalidInput:
        raise InvalidInput(
            f"--repeat {typed!r} is not valid; allowed are never, always and a number with s, m, h or d",
            field="repeat",
            hint="for example --repeat 20h",
        ) from None


def _count(field: str, typed: str | None) -> int | None:
    if typed is None:
        return None
    if not (typed.isascii() and typed.isdigit()) or len(typed) > 18:
        raise InvalidInput(f"--{field} {typed!r} is not valid; it must be a whole number, 0 or more", field=field)
    return int(typed)


def _switch(typed: str | None) -> bool | None:
    if typed is not None and typed not in ("on", "off"):
        raise InvalidInput(f"--loose-ends {typed!r} is not valid; allowed are on and off", field="loose-ends")
    return None if typed is None else typed == "on"


def _looks(typed: str | None) -> Similar | None:
    if typed is not None and typed not in list(Similar):
        allowed = ", ".join(Similar)
        raise InvalidInput(f"--similar {typed!r} is not valid; allowed are {allowed}", field="similar")
    return None if typed is None else Similar(typed)


#: The group by its name.
COMMANDS = {"policy": policy}
