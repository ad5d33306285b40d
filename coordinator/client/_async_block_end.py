"""How a hold of the asynchronous client ends its claim; ``_sync_block_end.py`` is generated from this file.

Invariants:
- The claim is completed when its block ends normally, and released with the exception as the reason otherwise. Work
  fails by what its block raises, and not by what ends the program or the task: an interrupt, a cancellation.
- An interrupt or a cancellation while it ends, wherever it comes, leaves nothing held as far as a coordinator can be
  reached within seconds: what was being completed is completed, or is said to be unknown; all else is released. Sent
  again is the same request.
- What was lost is not completed: another may have it. It is released where it may still be held: because an operator
  revokes it, which holds it until its holder has stopped, or because nothing renews it any more.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from coordinator import model
from coordinator.client import _answers as answers
from coordinator.client._async_calls import AsyncCalls
from coordinator.client._fencing_tokens import Tokens
from coordinator.client._forks import this_process
from coordinator.client._ids import new_id
from coordinator.client._keepers import AsyncKeeper, async_pause
from coordinator.client._renewal_schedule import HeldClaim, lost_by, reason_of
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, Refused, TryAgain
from coordinator.quotation import key
from coordinator.v1 import service_pb2 as pb

__all__ = ["AsyncBlockEnd", "AsyncMeans"]

#: How long to go on completing while no coordinator answers, how long one call may take at least, if the timeout of the
#: client is not shorter, and how long to wait between two, in seconds.
_COMPLETING_SECONDS, _LEAST_COMPLETING_SECONDS, _PAUSE_SECONDS = 30.0, 1.0, 0.25
#: How long a release may take, and a completion that was interrupted, in seconds.
_RELEASING_SECONDS = 5.0


class AsyncMeans(NamedTuple):
    """What a hold needs of its client, in one process."""

    calls: AsyncCalls
    keeper: AsyncKeeper
    tokens: Tokens
    fleet: str


class AsyncBlockEnd:
    """Ends one claim that is held."""

    def __init__(self, means: AsyncMeans, held_claim: HeldClaim) -> None:
        self._means = means
        self._held_claim = held_claim
        self._process = this_process()
        #: What was sent, or is about to be.
        self._completion: pb.CompleteRequest | None = None
        self._release: pb.ReleaseRequest | None = None

    async def end(self, result: str, error: BaseException | None) -> None:
        """End the claim with its block, which ``error`` has ended, or nothing; raises what it was lost by."""
        lost = self._begin()
        try:
            if lost is not None:
                freed = await self._free_lost(error or lost)
                if error is None:
                    raise lost
                _note(error, f"{lost.message}; it was {'released' if freed else 'not released'}")
            elif error is not None:
                await self._release_after(error)
            else:
                await self._means.keeper.shield(lambda: self._complete(result))
        finally:
            self._means.keeper.discard(self._held_claim)

    async def after(self, interrupt: BaseException) -> None:
        """End the claim although ``interrupt`` has come while it ended; a forked process leaves it to its parent."""
        if self._process != this_process():
            return
        lost = self._begin()
        try:
            if lost is not None:
                await self._free_lost(interrupt)
            elif self._completion is None:
                await self._release_after(interrupt)
            else:
                await self._means.keeper.shield(lambda: self._settle(interrupt))
        finally:
            self._means.keeper.discard(self._held_claim)

    def _begin(self) -> CoordinatorError | None:
        """Return why the claim was lost, None for one that was not; from now on it no longer can be."""
        self._held_claim.look(boot_seconds())
        self._held_claim.ending = True
        return self._held_claim.lost

    async def _complete(self, result: str) -> model.Record:
        """Complete the work; while no coordinator answers, the same request is sent again for a while."""
        claim = self._held_claim.claim
        request = self._completion = self._completion or pb.CompleteRequest(
            fleet=self._means.fleet,
            session=claim.session,
            work_key=claim.work_key,
            result=result,
            request_id=new_id(),
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

    async def _settle(self, interrupt: BaseException) -> None:
        """Complete what was being completed; if that fails, the interrupt says that it is unknown."""
        claim = self._held_claim.claim
        try:
            await self._means.calls.call("Complete", self._completion, within=_RELEASING_SECONDS)
        except CoordinatorError as problem:
            _note(interrupt, f"whether {key(claim.work_key)} was completed is unknown: {problem.message}")
        else:
            self._means.tokens.forget(claim.session, claim.work_key)

    async def _release_after(self, error: BaseException) -> None:
        """Release the work, with the exception as the reason; if that fails, the exception says so."""
        problem = await self._send_release(reason_of(error), failed=isinstance(error, Exception))
        if problem is not None:
            work = key(self._held_claim.claim.work_key)
            _note(error, f"{work} was not released, and is free at its deadline: {problem.message}")

    async def _free_lost(self, error: BaseException) -> bool:
        """Release what was lost but may still be held, and return whether it was."""
        if self._held_claim.refused:
            # The reason is that of the operator who revokes it.
            return await self._send_release("") is None
        return boot_seconds() < self._held_claim.deadline and await self._send_release(reason_of(error)) is None

    async def _send_release(self, reason: str, *, failed: bool = False) -> CoordinatorError | None:
        """Release the claim, and no other; return what that has failed with."""
        claim = self._held_claim.claim
        request = self._release = self._release or pb.ReleaseRequest(
            fleet=self._means.fleet,
            session=claim.session,
            work_key=claim.work_key,
            reason=reason,
            failed=failed,
            request_id=new_id(),
            fencing_token=claim.fencing_token,
        )
        calls = self._means.calls
        try:
            await self._means.keeper.shield(lambda: calls.call("Release", request, within=_RELEASING_SECONDS))
        except CoordinatorError as problem:
            return problem
        self._means.tokens.forget(claim.session, claim.work_key)
        return None


def _note(error: BaseException, note: str) -> None:
    """Add a note to an exception of the caller's, whose class may not want one."""
    with contextlib.suppress(Exception):
        error.add_note(note)
