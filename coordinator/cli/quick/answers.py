"""What is said of an answer: the words and objects of the full command, filled in.

Invariant: an answer is written here only if it is one of the usual ones and all that stands in it is plain; of all
others nothing is written, and the full command is given the answer.
"""

from __future__ import annotations

from coordinator.cli.quick import shown, table
from coordinator.cli.quick.errors import NotQuick
from coordinator.cli.quick.protobuf import Fields, read_message
from coordinator.nothing_free import nothing_free, what_next, what_next_from_pool
from coordinator.time_text import format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.cli.quick.requests import Request

__all__ = ["Said", "describe"]

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
    before = shown.became(request.acting.key, shown.key(found.text(1)))
    if request.method == "Renew":
        return Said(before, _claim(found, table.OUTCOMES[_RENEWED], request.acting.key, fleet, as_json=as_json))
    return Said(before, _record(request.method, found, fleet, as_json=as_json))


def _of_claim(request: Request, answer: Fields, fleet: str, *, as_json: bool) -> Said:
    if answer.number(1) == _DENIED:
        return _denial(request, answer.only((1, 2, 3, 5)), fleet, as_json=as_json)
    outcome, found = _granted(answer.only((1, 2, 3, 4, 7, 8)))
    typed, work_key = request.acting.key, shown.key(found.text(1))
    before = (table.NEW_FLEET % {"fleet": fleet} if answer.number(7) else "") + shown.became(typed, work_key)
    return Said(before, _claim(found, outcome, typed, fleet, brief=answer.text(8), as_json=as_json))


def _of_next(answer: Fields, fleet: str, *, as_json: bool) -> Said:
    if answer.number(1) == _DENIED:
        return _nothing(answer.only((1, 2, 3, 5, 7)), fleet, as_json=as_json)
    outcome, found = _granted(answer.only((1, 2, 3, 4, 7, 8, 9)))
    typed, work_key, brief = answer.text(3), shown.key(found.text(1)), answer.text(9)
    before = table.NEW_FLEET % {"fleet": fleet} if answer.number(8) else ""
    before += shown.became(typed, work_key) if typed else ""
    choice = (answer.message(7) or Fields()).only((1, 2, 3, 4, 6))
    counts = _counts(choice)
    values = _claim_values(found, outcome, typed or None, fleet) | _choice_values(choice, counts)
    if as_json:
        return Said(before, table.NEXT_OBJECT % (values | {"brief": shown.json(brief or None)}))
    passed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    said = table.CLAIMED[outcome] % {"work_key": work_key, "remaining_seconds": _duration(found)}
    return Said(before, said + (table.PASSED_OVER % {"counts": passed} if counts else "") + shown.brief(brief))


def _nothing(answer: Fields, fleet: str, *, as_json: bool) -> Said:
    """Return what is said where nothing was free."""
    denial = (answer.message(5) or Fields()).only(range(1, 10))
    # All of it is read, whichever part is shown, as in a claim.
    shown.known(table.DENIAL_REASONS, denial.number(1))
    _denial_values(denial)
    choice = (answer.message(7) or Fields()).only(range(1, 7))
    counts, retry_after, number = _counts(choice), denial.seconds(7), choice.number(5)
    why = shown.known(table.NOTHING_FREE, number) if number else None
    values = _choice_values(choice, counts)
    if as_json:
        values |= {
            "fleet": shown.json(fleet),
            "nothing_free": shown.json(why),
            "retry_after_seconds": shown.json(retry_after),
        }
        return Said("", table.NOTHING_OBJECT % values, code=1)
    from_pool = bool(choice.number(6))
    hint = (what_next_from_pool if from_pool else what_next)(
        why, retry_after, [shown.key(each) for each in choice.texts(4)]
    )
    said = table.NOTHING % {"why": nothing_free(counts.items(), from_pool=from_pool)}
    return Said("", said, table.HINT_NOTHING % {"next": hint}, 1)


def _counts(choice: Fields) -> dict[str, int]:
    """Return how many candidates were passed over, by the reason."""
    found = choice.messages(3)
    counts = {shown.known(table.SKIP_REASONS, each.only((1, 2)).number(1)): each.number(2) for each in found}
    if len(counts) != len(found):
        raise NotQuick("the answer is not one of the usual ones")
    return counts


def _choice_values(choice: Fields, counts: dict[str, int]) -> dict[str, object]:
    return {
        "place": shown.json(choice.number(1) or None),
        "skipped": f"[{', '.join(_skipped(each) for each in choice.messages(2))}]",
        "counts": f"{{{', '.join(f'{shown.json(reason)}: {count}' for reason, count in counts.items())}}}",
        "also_held": shown.json_list(choice.texts(4)),
    }


def _skipped(found: Fields) -> str:
    return table.SKIPPED_OBJECT % {
        "work_key": shown.json(found.only(range(1, 5)).text(1)),
        "skipped_for": shown.json(shown.known(table.SKIP_REASONS, found.number(2))),
        "holder": shown.json(found.text(3) or None),
        "expires_at": shown.json_moment(found.moment(4)),
    }


def _granted(answer: Fields) -> tuple[str, Fields]:
    """Return the outcome and the claim of an answer that gives one."""
    number, found = answer.number(1), answer.message(4)
    if number not in (_GRANTED, _RENEWED) or found is None:
        raise NotQuick("the answer is not one of the usual ones")
    return table.OUTCOMES[number], found


def _claim(found: Fields, outcome: str, typed: str, fleet: str, *, brief: str = "", as_json: bool) -> str:
    # All of it is read, whichever part is shown: what the full command could not read, it is to refuse.
    values = _claim_values(found, outcome, typed, fleet)
    if as_json:
        return table.CLAIM_OBJECT % (values | {"brief": shown.json(brief or None)})
    said = table.CLAIMED[outcome] % {"work_key": shown.key(found.text(1)), "remaining_seconds": _duration(found)}
    return said + shown.brief(brief)


def _claim_values(found: Fields, outcome: str, typed: str | None, fleet: str) -> dict[str, object]:
    found.only(range(1, 11))
    return {
        "fleet": shown.json(fleet),
        "outcome": shown.json(outcome),
        "work_key": shown.json(found.text(1)),
        "typed_key": shown.json(typed),
        "kind": shown.json(found.text(2)),
        "session": shown.json(found.text(3)),
        "attempt": found.number(4),
        "fencing_token": found.number(5),
        "ttl_seconds": found.seconds(6) or 0.0,
        "claimed_at": shown.json(shown.moment(found.moment(7) or 0)),
        "expires_at": shown.json(shown.moment(found.moment(8) or 0)),
        "remaining_seconds": found.seconds(9) or 0.0,
        "note": shown.json(found.text(10) or None),
    }


def _duration(found: Fields) -> str:
    return format_duration(found.seconds(9) or 0.0)


def _denial(request: Request, answer: Fields, fleet: str, *, as_json: bool) -> Said:
    found, work_key = (answer.message(5) or Fields()).only(range(1, 10)), shown.key(answer.text(2))
    reason = shown.known(table.DENIAL_REASONS, found.number(1))
    if reason not in ("held", "completed"):
        raise NotQuick("the denial is not one of the usual ones")
    before = shown.became(request.acting.key, work_key)
    others = found.texts(8)
    values, expires_at, completed_at = _denial_values(found), found.moment(5), found.moment(6)
    if as_json:
        values |= {
            "fleet": shown.json(fleet),
            "work_key": shown.json(work_key),
            "typed_key": shown.json(request.acting.key),
            "denied_for": shown.json(reason),
        }
        return Said(before, table.DENIAL_OBJECT % values, code=1)
    if reason == "held":
        own = bool(found.number(3))
        said = table.HELD[own, expires_at is not None] % {
            "holder": shown.name(found.text(2)),
            "expires_at": shown.moment(expires_at or 0),
        }
        hint = table.HINT_OWN if own else table.HINT_HELD
        if own and request.acting.shared_by:
            hint = table.HINT_SHARED % {"variable": request.acting.shared_by}
    else:
        said = table.DONE[completed_at is not None] % {
            "completed_by": shown.name(found.text(4)),
            "completed_at": shown.moment(completed_at or 0),
        }
        hint = table.HINT_DONE
    if others:
        hint = table.HINT_OTHERS % {"others": ", ".join(map(shown.key, others))}
    return Said(before, said, hint, 1)


def _denial_values(found: Fields) -> dict[str, object]:
    return {
        "holder": shown.json(found.text(2) or None),
        "own_session": shown.flag(found.number(3)),
        "completed_by": shown.json(found.text(4) or None),
        "expires_at": shown.json_moment(found.moment(5)),
        "completed_at": shown.json_moment(found.moment(6)),
        "retry_after_seconds": shown.json(found.seconds(7)),
        "policy": shown.json(found.text(9) or None),
        "others": shown.json_list(found.texts(8)),
    }


def _record(method: str, found: Fields, fleet: str, *, as_json: bool) -> str:
    state, late = shown.known(table.STATES, found.only(range(1, 17)).number(3)), bool(found.number(14))
    cause = found.number(7)
    values = {
        "fleet": shown.json(fleet),
        "work_key": shown.json(found.text(1)),
        "kind": shown.json(found.text(2)),
        "state": shown.json(state),
        "session": shown.json(found.text(4) or None),
        "attempt": shown.json(found.number(5) or None),
        "fencing_token": shown.json(found.number(6) or None),
        "cause": shown.json(shown.known(table.CAUSES, cause) if cause else None),
        "reason": shown.json(found.text(8) or None),
        "result": shown.json(found.text(9) or None),
        "note": shown.json(found.text(10) or None),
        "claimed_at": shown.json_moment(found.moment(11)),
        "expires_at": shown.json_moment(found.moment(12)),
        "ended_at": shown.json_moment(found.moment(13)),
        "late": shown.flag(found.number(14)),
        "acknowledged_at": shown.json_moment(found.moment(15)),
        "acknowledged_reason": shown.json(found.text(16) or None),
    }
    if as_json:
        return table.RECORD_OBJECT % values
    words = {"work_key": shown.key(found.text(1))}
    if method == "Complete":
        return table.COMPLETED[late] % words
    return table.RELEASED["completed" if state == "completed" else "abandoned"] % words
