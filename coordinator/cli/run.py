"""``coordination run``: runs a command under a claim. ``coordinator.run`` does it; here it is typed and read.

Invariants: standard output is COMMAND's, so whatever this says goes to standard error, as JSON where that was asked
for. A fault of its own is 125, a mistake in its options too: COMMAND's codes may be any.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.common_options import CommonCommand
from coordinator.cli.context import SETTINGS, Context, current
from coordinator.cli.json_objects.work import run_object
from coordinator.cli.output import write_error_object
from coordinator.cli.quantities import parse_duration, parse_ttl
from coordinator.cli.session import find_session
from coordinator.cli.streams import notice, write_error
from coordinator.cli.text.claims import describe_claim, describe_similar
from coordinator.cli.work.arguments import DistinctFrom, SessionOption, Wait, read_wait
from coordinator.cli.work.key_lists import STANDARD_INPUT, FromFile, read_key_list
from coordinator.cli.work.new_fleet_notice import say_if_new
from coordinator.client._ids import new_id
from coordinator.errors import ClaimLost, InvalidInput, Unavailable
from coordinator.limits import check_repeat_after
from coordinator.model import Claim
from coordinator.names import check_kind
from coordinator.quotation import key as shown_key
from coordinator.quotation import name as shown_name
from coordinator.quotation import visible

__all__ = ["COMMANDS", "RunCommand"]

_DEFAULT_TTL, _DEFAULT_GRACE = "10m", "10s"
_COMMAND = "coordination.command"
#: Settings whose values are files, which COMMAND may look for from another directory.
_FILES = ("token_file", "ca", "cert", "key")


class RunCommand(CommonCommand):
    """A command behind whose ``--`` another one stands, which is not looked at."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the first ``--``."""
        place = args.index("--") if "--" in args else None
        ctx.meta[_COMMAND] = None if place is None else args[place + 1 :]
        return super().parse_args(ctx, args[:place])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces of the usage line."""
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND…"]


def run(
    context: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY…", help="The work; of several, the first that is free.", show_default=False),
    ] = None,
    from_file: FromFile = None,
    from_pool: Annotated[
        bool, typer.Option("--next", help="Take the best piece of work of the pool, as work-next without KEY does.")
    ] = False,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="With --next, only work of this kind.")
    ] = None,
    session: SessionOption = None,
    ttl: Annotated[
        str,
        typer.Option(
            "--ttl",
            metavar="MINUTES",
            help="How long the claim lasts without a renewal, in minutes, or with s, m, h, d. It is renewed all the "
            "time; COMMAND ends before a claim that cannot be.",
        ),
    ] = _DEFAULT_TTL,
    wait: Wait = None,
    distinct_from: DistinctFrom = None,
    repeat: Annotated[
        str | None,
        typer.Option(
            "--repeat",
            metavar="DURATION",
            help="Do work again that was completed before, if that is at least so long ago, e.g. 20h; its policy is "
            "not heeded.",
            show_default=False,
        ),
    ] = None,
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="DURATION", help="How long COMMAND has between SIGTERM and SIGKILL, e.g. 30s."),
    ] = _DEFAULT_GRACE,
    nothing_free: Annotated[
        int,
        typer.Option(
            "-E",
            "--denied-code",
            metavar="CODE",
            help="The exit code where nothing could be had; with 0, nothing is said about it.",
            min=0,
            max=255,
        ),
    ] = 75,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Report what was claimed, and what became of it.")
    ] = False,
) -> int:
    """Claim work, run a command while the claim is renewed, and complete the work or release it.

    COMMAND's exit code decides: with 0 the work is completed, else it is released as failed, with the reason "exit N"
    or "signal NAME". If the claim is lost or cannot be renewed, COMMAND and all that it has started are ended before
    another session is granted the work.

    Exits with COMMAND's code, or 128 + the number of the signal that ended it; 75 if nothing could be had (-E); 124 if
    the claim was lost; 125 for a fault of run itself, as a wrong option or no coordinator; 126 if COMMAND cannot be
    executed, 127 if it is not found.

    COMMAND finds its claim in COORDINATION_SESSION, _KEY, _FENCING_TOKEN, _ATTEMPT, _INSTANCE, _PREVIOUS_NOTE and
    _BRIEF_FILE, the path of a file with the brief.
    """
    _check_system()
    from coordinator.repository import in_repository, repository_of
    from coordinator.run.candidates import check_candidates
    from coordinator.run.signals import end_by
    from coordinator.run.timing import check_timing
    from coordinator.run.wrapper import Request, Wrapper

    command = context.meta[_COMMAND]
    if not command:
        missing = "no command is named" if command is None else "no command stands behind --"
        raise InvalidInput(f"{missing}; it must stand behind --", hint="coordination run KEY… -- COMMAND ARGUMENT…")
    here = current()
    here.check()
    timing = check_timing(parse_ttl(ttl), parse_duration(grace, field="grace"))
    candidates = None
    if from_pool:
        _check_pool_alone(keys, from_file)
    else:
        repository = repository_of(here.repo)
        typed = [in_repository(key, repository) for key in _read_candidates(list(keys or ()), from_file)]
        candidates = check_candidates(typed)
    instance = new_id()
    request = Request(
        session=find_session(session, invent=True).name,
        instance=instance,
        keys=candidates,
        timing=timing,
        command=command,
        settings=_given_settings(here),
        timeout=here.timeout,
        connect=lambda seconds: here.client_of(instance, seconds),
        nothing_free=nothing_free,
        wait=read_wait(wait),
        kind=_kind(kind, from_pool=from_pool),
        distinct_from=distinct_from or (),
        repeat_after=None if repeat is None else check_repeat_after(parse_duration(repeat, field="repeat")),
    )
    outcome = Wrapper(request, notice, partial(_claimed, here, verbose=verbose)).run()
    _report(here, outcome, verbose=verbose)
    if outcome.by_interrupt:
        # Ctrl-C was COMMAND's alone; what shares this group, a shell that runs a script, waits for it too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGINT)
    if outcome.signal == signal.SIGINT:
        end_by(signal.SIGINT)
    return int(outcome.code)


def _check_system() -> None:
    """Raise ``Unavailable`` where no command can be made to end with its claim."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(
            "coordination run needs Linux: no other system lets it end whatever a command has started",
            hint="use work-claim, work-renew and work-complete, or `hold` of the Python client",
        )


def _claimed(context: Context, claim: Claim, *, verbose: bool) -> None:
    """Say what was claimed, and to people that its fleet is new: where none look, standard error is COMMAND's."""
    if verbose and not context.json:
        _say_claim(claim)
    if not context.json:
        for line in describe_similar(claim.similar):
            _write(line)
    if sys.stderr.isatty():
        say_if_new(context, claim)


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"run": run}


def _report(context: Context, outcome: Any, *, verbose: bool) -> None:
    """Say how it ended, as far as COMMAND's own words and exit code do not."""
    from coordinator.run.outcome import What

    if context.json:
        write_error_object(context.fleet, run_object(outcome))
        return
    claim = outcome.claim
    if outcome.what is What.NOT_CLAIMED and (outcome.code or verbose):
        _write("\n".join([describe_claim(outcome.denial), *describe_similar(outcome.denial.similar)]))
    elif outcome.what is What.LOST:
        became = "but processes of the command go on" if outcome.goes_on else "so the command was ended"
        why = outcome.reason.removeprefix(ClaimLost.PREFIX)
        _write(f"LOST: the claim on {shown_key(claim.work_key)}, {became}: {why}")
    elif verbose and outcome.what in (What.COMPLETED, What.RELEASED):
        reason = f" ({outcome.reason})" if outcome.what is What.RELEASED else ""
        _write(f"{outcome.what.value} {shown_key(claim.work_key)}{reason}")


def _say_claim(claim: Claim) -> None:
    first, *rest = describe_claim(claim).splitlines()
    _write("\n".join([first, f"  by {shown_name(claim.session)}", *rest]))


def _write(text: str) -> None:
    write_error(f"{visible(text)}\n")


def _read_candidates(keys: list[str], file: Path | None) -> list[str]:
    """Return the work keys that are named, and those in a file, which may list none."""
    if file is None and not keys:
        raise InvalidInput(
            "no work key is named; at least one is needed",
            field="work_key",
            hint="coordination run KEY… -- COMMAND…, or --from FILE with one key on each line, or --next for the pool",
        )
    if str(file) == STANDARD_INPUT:
        raise InvalidInput(
            "--from cannot be standard input, which is COMMAND's",
            field="from",
            hint="name a file, or in bash: --from <(command that lists keys)",
        )
    return keys if file is None else [*keys, *read_key_list(file)]


def _check_pool_alone(keys: list[str] | None, file: Path | None) -> None:
    if keys or file is not None:
        raise InvalidInput(
            "--next takes work of the pool, and work keys are named; leave out one of them", field="next"
        )


def _kind(kind: str | None, *, from_pool: bool) -> str | None:
    """Return of which kind the work of the pool is to be, None for any."""
    if kind is not None and not from_pool:
        raise InvalidInput("--kind is about the pool, and --next is not given; leave out one of them", field="kind")
    return None if kind is None else check_kind(kind)


def _given_settings(context: Context) -> dict[str, str]:
    """Return the settings that were given as options, for commands inside COMMAND, by the names of their variables."""
    found = {}
    for setting in SETTINGS:
        value, source = context.chosen[setting.name]
        if source == "option":
            path = setting.name in _FILES and value
            found[setting.variable] = str(Path(value).absolute()) if path else value
    return found
