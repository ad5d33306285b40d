"""Every error of the product, in one tree.

    CoordinatorError                  gRPC code             CLI exit
    ├── InvalidInput                  INVALID_ARGUMENT      2
    ├── Refused
    │   ├── ClaimDenied               (an answer, no code)  1
    │   ├── NotFound                  NOT_FOUND             1
    │   ├── NotHolder                 FAILED_PRECONDITION   1
    │   │   └── ClaimLost             FAILED_PRECONDITION   5
    │   └── HistoryGone               OUT_OF_RANGE          1
    ├── NotPermitted
    │   ├── PermissionDenied          PERMISSION_DENIED     4
    │   └── Unauthenticated           UNAUTHENTICATED       4
    ├── TryAgain
    │   ├── Unavailable               UNAVAILABLE           3
    │   │   └── NewerFormat           UNAVAILABLE           3
    │   ├── LimitExceeded             RESOURCE_EXHAUSTED    3
    │   ├── Contended                 ABORTED               3
    │   └── OutcomeUnknown            DEADLINE_EXCEEDED     3
    ├── NotImplementedHere            UNIMPLEMENTED         70
    └── InternalError                 INTERNAL              70

``code`` and ``exit_code`` of a class are the one table that maps errors to gRPC status codes and to exit codes: the
service, the client and the command line all read it from here.

Every message is one sentence that says what was wrong and what is allowed; ``hint`` says what to do next.

Invariant: every error, also one of a subclass with arguments of its own, can be copied and pickled, with all that it
says and with its cause. Process pools send errors to the caller that way, and hang or break where one cannot be read.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from coordinator.model import Denial

__all__ = [
    "ClaimDenied",
    "ClaimLost",
    "Contended",
    "CoordinatorError",
    "HistoryGone",
    "InternalError",
    "InvalidInput",
    "LimitExceeded",
    "NewerFormat",
    "NotFound",
    "NotHolder",
    "NotImplementedHere",
    "NotPermitted",
    "OutcomeUnknown",
    "PermissionDenied",
    "Refused",
    "TryAgain",
    "Unauthenticated",
    "Unavailable",
    "error_for_code",
]


class CoordinatorError(Exception):
    """The coordinator could not do what was asked.

    ``field`` names the offending field of a request, ``holder`` the session that holds the work key now,
    ``retry_after_seconds`` (≥ 0) how long to wait before trying again, and ``request_id`` what to send again so that
    a request whose outcome is unknown takes effect at most once. Each is None where it does not apply.
    """

    code: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 70
    #: What to do, where nothing else is said.
    usual_hint: ClassVar[str | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        field: str | None = None,
        holder: str | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        self.message = message or _first_sentence(type(self))
        self.hint = hint or self.usual_hint
        self.field = field
        self.holder = holder
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt by a call with their message; that is not what every class here takes.
        state = {**self.__dict__, "__cause__": _cause_of(self), "__suppress_context__": self.__suppress_context__}
        return copyreg.__newobj__, (type(self), *self.args), state  # type: ignore[attr-defined]  # typeshed lacks it


class InvalidInput(CoordinatorError):
    """The input is not valid."""

    code = "INVALID_ARGUMENT"
    exit_code = 2


class Refused(CoordinatorError):
    """The answer is no."""

    code = "FAILED_PRECONDITION"
    exit_code = 1


class ClaimDenied(Refused):
    """The claim was denied.

    Raised by clients only, as on the wire a denial is an answer. ``denial`` says why.
    """

    def __init__(self, denial: Denial) -> None:
        super().__init__(
            denial.sentence(),
            holder=denial.holder,
            retry_after_seconds=denial.retry_after_seconds,
        )
        self.denial = denial


class NotFound(Refused):
    """Nothing of that name is there."""

    code = "NOT_FOUND"


class NotHolder(Refused):
    """The session does not hold a claim on this work key."""


class ClaimLost(NotHolder):
    """The session held the claim and no longer does: it has expired, or an operator has revoked it.

    A caller that gets this must stop: another session may hold the work. A session that has ended its claim itself gets
    ``NotHolder``. The message says that the claim is lost, and the hint what to do.
    """

    exit_code = 5
    #: How the message of a refusal begins that was taken for a loss.
    PREFIX = "claim lost: "

    @classmethod
    def instead_of(cls, refusal: Refused) -> ClaimLost:
        """Return what ``refusal`` means for a session that held the claim."""
        before = "stop, and publish nothing of this work"
        hint = f"{before}; {refusal.hint}" if refusal.hint else before
        return cls(f"{cls.PREFIX}{refusal.message}", hint=hint, holder=refusal.holder)


class HistoryGone(Refused):
    """The store does not have the events from that revision on."""

    code = "OUT_OF_RANGE"


class NotPermitted(CoordinatorError):
    """The credential does not allow this."""

    code = "PERMISSION_DENIED"
    exit_code = 4


class PermissionDenied(NotPermitted):
    """The credential does not allow this."""


class Unauthenticated(NotPermitted):
    """The call carries no valid credential."""

    code = "UNAUTHENTICATED"


class TryAgain(CoordinatorError):
    """The service could not answer now; the same request may be sent again."""

    code = "UNAVAILABLE"
    exit_code = 3


class Unavailable(TryAgain):
    """The service or its store cannot be reached."""


class NewerFormat(Unavailable):
    """What is to be changed was written by a newer coordinator, and this one does not understand it.

    Another coordinator may: clients go on to the next endpoint, where they know more than one.
    """

    usual_hint = "nothing was changed; name a coordinator of the newer version with --endpoint, or upgrade this one"


class LimitExceeded(TryAgain):
    """A limit was reached."""

    code = "RESOURCE_EXHAUSTED"


class Contended(TryAgain):
    """The request kept losing races against others for the same work key."""

    code = "ABORTED"
    usual_hint = "nothing was changed; try again"


class OutcomeUnknown(TryAgain):
    """No definite answer came in time: the request may or may not have taken effect."""

    code = "DEADLINE_EXCEEDED"

    def name_request(self, request_id: str) -> None:
        """Name the request, and say how it is repeated."""
        self.request_id = request_id
        self.hint = (
            f"send it again with the request id {request_id} (--request-id on the command line): "
            "it will take effect at most once"
        )


class NotImplementedHere(CoordinatorError):
    """This coordinator does not serve that call; it is of another version than its caller."""

    code = "UNIMPLEMENTED"


class InternalError(CoordinatorError):
    """The coordinator failed in a way that is not its caller's fault."""


_BY_CODE: dict[str, type[CoordinatorError]] = {
    error.code: error
    for error in (
        InvalidInput,
        NotFound,
        NotHolder,
        HistoryGone,
        PermissionDenied,
        Unauthenticated,
        Unavailable,
        LimitExceeded,
        Contended,
        OutcomeUnknown,
        NotImplementedHere,
        InternalError,
    )
}


def error_for_code(code: str) -> type[CoordinatorError]:
    """Return the error class that stands for a gRPC status code's name, ``InternalError`` for one we never send."""
    return _BY_CODE.get(code, InternalError)


def _cause_of(error: CoordinatorError) -> BaseException | None:
    """Return the cause of an error if it can be pickled too; gRPC's errors hold locks and cannot."""
    cause = error.__cause__
    if cause is None or isinstance(cause, CoordinatorError):
        return cause
    import pickle

    try:
        pickle.loads(pickle.dumps(cause))  # noqa: S301  # what was written here
    except Exception:  # noqa: BLE001  # whatever a foreign class raises
        return None
    return cause


def _first_sentence(error: type[CoordinatorError]) -> str:
    return (error.__doc__ or error.__name__).split("\n", 1)[0].rstrip(".")
