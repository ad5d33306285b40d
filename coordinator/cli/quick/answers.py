"""What is said of an answer: the words and objects of the full command, filled in.

Invariant: an answer is written here only if it is one of the usual ones and all that stands in it is plain; of all
others nothing is written, and the full command is given the answer.
"""

from __future__ import annotations

import time

from coordinator.cli.quick import table
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.protobuf import Fields, read_message
from coordinator.time_text import format_calendar, format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.cli.quick.requests import Request

__all__ = ["Said", "describe"]

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@/+-")
#: ``Outcome`` of ``types.proto``.
_GRANTED, _RENEWED, _DENIED = 1, 2, 3


class Said:
    """What a command writes: notices, then its answer, then hints; and its exit code."""

    def __init__(self, before: str, answer: str, after: str = "", code: int = 0) -> None:
        self.before, self.answer, self.after, self.code = before, answer, after, code


def describe(request: Request, content: bytes, fleet: str, *, as_json: bool) -> Said:
    """Return what is said of the answer to a request; raises ``NotQuick``."""
    answer = read_message(content)
    if request.method == "Claim":
        return _of_claim(request, answer, fleet, as_json=as_json)
    if request.method == "ClaimNext":
        return _of_next(answer, fleet, as_json=as_json)
    found = answer.only((1,)).message(1)
    if found is None:
        raise NotQuick("the answer is empty")
    before = _became(request.acting.key, _key(found.text(1)))
    if request.method == "Renew":
        return Said(before, _claim(found, table.OUTCOMES[_RENEWED], request.acting.key, fleet, as_json=as_json))
    return Said(before, _record(request.method, found, fleet, as_json=as_json))


def _of_claim(request: Request, answer: Fields, fleet: str, *, as_json: bool) -> Said:
    if answer.number(1) == _DENIED:
        return _denial(request, answer.only((1, 2, 3, 5)), fleet, as_json=as_json)
    outcome, found = _granted(answer.only((1, 2, 3, 4, 7)))
    typed, work_key = request.acting.key, _key(found.text(1))
    before = (table.NEW_FLEET % {"fleet": fleet} if answer.number(7) else "") + _became(typed, work_key)
    return Said(before, _claim(found, outcome, typed, fleet, as_json=as_json))


def _of_next(answer: Fields, fleet: str, *, as_json: bool) -> Said:
    outcome, found = _granted(answer.only((1, 2, 3, 4, 7, 8)))
    typed, work_key = answer.text(3), _key(found.text(1))
    before = table.NEW_FLEET % {"fleet": fleet} if answer.number(8) else ""
    before += _became(typed, work_key) if typed else ""
    choice = (answer.message(7) or Fields()).only((1, 2, 3, 4, 6))
    counts = {_known(table.SKIP_REASONS, each.only((1, 2)).number(1)): each.number(2) for each in choice.messages(3)}
    if len(counts) != len(choice.messages(3)):
        raise NotQuick("the answer is not one of the usual ones")
    values = _claim_values(found, outcome, typed or None, fleet)
    if not as_json:
        passed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        said = table.CLAIMED[outcome] % {"work_key": work_key, "remaining_seconds": _duration(found)}
        return Said(before, said + (table.PASSED_OVER % {"counts": passed} if counts else ""))
    if choice.get(2):
        raise NotQuick("the answer is not one of the usual ones")
    values["place"] = _json(choice.number(1) or None)
    values["counts"] = f"{{{', '.join(f'{_json(reason)}: {count}' for reason, count in counts.items())}}}"
    values["also_held"] = _json_list(choice.texts(4))
    return Said(before, table.NEXT_OBJECT % values)


def _granted(answer: Fields) -> tuple[str, Fields]:
    """Return the outcome and the claim of an answer that gives one."""
    number, found = answer.number(1), answer.message(4)
    if number not in (_GRANTED, _RENEWED) or found is None:
        raise NotQuick("the answer is not one of the usual ones")
    return table.OUTCOMES[number], found


def _claim(found: Fields, outcome: str, typed: str, fleet: str, *, as_json: bool) -> str:
    # All of it is read, whichever part is shown: what the full command could not read, it is to refuse.
    values = _claim_values(found, outcome, typed, fleet)
    if as_json:
        return table.CLAIM_OBJECT % values
    return table.CLAIMED[outcome] % {"work_key": _key(found.text(1)), "remaining_seconds": _duration(found)}


def _claim_values(found: Fields, outcome: str, typed: str | None, fleet: str) -> dict[str, object]:
    found.only(range(1, 11))
    return {
        "fleet": _json(fleet),
        "outcome": _json(outcome),
        "work_key": _json(found.text(1)),
        "typed_key": _json(typed),
        "kind": _json(found.text(2)),
        "session": _json(found.text(3)),
        "attempt": found.number(4),
        "fencing_token": found.number(5),
        "ttl_seconds": found.seconds(6) or 0.0,
        "claimed_at": _json(_moment(found.moment(7) or 0)),
        "expires_at": _json(_moment(found.moment(8) or 0)),
        "remaining_seconds": found.seconds(9) or 0.0,
        "note": _json(found.text(10) or None),
    }


def _duration(found: Fields) -> str:
    return format_duration(found.seconds(9) or 0.0)


def _denial(request: Request, answer: Fields, fleet: str, *, as_json: bool) -> Said:
    found, work_key = (answer.message(5) or Fields()).only(range(1, 10)), _key(answer.text(2))
    reason = _known(table.DENIAL_REASONS, found.number(1))
    if reason not in ("held", "completed"):
        raise NotQuick("the denial is not one of the usual ones")
    before = _became(request.acting.key, work_key)
    others = found.texts(8)
    expires_at, completed_at = found.moment(5), found.moment(6)
    if as_json:
        said = table.DENIAL_OBJECT % {
            "fleet": _json(fleet),
            "work_key": _json(work_key),
            "typed_key": _json(request.acting.key),
            "denied_for": _json(reason),
            "holder": _json(found.text(2) or None),
            "own_session": _flag(found.number(3)),
            "completed_by": _json(found.text(4) or None),
            "expires_at": _json_moment(expires_at),
            "completed_at": _json_moment(completed_at),
            "retry_after_seconds": _json(found.seconds(7)),
            "policy": _json(found.text(9) or None),
            "others": _json_list(others),
        }
        return Said(before, said, code=1)
    if reason == "held":
        own = bool(found.number(3))
        said = table.HELD[own, expires_at is not None] % {
            "holder": _name(found.text(2)),
            "expires_at": _moment(expires_at or 0),
        }
        hint = table.HINT_OWN if own else table.HINT_HELD
        if own and request.acting.shared_by:
            hint = table.HINT_SHARED % {"variable": request.acting.shared_by}
    else:
        said = table.DONE[completed_at is not None] % {
            "completed_by": _name(found.text(4)),
            "completed_at": _moment(completed_at or 0),
        }
        hint = table.HINT_DONE
    if others:
        hint = table.HINT_OTHERS % {"others": ", ".join(map(_key, others))}
    return Said(before, said, hint, 1)


def _record(method: str, found: Fields, fleet: str, *, as_json: bool) -> str:
    state, late = _known(table.STATES, found.only(range(1, 17)).number(3)), bool(found.number(14))
    cause = found.number(7)
    values = {
        "fleet": _json(fleet),
        "work_key": _json(found.text(1)),
        "kind": _json(found.text(2)),
        "state": _json(state),
        "session": _json(found.text(4) or None),
        "attempt": _json(found.number(5) or None),
        "fencing_token": _json(found.number(6) or None),
        "cause": _json(_known(table.CAUSES, cause) if cause else None),
        "reason": _json(found.text(8) or None),
        "result": _json(found.text(9) or None),
        "note": _json(found.text(10) or None),
        "claimed_at": _json_moment(found.moment(11)),
        "expires_at": _json_moment(found.moment(12)),
        "ended_at": _json_moment(found.moment(13)),
        "late": _flag(found.number(14)),
        "acknowledged_at": _json_moment(found.moment(15)),
        "acknowledged_reason": _json(found.text(16) or None),
    }
    if as_json:
        return table.RECORD_OBJECT % values
    shown = {"work_key": _key(found.text(1))}
    if method == "Complete":
        return table.COMPLETED[late] % shown
    return table.RELEASED["completed" if state == "completed" else "abandoned"] % shown


def _became(typed: str, became: str) -> str:
    """Return the line that says what a work key became, "" where it is what was typed."""
    if typed == became:
        return ""
    if not (typed.isascii() and typed.isprintable()):
        raise NotQuick("the work key is shown in another way than it was typed")
    return table.BECAME % {"typed_key": typed, "work_key": became}


def _key(work_key: str) -> str:
    """Return a work key that is shown as it is: one word of visible ASCII without quotes; raises ``NotQuick``."""
    plain = work_key.isascii() and work_key.isprintable() and 1 <= len(work_key) <= table.MOST_KEY
    if not plain or " " in work_key or '"' in work_key or "`" in work_key:
        raise NotQuick("a work key in the answer is quoted")
    return work_key


def _name(session: str) -> str:
    """Return the name of a session that is shown as it is; raises ``NotQuick``."""
    if not 1 <= len(session) <= table.MOST_SESSION or not _NAME.issuperset(session):
        raise NotQuick("a name in the answer is quoted")
    return session


def _known(of: dict[int, str], number: int) -> str:
    found = of.get(number)
    if found is None:
        raise NotQuick("the answer holds a word that is not known")
    return found


def _moment(seconds: int) -> str:
    return format_calendar(time.gmtime(seconds))


def _json_moment(seconds: int | None) -> str:
    return "null" if seconds is None else _json(_moment(seconds))


def _flag(number: int) -> str:
    return "true" if number else "false"


def _json_list(texts: list[str]) -> str:
    return f"[{', '.join(map(_json, texts))}]"


def _json(value: str | float | None) -> str:
    """Return a text, a number or None as ``json`` writes it, without loading that."""
    if value is None:
        return "null"
    if isinstance(value, str):
        from _json import encode_basestring_ascii

        written: str = encode_basestring_ascii(value)
        return written
    return repr(value)
