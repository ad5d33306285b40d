"""Make ``coordinator/cli/quick/table.py`` from the full command: ``python scripts/quick_table.py [--check]``.

What the quick way of the command line takes, and what it says, stands nowhere but in the full command: options are read
from its commands, and sentences and JSON objects are what it writes for values that are found again in its output.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pprint import pformat
from typing import Any

import typer.main
from generated_files import write_or_check

from coordinator import limits, quotation, wire
from coordinator.cli import app, config_file, output, quantities, session
from coordinator.cli.common_options import CommonCommand
from coordinator.cli.context import SETTINGS, Chosen, Context
from coordinator.cli.json_objects import work as objects
from coordinator.cli.text import claims as wording
from coordinator.cli.work import new_fleet_notice
from coordinator.model import (
    Cause,
    Choice,
    Claim,
    Denial,
    DenialReason,
    NothingFree,
    Outcome,
    Record,
    Skipped,
    SkipReason,
    State,
)
from coordinator.names import KNOWN_KINDS
from coordinator.nothing_free import nothing_free, what_next
from coordinator.time_text import format_duration, format_time

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "coordinator/cli/quick/table.py"
#: The commands that the quick way knows, with the options of each that it takes. All others are left to the full one.
TAKEN = {
    "work-claim": ("session", "ttl", "note", "reopen", "token", "request_id"),
    "work-renew": ("session", "ttl", "note", "token", "request_id"),
    "work-complete": ("session", "result", "token", "request_id"),
    "work-abandon": ("session", "reason", "token", "request_id"),
    "work-next": ("session", "ttl", "note", "request_id"),
}

#: Values that are found again in what is written.
_TIMES = {
    name: datetime(2031, 1, 1, tzinfo=UTC) + timedelta(days=number)
    for number, name in enumerate(("claimed_at", "expires_at", "ended_at", "completed_at", "acknowledged_at"))
}
_NUMBERS = {name: 7_000_001 + number for number, name in enumerate(("attempt", "fencing_token", "place"))}
_SECONDS = {"ttl_seconds": 77.125, "remaining_seconds": 78.125, "retry_after_seconds": 79.125}


def _text(name: str) -> str:
    return f"@{name}@"


#: What stands in the answer to a work-next beside the claim or denial.
_CHOICE = Choice(
    place=_NUMBERS["place"],
    skipped=(Skipped(_text("work_key"), SkipReason.LIMIT, _text("holder"), _TIMES["expires_at"]),),
    skipped_counts=((SkipReason.HELD, 7_000_099),),
    also_held=(_text("also"),),
)


def _claim(outcome: Outcome, **more: Any) -> Claim:
    times = {name: _TIMES[name] for name in ("claimed_at", "expires_at")}
    numbers = {name: _NUMBERS[name] for name in ("attempt", "fencing_token")}
    seconds = {name: _SECONDS[name] for name in ("ttl_seconds", "remaining_seconds")}
    texts = {name: _text(name) for name in ("work_key", "kind", "session", "note")}
    return Claim(outcome=outcome, deadline=0.0, **texts, **numbers, **times, **seconds, **more)  # type: ignore[arg-type]  # by name


def _denial(reason: DenialReason, **more: Any) -> Denial:
    return Denial(_text("work_key"), reason, **more)


def _record(state: State, **more: Any) -> Record:
    texts = ("work_key", "kind", "session", "reason", "result", "note", "acknowledged_reason")
    times = ("claimed_at", "expires_at", "ended_at", "acknowledged_at")
    numbers = ("attempt", "fencing_token")
    values: dict[str, Any] = {name: _text(name) for name in texts}
    values |= {name: _TIMES[name] for name in times} | {name: _NUMBERS[name] for name in numbers}
    return Record(state=state, **values | more)


def _pattern(written: str, *, as_json: bool = False) -> str:
    """Return what was written with ``%(name)s`` in the place of values."""
    found = written.replace("%", "%%")
    for name, moment in _TIMES.items():
        found = found.replace(f'"{format_time(moment)}"' if as_json else format_time(moment), f"%({name})s")
    for name, number in _NUMBERS.items():
        found = found.replace(str(number), f"%({name})s")
    for name, seconds in _SECONDS.items():
        found = found.replace(str(seconds) if as_json else format_duration(seconds), f"%({name})s")
    quote = '"' if as_json else ""
    names = (
        "work_key",
        "kind",
        "session",
        "note",
        "brief",
        "reason",
        "result",
        "acknowledged_reason",
        "holder",
        "completed_by",
        "typed_key",
        "fleet",
        "others",
        "variable",
        "policy",
    )
    for name in names:
        found = found.replace(f"{quote}{_text(name)}{quote}", f"%({name})s")
    if "@" in found:
        raise SystemExit(f"a value was not found again: {found}")
    return found


def _written(write: Callable[[], object], *, to_errors: bool) -> str:
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        write()
    return (complained if to_errors else said).getvalue()


def _context(*, as_json: bool) -> Context:
    chosen = {"fleet": Chosen(_text("fleet"), "option")}
    return Context(chosen, json=as_json, config_file=config_file.Found(None, {}, None))


def _answer(text: str) -> str:
    return _pattern(_written(lambda: output.answer(_context(as_json=False), text, {}), to_errors=False))


def _hint(text: str) -> str:
    return _pattern(_written(lambda: output.hint(_context(as_json=False), text), to_errors=True))


def _object(found: dict[str, Any], switches: dict[str, str]) -> str:
    """Return the pattern of an object; ``switches`` are what stands there for values that are no texts."""
    written = _written(lambda: output.answer(_context(as_json=True), "", found), to_errors=False)
    for value, name in switches.items():
        if written.count(value) != 1:
            raise SystemExit(f"{value} does not stand there once: {written}")
        written = written.replace(value, value.partition(": ")[0] + f": %<{name}>s")
    return _pattern(written, as_json=True).replace("%%<", "%(").replace(">s", ")s")


def _options(verb: str, *, of_all: bool = False) -> dict[str, tuple[str, bool]]:
    group = typer.main.get_command(app.build_app(verb))
    command = group.commands[verb]  # type: ignore[attr-defined]  # it is a group
    if not isinstance(command, CommonCommand):
        raise SystemExit(f"{verb} is no ordinary command")
    found: dict[str, tuple[str, bool]] = {}
    for parameter in command.params:
        name = str(parameter.name).removeprefix("common_") if not parameter.expose_value else str(parameter.name)
        common = not parameter.expose_value
        if parameter.param_type_name != "option" or (not common and name not in TAKEN[verb]):
            continue
        if parameter.envvar or parameter.multiple or parameter.nargs != 1:
            raise SystemExit(f"{verb} --{name} is read in another way than the quick way does")
        if common == of_all:
            found |= dict.fromkeys(parameter.opts, (name, not getattr(parameter, "is_flag", False)))
    missing = set() if of_all else set(TAKEN[verb]) - {name for name, _ in found.values()}
    if missing:
        raise SystemExit(f"{verb} has no {', '.join(sorted(missing))}")
    return dict(sorted(found.items()))


def _completed(*, late: bool) -> str:
    return _answer(wording.describe_completion(_record(State.COMPLETED, late=late)))


def _after_claim(**more: Any) -> str:
    """Return what is said of a grant behind its first line."""
    return _answer(wording.describe_claim(_claim(Outcome.GRANTED, **more))).partition("\n")[2]


def _values() -> dict[str, Any]:
    held, timed = DenialReason.HELD, {"expires_at": _TIMES["expires_at"]}
    done = {"completed_by": _text("completed_by")}
    holder = {"holder": _text("holder")}
    passed = _after_claim(choice=_CHOICE).replace(f"7000099 {SkipReason.HELD.value}", "%(counts)s")
    nothing = _denial(DenialReason.HELD, choice=Choice())
    skipped = json.dumps(objects.next_object(_denial(held, choice=_CHOICE))["skipped"][0])
    choice_switches = {
        f'"skipped": [{skipped}]': "skipped",
        '"skipped_counts": {"held": 7000099}': "counts",
        f'"also_held": ["{_text("also")}"]': "also_held",
    }
    brief = _after_claim(brief="\n".join([_text("brief")] * 2)).splitlines(keepends=True)
    record_switches = {'"state": "completed"': "state", '"cause": "revoked"': "cause", '"late": false': "late"}
    denial_object = objects.claim_object(
        _denial(
            held,
            **holder,
            **done,
            **timed,
            completed_at=_TIMES["completed_at"],
            retry_after_seconds=_SECONDS["retry_after_seconds"],
            policy=_text("policy"),
        ),
        _text("typed_key"),
    )
    return {
        "COMMON": _options("work-claim", of_all=True),
        "OPTIONS": {verb: _options(verb) for verb in TAKEN},
        "SETTINGS": {setting.name: (setting.variable, setting.default) for setting in SETTINGS},
        "SESSION_VARIABLES": session.VARIABLES,
        "AGENT_VARIABLES": session.AGENT_VARIABLES,
        "KNOWN_KINDS": tuple(sorted(KNOWN_KINDS)),
        "UNITS": quantities.UNITS,
        "TTL_RANGE": (limits.MIN_TTL_SECONDS, limits.MAX_TTL_SECONDS),
        "TIMEOUT_RANGE": (limits.MIN_TIMEOUT_SECONDS, limits.MAX_TIMEOUT_SECONDS),
        "MOST_CANDIDATES": limits.MAX_CANDIDATES,
        "MOST_SESSION": limits.MAX_SESSION_BYTES,
        "MOST_FLEET": limits.MAX_FLEET_CHARACTERS,
        "MOST_KEY": limits.MAX_WORK_KEY_BYTES,
        "MOST_OF_LINE": quotation.LONGEST,
        "MOST_OF_BLOCK": quotation.LONGEST_BLOCK,
        "MOST_LINES": quotation.MOST_LINES,
        "STATES": {number: state.value for number, state in wire.STATES.items()},
        "CAUSES": {number: cause.value for number, cause in wire.CAUSES.items() if cause is not None},
        "OUTCOMES": {number: each.value for number, each in wire.OUTCOMES.items()},
        "DENIAL_REASONS": {number: each.value for number, each in wire.DENIAL_REASONS.items()},
        "SKIP_REASONS": {number: each.value for number, each in wire.SKIP_REASONS.items()},
        "NOTHING_FREE": {number: each.value for number, each in wire.NOTHING_FREE.items() if each is not None},
        "CLAIMED": {
            each.value: _answer(wording.describe_claim(_claim(each))) for each in (Outcome.GRANTED, Outcome.RENEWED)
        },
        "PASSED_OVER": passed,
        "BRIEF": _after_claim(brief=_text("brief")),
        "BRIEF_HEAD": brief[0],
        "BRIEF_LINE": brief[-1],
        "HELD": {
            (own, at): _answer(
                wording.describe_claim(_denial(held, own_session=own, **holder, **(timed if at else {})))
            )
            for own in (False, True)
            for at in (False, True)
        },
        "DONE": {
            at: _answer(
                wording.describe_claim(
                    _denial(DenialReason.COMPLETED, **done, completed_at=_TIMES["completed_at"] if at else None)
                )
            )
            for at in (False, True)
        },
        "COMPLETED": {late: _completed(late=late) for late in (False, True)},
        "RELEASED": {
            each.value: _answer(wording.describe_release(_record(each))) for each in (State.ABANDONED, State.COMPLETED)
        },
        "HINT_HELD": _hint(wording.what_after_denial(_denial(held))),
        "HINT_OWN": _hint(wording.what_after_denial(_denial(held, own_session=True))),
        "HINT_SHARED": _hint(wording.what_after_denial(_denial(held, own_session=True), shared_by=_text("variable"))),
        "HINT_DONE": _hint(wording.what_after_denial(_denial(DenialReason.COMPLETED))),
        "HINT_OTHERS": _hint(wording.what_after_denial(_denial(held, alternatives=(_text("others"),)))),
        "NOTHING": _answer(wording.describe_claim(nothing)).replace(nothing_free(()), "%(why)s"),
        "HINT_NOTHING": _hint(wording.what_after_nothing_free(nothing)).replace(what_next(None, None, ()), "%(next)s"),
        "BECAME": _pattern(
            _written(lambda: output.say_what_it_became(_text("typed_key"), _text("work_key")), to_errors=True)
        ),
        "NEW_FLEET": _pattern(
            _written(
                lambda: new_fleet_notice.say_if_new(_context(as_json=False), _claim(Outcome.GRANTED, new_fleet=True)),
                to_errors=True,
            )
        ),
        "CLAIM_OBJECT": _object(
            objects.claim_object(_claim(Outcome.GRANTED, brief=_text("brief")), _text("typed_key")),
            {'"outcome": "granted"': "outcome"},
        ),
        "DENIAL_OBJECT": _object(
            denial_object,
            {'"reason": "held"': "denied_for", '"own_session": false': "own_session", '"alternatives": []': "others"},
        ),
        "NEXT_OBJECT": _object(
            objects.next_object(
                _claim(Outcome.GRANTED, typed_key=_text("typed_key"), choice=_CHOICE, brief=_text("brief"))
            ),
            {'"outcome": "granted"': "outcome", **choice_switches},
        ),
        "NOTHING_OBJECT": _object(
            objects.next_object(
                _denial(
                    held,
                    choice=_CHOICE._replace(nothing_free=NothingFree.BLOCKED),
                    retry_after_seconds=_SECONDS["retry_after_seconds"],
                )
            ),
            {'"nothing_free": "blocked"': "nothing_free", **choice_switches},
        ),
        "SKIPPED_OBJECT": _pattern(skipped, as_json=True).replace('"limit"', "%(skipped_for)s"),
        "RECORD_OBJECT": _object(objects.record_object(_record(State.COMPLETED, cause=Cause.REVOKED)), record_switches),
    }


def table() -> str:
    """Return the module."""
    lines = [
        "# Generated from the commands by scripts/quick_table.py; do not edit.",
        '"""What the quick way takes and says, read from the full command."""',
        "",
        "# ruff: noqa: E501  # sentences as they are",
        "from __future__ import annotations",
        "",
    ]
    values = _values()
    lines += ["__all__ = [", *(f'    "{name}",' for name in sorted(values)), "]", ""]
    lines += [f"{name} = {pformat(value, width=118, sort_dicts=False)}" for name, value in values.items()]
    ruff = [str(Path(sys.executable).with_name("ruff")), "format", "--stdin-filename", str(TABLE), "-"]
    return subprocess.run(ruff, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(write_or_check({TABLE: table()}, source="the command line", target="docs"))
