"""``work-submit``: puts work into the pool, changes what was submitted of it, or takes it out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator import quotation
from coordinator.cli.context import current
from coordinator.cli.interruption import named_request, under_way
from coordinator.cli.json_objects.work import submit_object
from coordinator.cli.output import answer, hint, say_what_it_became
from coordinator.cli.quantities import named_path
from coordinator.cli.session import find_session
from coordinator.cli.text import claims as wording
from coordinator.cli.work.arguments import RequestId, SessionOption
from coordinator.cli.work.key_lists import read_lines, read_text_file
from coordinator.cli.work.new_fleet_notice import is_empty, say_that_it_is_new
from coordinator.errors import CoordinatorError, InvalidInput
from coordinator.limits import MAX_TEXT_BYTES
from coordinator.model import NewWork

__all__ = ["COMMANDS"]

#: What an object in a file of work may have, with the types that JSON has for them.
_MEMBERS: dict[str, tuple[type, str]] = {
    "key": (str, "a text"),
    "priority": (int, "a whole number"),
    "brief": (str, "a text"),
    "depends": (list, "an array of texts"),
    "withdraw": (bool, "true or false"),
    "reopen": (bool, "true or false"),
}


def work_submit(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY…", help="The work to be done.", show_default=False)
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help='Read work from a file, or from - , one JSON object a line: {"key": …, "priority": …, "brief": …, '
            '"depends": […]}.',
            parser=named_path("--from", "a file"),
        ),
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="Work of higher priority is handed out first.")
    ] = None,
    brief: Annotated[
        str | None,
        typer.Option("--brief", "--metadata", metavar="TEXT", help="What is to be done; shown with the claim."),
    ] = None,
    brief_file: Annotated[
        Path | None,
        typer.Option(
            "--brief-file", metavar="FILE", help="The same, from a file.", parser=named_path("--brief-file", "a file")
        ),
    ] = None,
    depends: Annotated[
        list[str] | None,
        typer.Option(
            "--depends", metavar="KEY", help="Hand it out once this is completed; may be given several times."
        ),
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take it out of the pool.")] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Put it back if it is completed or has failed; for operators.")
    ] = False,
    session: SessionOption = None,
    request_id: RequestId = None,
) -> int:
    """Put work into the pool, from which work-next hands it out; submitting it again changes what is named.

    Exits with 1 if any of it was refused: completed work, or work that would come to wait for itself.
    """
    context = current()
    acting = find_session(session)
    if brief is not None and brief_file is not None:
        raise InvalidInput("--brief and --brief-file are both given; give one of them", field="brief")
    if brief_file is not None:
        brief = read_text_file(brief_file, "--brief-file", MAX_TEXT_BYTES)
    named = None if depends is None else tuple(depends)
    work = [NewWork(key, priority, brief, named, withdraw=withdraw, reopen=reopen) for key in keys or ()]
    if from_file is not None:
        work += [_read(line, number) for number, line in enumerate(read_lines(from_file), 1)]
    elif not work:
        raise InvalidInput(
            "no work key is named; at least one is needed",
            field="work_key",
            hint="coordination work-submit KEY…, or --from FILE with one JSON object on each line",
        )
    request_id = named_request(request_id)
    with context.client() as client, under_way(request_id):
        was_empty = is_empty(context, client)
        outcomes = client.submit_many(acting.name, work, request_id=request_id)
    refused = [outcome for outcome in outcomes if isinstance(outcome, CoordinatorError)]
    if len(work) == 1 and refused:
        raise refused[0]
    lines, unknown = [], dict[str, None]()
    for each, outcome in zip(work, outcomes, strict=True):
        if isinstance(outcome, CoordinatorError):
            lines.append(f"REFUSED {quotation.key(each.key)}: {outcome.message}")
        else:
            say_what_it_became(each.key, outcome.work_key)
            lines.append(wording.describe_submission(outcome))
            unknown |= dict.fromkeys(outcome.unknown)
    answer(context, "\n".join(lines), submit_object(work, outcomes))
    submitted = {outcome.work_key for outcome in outcomes if not isinstance(outcome, CoordinatorError)}
    if submitted and was_empty:
        say_that_it_is_new(context)
    missing = [quotation.key(each) for each in unknown if each not in submitted]
    if missing:
        hint(context, f"nothing is known of {', '.join(missing[:5])}, which some of it depends on; check the spelling")
    return refused[0].exit_code if refused else 0


def _read(line: str, number: int) -> NewWork:
    """Read one line of a file of work."""
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(f"line {number} of --from is no JSON object", field="from", hint='{"key": "task:x"}')
    for name, value in found.items():
        kind, allowed = _MEMBERS.get(name, (object, ""))
        if not allowed:
            known = ", ".join(_MEMBERS)
            raise InvalidInput(
                f"line {number} of --from has {quotation.quoted(name, 40)}; allowed are {known}", field="from"
            )
        whole = not isinstance(value, bool) or kind is bool
        texts = kind is not list or (isinstance(value, list) and all(isinstance(each, str) for each in value))
        if not isinstance(value, kind) or not whole or not texts:
            raise InvalidInput(f"{name} in line {number} of --from must be {allowed}", field="from")
    if "key" not in found:
        raise InvalidInput(f"line {number} of --from has no key", field="from", hint='{"key": "task:x"}')
    depends = found.pop("depends", None)
    return NewWork(**found, depends=None if depends is None else tuple(depends))


#: The command by its name.
COMMANDS: dict[str, Callable[..., int]] = {"work-submit": work_submit}
