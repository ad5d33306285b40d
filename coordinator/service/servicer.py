"""The calls of ``coordinator.v1.CoordinatorService``; those that only read, and those for operators, are beside it.

Each checks its request, has the runner run an operation of the engine, and answers; what was decided is counted and
logged. A call answers before its caller's deadline, so that the caller learns why and not only that time is up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import grpc.aio

from coordinator import clock, model
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.finish import complete, release
from coordinator.engine.policy import PolicyBook
from coordinator.engine.renew import renew
from coordinator.engine.steps import Operation
from coordinator.errors import CoordinatorError
from coordinator.keys import KeyRules
from coordinator.names import check_fleet, check_session
from coordinator.recorder import Recorder, SimilarAnswer
from coordinator.server_limits import MAX_SHARED_READINGS
from coordinator.service import replies
from coordinator.service.admission.budgets import Payer
from coordinator.service.admission.charges import Metering
from coordinator.service.admission.claim_limits import ClaimLimits
from coordinator.service.admission.new_fleets import NewFleets
from coordinator.service.admission.pool_sizes import PoolSizes
from coordinator.service.admission.shared_readings import SharedReadings
from coordinator.service.admission.turns import Turns
from coordinator.service.alternatives import Alternatives
from coordinator.service.claim_many import claim_many
from coordinator.service.connections.callers import caller_of
from coordinator.service.deadlines import deadline_of
from coordinator.service.decision_log import Decisions
from coordinator.service.diagnosis import DiagnosisReader
from coordinator.service.import_calls import ImportCalls
from coordinator.service.next import CandidateLists, Placements, PoolOverview, PoolPlacements
from coordinator.service.operator_calls import OperatorCalls
from coordinator.service.read_calls import ReadCalls
from coordinator.service.renew_many import read_renewal, renew_many
from coordinator.service.request_fields import Keyed, check_items, new_request_id, sender_of
from coordinator.service.requests import (
    claim_command,
    complete_command,
    next_command,
    next_policies,
    placed_as_sent,
    read_pool_request,
    release_command,
    renew_command,
    submit_command,
)
from coordinator.service.status import StatusReader
from coordinator.service.submissions import Submissions, Submitting
from coordinator.service.topics import TopicClaims
from coordinator.service.waiters import Held, WaitingCalls, Waits, waited_of
from coordinator.service.watch.watches import Watches
from coordinator.service.withdrawals import withdraw_all
from coordinator.store.operation_driver import Runner
from coordinator.store.policies import Policies
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceServicer
from coordinator.wire import SUBMITTED

__all__ = ["Servicer"]

_Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class Servicer(ReadCalls, OperatorCalls, ImportCalls, WaitingCalls, CoordinatorServiceServicer):
    """Answers calls.

    ``key_rules`` say how work keys are read; ``credential`` returns the name of the credential of a call's context, ""
    where none are asked for; ``sees`` whether it grants a fleet. ``turns`` are those of calls whose answers may be
    large. Ended work is remembered for ``retention`` seconds, None for ever.
    """

    def __init__(
        self,
        runner: Runner,
        recorder: Recorder,
        status: StatusReader,
        diagnosis: DiagnosisReader,
        claim_limits: ClaimLimits,
        metering: Metering,
        watches: Watches,
        placements: Placements,
        pool_placements: PoolPlacements,
        overview: PoolOverview,
        policies: Policies,
        turns: Turns,
        waits: Waits,
        topics: TopicClaims,
        *,
        key_rules: KeyRules,
        credential: Callable[[Any], str] = lambda _: "",
        sees: Callable[[Any], Callable[[str], bool]] = lambda _: lambda _: True,
        clock: Callable[[], datetime] = clock.now,
        retention: float | None = None,
    ) -> None:
        self._runner = runner
        self._alternatives = Alternatives(runner)
        self._credential = credential
        self._sees = sees
        self._new_fleets = NewFleets(runner)
        self._decisions = Decisions(recorder)
        self._status = status
        self._diagnosis = diagnosis
        self._claim_limits = claim_limits
        self._metering = metering
        self._watches = watches
        self._placements = placements
        self._pool_placements = pool_placements
        self._overview = overview
        self._policies = policies
        self._turns = turns
        self._waits = waits
        self._topics = topics
        self._readings = SharedReadings(runner, Turns(MAX_SHARED_READINGS))
        self._key_rules = key_rules
        self._candidates = CandidateLists(key_rules)
        self._pool_sizes = PoolSizes(runner)
        self._submissions = Submissions(metering, self._pool_sizes)
        self._clock = clock
        self._retention = retention

    async def Claim(self, request: pb.ClaimRequest, context: _Context) -> pb.ClaimResponse:  # noqa: N802  # its name in the API
        """Claim one work key."""
        keyed = Keyed.of(request, self._key_rules)
        session, policy = check_session(request.session), await self._policy_of(keyed, context)
        command = claim_command(request, request, session, self._clock(), policy, self._key_rules)
        payer = self._payer(keyed.fleet, command.session, context)
        deadline = deadline_of(context)
        was_empty = await self._new_fleets.is_empty(keyed.fleet, deadline=deadline)
        held = None
        if request.HasField("wait"):
            held = await self._wait_for(request, command, keyed, payer, deadline)
        answer = held.answer if held else await self._topics.claim(command, keyed, payer, deadline=deadline)
        if answer is None:
            return replies.waiting_reply(keyed)
        self._decisions.claim_answered(keyed, command.session, answer)
        first = self._new_fleets.answered(keyed.fleet, answer, was_empty=was_empty)
        # At a limit, other work of the kind may be at the same one.
        if isinstance(answer, model.Denial) and answer.reason is not model.DenialReason.LIMIT:
            answer = answer._replace(
                alternatives=await self._alternatives.to(keyed, command.session, deadline=deadline)
            )
        return replies.claim_reply(answer, keyed.typed, new_fleet=first, waited=waited_of(held))

    async def ClaimMany(self, request: pb.ClaimManyRequest, context: _Context) -> pb.ClaimManyResponse:  # noqa: N802
        """Claim several work keys, each for itself."""
        check_items(len(request.items))
        fleet, answered, deadline = check_fleet(request.fleet), self._decisions.claim_answered, deadline_of(context)
        payer = self._payer(fleet, check_session(request.session), context)
        policies = await self._policies.of(fleet, deadline=deadline)
        read_item = partial(self._read_item, request, policies, self._clock())
        results = await claim_many(request.items, read_item, self._topics, answered, payer, deadline=deadline)
        return pb.ClaimManyResponse(results=results)

    async def ClaimNext(self, request: pb.ClaimNextRequest, context: _Context) -> pb.ClaimNextResponse:  # noqa: N802
        """Claim the first of several work keys that is free."""
        if request.from_pool:
            return await self._claim_from_pool(request, context)
        caller, deadline = (self._credential(context), caller_of(context)), deadline_of(context)
        candidates = await self._candidates.read(request, *caller, deadline=deadline)
        command = next_command(request, self._clock(), self._key_rules)
        payer = self._payer(candidates[0].fleet, command.session, context)
        policies = next_policies(request, await self._policies.of(payer.fleet, deadline=deadline))
        was_empty = await self._new_fleets.is_empty(payer.fleet, deadline=deadline)
        if request.HasField("wait"):
            held = await self._wait_for_one_of(request, command, candidates, policies, payer, deadline)
        else:
            found = await self._placements.claim_next(command, candidates, policies, payer, deadline=deadline)
            held = Held(found, None)
        answer = held.answer
        if answer is None:
            return replies.next_waiting_reply(str(candidates[0].work_key), candidates[0].typed)
        place = None if answer.choice is None else answer.choice.place
        keyed = candidates[(place or 1) - 1]
        answer = placed_as_sent(answer, keyed, request)
        self._decisions.placed(keyed, command.session, answer)
        # A repeated request may have been granted what is not on this list.
        elsewhere = place is None and isinstance(answer, model.Claim)
        first = self._new_fleets.answered(payer.fleet, answer, was_empty=was_empty)
        typed = answer.work_key if elsewhere else keyed.typed
        return replies.next_reply(answer, typed, new_fleet=first, waited=waited_of(held))

    async def _claim_from_pool(self, request: pb.ClaimNextRequest, context: _Context) -> pb.ClaimNextResponse:
        fleet, kind, deadline = check_fleet(request.fleet), read_pool_request(request), deadline_of(context)
        command = next_command(request, self._clock(), self._key_rules)
        policies = next_policies(request, await self._policies.of(fleet, deadline=deadline))
        payer = self._payer(fleet, command.session, context)
        if request.HasField("wait"):
            held = await self._wait_for_pool(request, command, kind, policies, payer, deadline)
        else:
            found = await self._pool_placements.claim_next(
                command, fleet, kind, policies, payer, explain=request.explain, deadline=deadline
            )
            held = Held(found, None)
        answer = held.answer
        if answer is None:
            return replies.next_waiting_reply("", "")
        if isinstance(answer, model.Claim):
            keyed = Keyed.read(fleet, answer.work_key, self._key_rules)
            self._decisions.placed(keyed, command.session, answer)
        return replies.next_reply(answer, answer.work_key, waited=waited_of(held))

    async def Submit(self, request: pb.SubmitRequest, context: _Context) -> pb.SubmitResponse:  # noqa: N802
        """Put work into the pool, or take it out."""
        check_items(len(request.items))
        fleet, deadline = check_fleet(request.fleet), deadline_of(context)
        payer = self._payer(fleet, check_session(request.session), context)
        policies = await self._policies.of(fleet, deadline=deadline)
        wanted = [self._read_submission(request, policies, self._clock(), item) for item in request.items]
        results = await self._submissions.submit(wanted, payer, deadline=deadline)
        for each, result in zip(wanted, results, strict=True):
            if each.keyed is not None and result.HasField("answer"):
                self._placements.ended(each.keyed)
                self._decisions.submitted(each.keyed, request.session, SUBMITTED[result.answer.outcome])
        return pb.SubmitResponse(results=results)

    async def Renew(self, request: pb.RenewRequest, context: _Context) -> pb.RenewResponse:  # noqa: N802
        """Extend a claim, leave a note on it, or both."""
        keyed = Keyed.of(request, self._key_rules)
        command = renew_command(request, request, check_session(request.session), self._clock())
        start, keeping = partial(renew, command, keyed.paths), not command.note
        renewed = await self._write(context, keyed, start, command.session, keeping=keeping)
        self._decisions.claim_answered(keyed, command.session, renewed)
        return pb.RenewResponse(claim=replies.live_claim(renewed))

    async def RenewMany(self, request: pb.RenewManyRequest, context: _Context) -> pb.RenewManyResponse:  # noqa: N802
        """Extend several claims, each for itself."""
        check_items(len(request.items))
        payer = self._payer(check_fleet(request.fleet), check_session(request.session), context)
        read_item = partial(read_renewal, request, self._key_rules, self._clock())
        answered, deadline = self._decisions.claim_answered, deadline_of(context)
        results = await renew_many(request.items, read_item, self._metering, answered, payer, deadline=deadline)
        return pb.RenewManyResponse(results=results)

    async def Complete(self, request: pb.CompleteRequest, context: _Context) -> pb.CompleteResponse:  # noqa: N802
        """Mark the work as finished."""
        keyed = Keyed.of(request, self._key_rules)
        command = complete_command(request, self._clock())
        record = await self._write(context, keyed, partial(complete, command, keyed.paths), command.session)
        self._ended(keyed)
        self._topics.ended(keyed, SimilarAnswer.COMPLETED)
        return pb.CompleteResponse(record=replies.record(record))

    async def Release(self, request: pb.ReleaseRequest, context: _Context) -> pb.ReleaseResponse:  # noqa: N802
        """Release the work."""
        keyed = Keyed.of(request, self._key_rules)
        command = release_command(request, self._clock(), await self._policy_of(keyed, context))
        record = await self._write(context, keyed, partial(release, command, keyed.paths), command.session)
        self._ended(keyed)
        self._topics.ended(keyed, SimilarAnswer.RELEASED)
        return pb.ReleaseResponse(record=replies.record(record))

    async def Withdraw(self, request: pb.WithdrawRequest, context: _Context) -> pb.WithdrawResponse:  # noqa: N802
        """Withdraw requests whose caller has been answered."""
        sender, fleet, deadline = sender_of(request), check_fleet(request.fleet), deadline_of(context)
        meter = self._metering.meter(self._payer(fleet, request.session, context), keeping=True)
        policies = await self._policies.of(fleet, deadline=deadline)
        released, problem = await withdraw_all(
            request, sender, self._runner, meter, self._clock(), self._key_rules, policies, deadline=deadline
        )
        for keyed, request_id in released:
            self._ended(keyed)
            self._decisions.withdrawn(keyed, request.session, request_id)
        if problem is not None:
            raise problem
        return pb.WithdrawResponse(released=len(released))

    def _payer(self, fleet: str, session: str, context: _Context) -> Payer:
        """Return on whose account a call writes; ``session`` is "" for calls that act as none."""
        return Payer.of(fleet, self._credential(context), session, context.peer())

    async def _write(
        self,
        context: _Context,
        keyed: Keyed,
        start: Callable[[], Operation[T]],
        session: str,
        *,
        keeping: bool = True,
    ) -> T:
        """Run what changes a work key; ``keeping``: it keeps what is held, or ends it."""
        payer = self._payer(keyed.fleet, session, context)
        return await self._metering.run(start, payer, keeping=keeping, deadline=deadline_of(context))

    def _read_submission(
        self, request: pb.SubmitRequest, policies: PolicyBook, now: datetime, item: pb.SubmitItem
    ) -> Submitting:
        # Written into the item, so that an error names the request id to retry with.
        item.request_id = item.request_id or new_request_id()
        try:
            keyed = Keyed.read(request.fleet, item.work_key, self._key_rules)
            policy = policies.of(keyed.work_key)
            return Submitting(item, keyed, submit_command(item, request.session, now, policy, self._key_rules))
        except CoordinatorError as error:
            return Submitting(item, None, None, error)

    def _read_item(
        self, request: pb.ClaimManyRequest, policies: PolicyBook, now: datetime, item: pb.ClaimItem
    ) -> tuple[Keyed, ClaimCommand]:
        # Written into the item, so that an error names the request id to retry with.
        item.request_id = item.request_id or new_request_id()
        keyed = Keyed.read(request.fleet, item.work_key, self._key_rules)
        return keyed, claim_command(request, item, request.session, now, policies.of(keyed.work_key), self._key_rules)
