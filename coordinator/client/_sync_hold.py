# Generated from _async_hold.py by scripts/unasync.py; do not edit.
"""Holds of the synchronous client.

Invariants:
- The block is entered with the claim, or not at all: what is interrupted before it has begun is withdrawn.
- Each hold is an instance of its own: what one hold has, no other of the same session and client is granted.
- The claim ends with the block (``_sync_block_end``). An exception of the block is never replaced, and an interrupt or
  a cancellation never kept. If the block is gone without having ended, what renews the claim releases it.
- A process that was forked inside the block neither renews nor ends the claim.
- Nothing is killed: the holder looks at ``lost``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import NoReturn

from google.protobuf.duration_pb2 import Duration

from coordinator import model
from coordinator.client import _answers as answers
from coordinator.client._forks import this_process
from coordinator.client._ids import new_id
from coordinator.client._renewal_schedule import HeldClaim
from coordinator.client._sync_block_end import BlockEnd, Means
from coordinator.client._sync_calls import Calls
from coordinator.clock import boot_seconds
from coordinator.errors import ClaimDenied, ClaimLost, CoordinatorError, InvalidInput, OutcomeUnknown, Refused
from coordinator.limits import MAX_TEXT_BYTES
from coordinator.names import check_text
from coordinator.quotation import key
from coordinator.v1 import service_pb2 as pb

__all__ = ["Held", "Hold", "renew_together"]

#: How long the withdrawal of a claim that was interrupted may take, in seconds.
_WITHDRAWING_SECONDS = 2.0

_WITHDRAWN = "nothing is held, as the request was withdrawn; try again"
_PERHAPS_CLAIMED = "try again later; if the work was claimed after all, that claim ends by itself after its TTL"

Ask = Callable[[str, str], model.Claim | model.Denial]


class Held:
    """A claim that is held while a block runs."""

    def __init__(self, holding: HeldClaim, lost: threading.Event) -> None:
        self._held_claim = holding
        self._lost = lost
        self._process = this_process()
        self._result = ""

    @property
    def claim(self) -> model.Claim:
        """The claim as it was granted, or as it was renewed last. Its fencing token stays the same."""
        return self._held_claim.claim

    @property
    def deadline(self) -> float:
        """Until when the claim certainly lasts, as a reading of ``coordinator.clock.boot_seconds()``.

        0 once the block has ended, and in a process that was forked inside the block.
        """
        return self._held_claim.deadline if self._process == this_process() else 0.0

    @property
    def lost(self) -> threading.Event:
        """Set once the claim may have ended: it has expired, was revoked, is no longer renewed, or the block has ended.

        Set from the start in a process that was forked inside the block.
        """
        if self._process != this_process():
            event = threading.Event()
            event.set()
            return event
        self._held_claim.look(boot_seconds())
        return self._lost

    @property
    def result(self) -> str:
        """What the work is completed with: a link, a commit, a sentence; at most 16 KiB of UTF-8."""
        return self._result

    @result.setter
    def result(self, result: str) -> None:
        if not isinstance(result, str):
            raise InvalidInput(f"result must be a str, not {type(result).__name__}", field="result")
        self._result = check_text("result", result, MAX_TEXT_BYTES)

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            "what is held cannot be copied or pickled: it is held by the block that began it",
            hint="pass on what is needed of it, for example held.claim.fencing_token",
        )

    def remaining(self) -> float:
        """Return for how many seconds the claim certainly lasts still, 0 or more."""
        return max(0.0, self.deadline - boot_seconds())


class Hold:
    """Claims work when its block begins, renews the claim while the block runs, and ends it with the block."""

    def __init__(self, means: Callable[[], Means], ask: Ask, session: str, work_key: str, ttl: Duration | None) -> None:
        self._find_means = means
        self._ask = ask
        self._session = session
        self._ttl = ttl
        #: As it was typed; "" where it is one of several.
        self._work_key = work_key
        self._entered = False
        self._held: Held | None = None

    def __enter__(self) -> Held:
        if self._entered:
            raise InvalidInput("a hold is entered once", hint="ask the client for another hold")
        self._entered = True
        self._means = self._find_means()
        request_id = new_id()
        try:
            answer = self._ask(new_id(), request_id)
            if isinstance(answer, model.Denial):
                raise ClaimDenied(answer)
            return self._begin(answer)
        except BaseException as error:
            if isinstance(error, OutcomeUnknown):
                withdrawn = self._withdraw(request_id)
                # A hold cannot repeat a request: each is an instance of its own.
                error.request_id, error.hint = None, _WITHDRAWN if withdrawn else _PERHAPS_CLAIMED
            elif not isinstance(error, CoordinatorError):
                if self._held is not None:
                    self._means.keeper.discard(self._held_claim)
                    self._gone.detach()
                self._withdraw(request_id)
            raise

    def _begin(self, claim: model.Claim) -> Held:
        lost = threading.Event()
        self._held_claim, self._process = HeldClaim(claim, lost.set), this_process()
        self._block_end = BlockEnd(self._means, self._held_claim)
        dropped = GeneratorExit("the block was dropped before it ended")
        self._gone = weakref.finalize(self, self._means.keeper.when_gone(partial(self._block_end.after, dropped)))
        self._gone.atexit = False
        self._held = Held(self._held_claim, lost)
        self._means.keeper.add(self._held_claim)
        return self._held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(error)
        except CoordinatorError:
            self._close()
            raise
        except BaseException as interrupt:
            if self._held is not None:
                self._block_end.after(interrupt)
            self._close()
            raise
        self._close()

    def _close(self) -> None:
        """Note that the claim has ended with its block."""
        if self._held is not None:
            self._gone.detach()
            self._held_claim.end()

    def _end(self, error: BaseException | None) -> None:
        if self._held is None:
            return
        if self._process == this_process():
            self._block_end.end(self._held.result, error)
        elif error is None:
            raise _forked(self._held)

    def _withdraw(self, request_id: str) -> bool:
        """Withdraw a claim that may have been granted, or still may be; return whether that is certain."""
        calls, fleet = self._means.calls, self._means.fleet
        withdraw = partial(calls.withdraw_claim, fleet, self._session, self._work_key, request_id, self._ttl)
        return self._means.keeper.shield(lambda: withdraw(within=_WITHDRAWING_SECONDS))


def renew_together(
    calls: Calls, fleet: str, holdings: Sequence[HeldClaim], seconds: float
) -> Sequence[model.Claim | CoordinatorError]:
    """Renew claims of one session in one call, which takes at most so many seconds; return what came of each."""
    items = [
        pb.RenewItem(
            work_key=holding.claim.work_key,
            request_id=holding.request_id,
            fencing_token=holding.claim.fencing_token,
        )
        for holding in holdings
    ]
    request = pb.RenewManyRequest(fleet=fleet, session=holdings[0].claim.session, items=items)
    sent_at = boot_seconds()
    try:
        response = calls.call("RenewMany", request, request_id=items[0].request_id, within=seconds)
    except CoordinatorError as error:
        # Only about single claims a refusal says anything.
        problem = CoordinatorError(error.message) if isinstance(error, Refused) else error
        return [problem] * len(holdings)
    return answers.renewal_answers(response, sent_at=sent_at)


def _forked(held: Held) -> ClaimLost:
    return ClaimLost(
        f"this process was forked while {key(held.claim.work_key)} was held, which its parent goes on holding",
        hint="end the process, or hold other work in it",
    )
