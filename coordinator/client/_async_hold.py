"""Holds of the asynchronous client; ``_sync_hold.py`` is generated from this file.

Invariants:
- The block is entered with the claim, or not at all: what is interrupted before it has begun is withdrawn.
- Each hold is an instance of its own: what one hold has, no other of the same session and client is granted.
- The claim ends with the block: completed, or released with the exception as the reason. An exception of the block is
  never replaced, and an interrupt or a cancellation never kept. What was lost is not ended: another may have it. Only
  what an operator revokes is released, for it is held until its holder has stopped.
- A process that was forked inside the block neither renews nor ends the claim.
- Nothing is killed: the holder looks at ``lost``.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration

from coordinator import model
from coordinator.client import _answers as answers
from coordinator.client._async_calls import AsyncCalls
from coordinator.client._fencing_tokens import Tokens
from coordinator.client._forks import this_process
from coordinator.client._keepers import AsyncKeeper, async_pause
from coordinator.client._renewal_schedule import HeldClaim, lost_by, reason_of
from coordinator.clock import boot_seconds
from coordinator.errors import ClaimDenied, ClaimLost, CoordinatorError, InvalidInput, OutcomeUnknown, Refused, TryAgain
from coordinator.limits import MAX_TEXT_BYTES
from coordinator.names import check_text
from coordinator.quotation import key
from coordinator.v1 import service_pb2 as pb

__all__ = ["AsyncHeld", "AsyncHold", "AsyncMeans", "renew_together"]

#: How long to go on completing while no coordinator answers, how long one call may take at least, if the timeout of the
#: client is not shorter, and how long to wait between two, in seconds.
_COMPLETING_SECONDS, _LEAST_COMPLETING_SECONDS, _PAUSE_SECONDS = 30.0, 1.0, 0.25
#: How long a release, or the withdrawal of a claim that was interrupted, may take, in seconds.
_RELEASING_SECONDS, _WITHDRAWING_SECONDS = 5.0, 2.0

_WITHDRAWN = "nothing is held, as the request was withdrawn; try again"
_PERHAPS_CLAIMED = "try again later; if the work was claimed after all, that claim ends by itself after its TTL"

Ask = Callable[[str, str], Coroutine[Any, Any, model.Claim | model.Denial]]


class AsyncMeans(NamedTuple):
    """What a hold needs of its client, in one process."""

    calls: AsyncCalls
    keeper: AsyncKeeper
    tokens: Tokens
    fleet: str


class AsyncHeld:
    """A claim that is held while a block runs."""

    def __init__(self, holding: HeldClaim, lost: asyncio.Event) -> None:
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
        """Until when the claim certainly lasts, as a reading of ``coordinator.clock.boot_seconds()``."""
        return self._held_claim.deadline

    @property
    def lost(self) -> asyncio.Event:
        """Set once the claim may have ended: it has expired, was revoked, or is not renewed any more.

        Set from the start in a process that was forked inside the block.
        """
        if self._process != this_process():
            event = asyncio.Event()
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

    def remaining(self) -> float:
        """Return for how many seconds the claim certainly lasts still, 0 or more."""
        return max(0.0, self.deadline - boot_seconds())


class AsyncHold:
    """Claims work when its block begins, renews the claim while the block runs, and ends it with the block."""

    def __init__(
        self, means: Callable[[], AsyncMeans], ask: Ask, session: str, work_key: str, ttl: Duration | None
    ) -> None:
        self._find_means = means
        self._ask = ask
        self._session = session
        self._ttl = ttl
        #: As it was typed; "" where it is one of several.
        self._work_key = work_key
        self._entered = False
        self._held: AsyncHeld | None = None

    async def __aenter__(self) -> AsyncHeld:
        if self._entered:
            raise InvalidInput("a hold is entered once", hint="ask the client for another hold")
        self._entered = True
        self._means = self._find_means()
        request_id = uuid.uuid4().hex
        try:
            answer = await self._ask(uuid.uuid4().hex, request_id)
            if isinstance(answer, model.Denial):
                raise ClaimDenied(answer)
            return self._begin(answer)
        except BaseException as error:
            if isinstance(error, OutcomeUnknown):
                withdrawn = await self._withdraw(request_id)
                # A hold cannot repeat a request: each is an instance of its own.
                error.request_id, error.hint = None, _WITHDRAWN if withdrawn else _PERHAPS_CLAIMED
            elif not isinstance(error, CoordinatorError):
                if self._held is not None:
                    self._means.keeper.discard(self._held_claim)
                await self._withdraw(request_id)
            raise

    def _begin(self, claim: model.Claim) -> AsyncHeld:
        lost = asyncio.Event()
        self._held_claim, self._process = HeldClaim(claim, lost.set), this_process()
        self._held = AsyncHeld(self._held_claim, lost)
        self._means.keeper.add(self._held_claim)
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is None:
            return
        if self._process != this_process():
            if error is None:
                raise _forked(held)
            return
        self._held_claim.look(boot_seconds())
        lost = self._held_claim.lost
        self._held_claim.ending = True
        try:
            if lost is not None:
                freed = await self._free_revoked()
                if error is None:
                    raise lost
                _note(error, lost.message if freed else f"{lost.message}; it was not released")
            elif error is not None:
                await self._release(error)
            else:
                await self._means.keeper.shield(self._complete(held.result))
        finally:
            self._means.keeper.discard(self._held_claim)

    async def _complete(self, result: str) -> model.Record:
        """Complete the work; while no coordinator answers, the same request is sent again for a while."""
        claim = self._held_claim.claim
        request = pb.CompleteRequest(
            fleet=self._means.fleet,
            session=claim.session,
            work_key=claim.work_key,
            result=result,
            request_id=uuid.uuid4().hex,
            fencing_token=claim.fencing_token,
        )
        give_up_at = boot_seconds() + _COMPLETING_SECONDS
        while True:
            try:
                within = max(give_up_at - boot_seconds(), _LEAST_COMPLETING_SECONDS)
                response = await self._means.calls.call("Complete", request, within=within)
            except TryAgain as problem:
                wait = max(_PAUSE_SECONDS, problem.retry_after_seconds or 0.0)
                if boot_seconds() + wait >= give_up_at:
                    raise
                await async_pause(wait)
            except Refused as refusal:
                raise lost_by(refusal, claim.session) from refusal
            else:
                self._means.tokens.forget(claim.session, claim.work_key)
                return answers.record_from(response.record)

    async def _release(self, error: BaseException) -> None:
        """Release the work, with the exception as the reason; if that fails, the exception says so."""
        problem = await self._send_release(reason_of(error))
        if problem is not None:
            work = key(self._held_claim.claim.work_key)
            _note(error, f"{work} was not released, and is free at its deadline: {problem.message}")

    async def _free_revoked(self) -> bool:
        """Release what an operator revokes, and return whether it was; the reason is the operator's."""
        return self._held_claim.refused and await self._send_release("") is None

    async def _send_release(self, reason: str) -> CoordinatorError | None:
        """Release the claim, and no other; return what that has failed with."""
        claim = self._held_claim.claim
        request = pb.ReleaseRequest(
            fleet=self._means.fleet,
            session=claim.session,
            work_key=claim.work_key,
            reason=reason,
            request_id=uuid.uuid4().hex,
            fencing_token=claim.fencing_token,
        )
        try:
            await self._means.keeper.shield(self._means.calls.call("Release", request, within=_RELEASING_SECONDS))
        except CoordinatorError as problem:
            return problem
        self._means.tokens.forget(claim.session, claim.work_key)
        return None

    async def _withdraw(self, request_id: str) -> bool:
        """Withdraw a claim that may have been granted, or still may be; return whether that is certain."""
        item = pb.WithdrawItem(work_key=self._work_key, request_id=request_id, ttl=self._ttl)
        request = pb.WithdrawRequest(fleet=self._means.fleet, session=self._session, items=[item])
        try:
            await self._means.keeper.shield(self._means.calls.call("Withdraw", request, within=_WITHDRAWING_SECONDS))
        except CoordinatorError:
            return False
        return True


async def renew_together(
    calls: AsyncCalls, fleet: str, holdings: Sequence[HeldClaim], seconds: float
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
        response = await calls.call("RenewMany", request, request_id=items[0].request_id, within=seconds)
    except CoordinatorError as error:
        # Only about single claims a refusal says anything.
        problem = CoordinatorError(error.message) if isinstance(error, Refused) else error
        return [problem] * len(holdings)
    return answers.renewal_answers(response, sent_at=sent_at)


def _note(error: BaseException, note: str) -> None:
    """Add a note to an exception of the caller's, whose class may not want one."""
    with contextlib.suppress(Exception):
        error.add_note(note)


def _forked(held: AsyncHeld) -> ClaimLost:
    return ClaimLost(
        f"this process was forked while {key(held.claim.work_key)} was held, which its parent goes on holding",
        hint="end the process, or hold other work in it",
    )
