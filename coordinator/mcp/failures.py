"""What an agent reads when a tool could not do what was asked: what happened, whether something may have, what to do.

Invariants:
- An unknown outcome says that the call may have taken effect, and that repeating it is safe; all other errors of the
  connection say that nothing was changed.
- A lost claim says to stop, whatever else it says.
- It is one short text, in which what others have written is quoted.
"""

from __future__ import annotations

from coordinator.errors import (
    ClaimLost,
    CoordinatorError,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    NotHolder,
    NotPermitted,
    OutcomeUnknown,
    Refused,
    TryAgain,
)
from coordinator.quotation import line
from coordinator.time_text import format_duration

__all__ = ["LOST", "describe_failure"]

#: What an agent has to do that has lost a claim.
LOST = "stop this work and do not push: another session may hold it"
_START_NONE = "without an answer start no work that others may do too"
#: The longest message of an error that is shown, in characters.
_LONGEST = 400


def describe_failure(error: CoordinatorError, tool: str, *, reads: bool = False) -> str:
    """Return the text of a tool's error; ``reads``: the tool changes nothing."""
    advice = f"Try again{_when(error)}; {_START_NONE}." if reads and isinstance(error, TryAgain) else ""
    return f"{line(error.message)[:_LONGEST]}. {advice or _advice(error, tool)}"


def _advice(error: CoordinatorError, tool: str) -> str:
    match error:
        case OutcomeUnknown():
            again = f"call {tool} again with the same arguments, which is safe: it takes effect once"
            return f"It may have taken effect. To find out, {again}."
        case LimitExceeded():
            return f"Nothing was changed. Start no new work; try again{_when(error)}."
        case TryAgain():
            return f"Nothing was changed. Try again{_when(error)}; {_START_NONE}.{_hint(error)}"
        case NotPermitted():
            return f"Nothing was changed. Start no work; a person has to change this.{_hint(error)}"
        case ClaimLost():
            return f"The claim is lost: {LOST}. look says who has it."
        case NotHolder() | NotFound():
            return "Your session does not hold it: stop, unless you have finished it yourself. look says who has it."
        case Refused():
            return "look says how it stands."
        case InvalidInput():
            return f"Nothing was changed.{_hint(error)}"
        case InternalError():
            return "Whether it has taken effect is not known. look says how it stands."
    return "look says how it stands."


def _when(error: CoordinatorError) -> str:
    seconds = error.retry_after_seconds
    return " in a few seconds" if seconds is None else f" in {format_duration(max(1.0, seconds))}"


def _hint(error: CoordinatorError) -> str:
    hint = line(error.hint or "")[:_LONGEST]
    return f" Hint: {hint}" if hint else ""
