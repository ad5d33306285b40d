"""The calls of ``coordinator.v1.CoordinatorService``.

Each checks its request, has the runner run an operation of the engine, and answers; one line in the log says what was
decided. A call answers before its caller's deadline, so that the caller learns why and not only that time is up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import grpc.aio

from coordinator import clock, model
from coordinator.engine.claiming import ClaimCommand, claim
from coordinator.engine.finishing import FinishCommand, RevokeCommand, complete, release, revoke
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import expired_claims, list_records, log
from coordinator.engine.reading import get
from coordinator.engine.reaping import reap
from coordinator.engine.renewing import RenewCommand, renew
from coordinator.errors import CoordinatorError, InvalidInput
from coordinator.keys import WorkKey, check_fleet, check_session, parse_work_key
from coordinator.logs import said
from coordinator.recorder import Recorder
from coordinator.service import replies
from coordinator.service.requests import (
    Keyed,
    check_id,
    check_min_age,
    check_token,
    list_command,
    log_command,
    new_request_id,
    read_ttl,
    text,
)
from coordinator.service.status import StatusReader
from coordinator.store.runner import Runner
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceServicer

__all__ = ["Servicer"]

_LOG = logging.getLogger(__name__)

#: Time for a call whose caller has set no deadline, and the most that any call gets, in seconds.
DEFAULT_SECONDS = 10.0
LONGEST_SECONDS = 60.0
#: Kept back from the caller's deadline, so that our answer arrives before it: this share of it, at most so many
#: seconds.
_MARGIN_SHARE, _MARGIN_SECONDS = 0.1, 0.25
MAX_ITEMS = 500
#: Reaps in flight at a time for one call of Reap, so that a large one leaves etcd to others.
_REAPS_AT_A_TIME = 32

_Context = grpc.aio.ServicerContext[Any, Any]


class Servicer(CoordinatorServiceServicer):
    """Answers calls. ``topic_kinds`` are the kinds whose identities are reduced to slugs."""

    def __init__(
        self,
        runner: Runner,
        recorder: Recorder,
        status: StatusReader,
        *,
        topic_kinds: frozenset[str],
        clock: Callable[[], datetime] = clock.now,
    ) -> None:
        self._runner = runner
        self._recorder = recorder
        self._status = status
        self._topic_kinds = topic_kinds
        self._clock = clock

    async def Claim(self, request: pb.ClaimRequest, context: _Context) -> pb.ClaimResponse:  # noqa: N802  # its name in the API
        """Claim one work key."""
        return await self._claim(request, _deadline(context))

    async def ClaimMany(self, request: pb.ClaimManyRequest, context: _Context) -> pb.ClaimManyResponse:  # noqa: N802
        """Claim several work keys, each for itself."""
        if not 1 <= len(request.items) <= MAX_ITEMS:
            raise InvalidInput(f"{len(request.items)} items; allowed are 1 to {MAX_ITEMS}", field="items")
        check_fleet(request.fleet)
        check_session(request.session)
        deadline = _deadline(context)
        # Items of one work key take turns: together they would race each other, and some of them lose too often.
        turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

        async def claim_in_turn(item: pb.ClaimItem) -> pb.ClaimResult:
            async with turns[self._canonical(item.work_key)]:
                return await self._claim_item(request, item, deadline)

        results = await asyncio.gather(*(claim_in_turn(item) for item in request.items))
        return pb.ClaimManyResponse(results=results)

    async def Renew(self, request: pb.RenewRequest, context: _Context) -> pb.RenewResponse:  # noqa: N802
        """Extend a claim, leave a note on it, or both."""
        keyed = Keyed.of(request, self._topic_kinds)
        command = RenewCommand(
            session=check_session(request.session),
            now=self._clock(),
            ttl_seconds=read_ttl(request),
            note=text("note", request.note) if request.HasField("note") else None,
            instance=check_id("instance", request.instance),
            token=check_token(request.fencing_token),
        )
        renewed = await self._runner.run(partial(renew, command, keyed.paths), deadline=_deadline(context))
        self._claim_answered(keyed, command.session, renewed)
        return pb.RenewResponse(claim=replies.live_claim(renewed))

    async def Complete(self, request: pb.CompleteRequest, context: _Context) -> pb.CompleteResponse:  # noqa: N802
        """Mark the work as finished."""
        keyed = Keyed.of(request, self._topic_kinds)
        command = self._finish_command(request, text("result", request.result))
        record = await self._runner.run(partial(complete, command, keyed.paths), deadline=_deadline(context))
        _log_record("completed", keyed, record)
        return pb.CompleteResponse(record=replies.record(record))

    async def Release(self, request: pb.ReleaseRequest, context: _Context) -> pb.ReleaseResponse:  # noqa: N802
        """Hand the work back."""
        keyed = Keyed.of(request, self._topic_kinds)
        command = self._finish_command(request, text("reason", request.reason))
        record = await self._runner.run(partial(release, command, keyed.paths), deadline=_deadline(context))
        _log_record("released", keyed, record)
        return pb.ReleaseResponse(record=replies.record(record))

    async def Revoke(self, request: pb.RevokeRequest, context: _Context) -> pb.RevokeResponse:  # noqa: N802
        """Take a claim away from its holder."""
        keyed = Keyed.of(request, self._topic_kinds)
        command = RevokeCommand(
            request_id=check_id("request_id", request.request_id, new_request_id),
            now=self._clock(),
            reason=text("reason", request.reason),
        )
        record = await self._runner.run(partial(revoke, command, keyed.paths), deadline=_deadline(context))
        _log_record("revoked", keyed, record)
        return pb.RevokeResponse(record=replies.record(record))

    async def Get(self, request: pb.GetRequest, context: _Context) -> pb.GetResponse:  # noqa: N802
        """Tell all that is known of a work key."""
        keyed = Keyed.of(request, self._topic_kinds)
        found = await self._runner.run(partial(get, keyed.paths, self._clock()), deadline=_deadline(context))
        return replies.story(found)

    async def List(self, request: pb.ListRequest, context: _Context) -> pb.ListResponse:  # noqa: N802
        """List one page of records."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = list_command(request)
        return replies.list_reply(
            await self._runner.run(partial(list_records, command, paths), deadline=_deadline(context))
        )

    async def Log(self, request: pb.LogRequest, context: _Context) -> pb.LogResponse:  # noqa: N802
        """List one page of a session's ended attempts."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = log_command(request)
        return replies.log_reply(await self._runner.run(partial(log, command, paths), deadline=_deadline(context)))

    async def Reap(self, request: pb.ReapRequest, context: _Context) -> pb.ReapResponse:  # noqa: N802
        """Turn claims that expired at least so long ago into abandoned records."""
        fleet = check_fleet(request.fleet)
        paths, min_age, deadline = FleetPaths(fleet), check_min_age(request), _deadline(context)
        reaped = 0
        cursor: bytes | None = None
        slots = asyncio.Semaphore(_REAPS_AT_A_TIME)

        async def reap_one(work_key: WorkKey) -> bool:
            async with slots:
                return await self._runner.run(
                    lambda: reap(paths.of(work_key), self._clock(), min_age), deadline=deadline
                )

        while True:
            expired, cursor = await self._runner.run(partial(expired_claims, paths, cursor), deadline=deadline)
            reaped += sum(await asyncio.gather(*(reap_one(work_key) for work_key in expired)))
            if cursor is None:
                _LOG.info("reaped", extra=said(fleet=fleet, reaped=reaped, min_age_seconds=min_age))
                return pb.ReapResponse(reaped=reaped)

    async def Status(self, request: pb.StatusRequest, context: _Context) -> pb.StatusResponse:  # noqa: N802
        """Tell how the coordinator, its store and the fleet are."""
        fleet = check_fleet(request.fleet)
        return replies.status_reply(await self._status.read(fleet, deadline=_deadline(context)))

    async def _claim(self, request: pb.ClaimRequest, deadline: float) -> pb.ClaimResponse:
        keyed = Keyed.of(request, self._topic_kinds)
        command = ClaimCommand(
            session=check_session(request.session),
            request_id=check_id("request_id", request.request_id, new_request_id),
            now=self._clock(),
            ttl_seconds=read_ttl(request),
            note=text("note", request.note),
            reopen=request.reopen,
            instance=check_id("instance", request.instance),
            token=check_token(request.fencing_token),
        )
        answer = await self._runner.run(partial(claim, command, keyed.paths), deadline=deadline)
        self._claim_answered(keyed, command.session, answer)
        return replies.claim_reply(answer, keyed.typed)

    async def _claim_item(self, request: pb.ClaimManyRequest, item: pb.ClaimItem, deadline: float) -> pb.ClaimResult:
        claim_request = pb.ClaimRequest(
            fleet=request.fleet,
            session=request.session,
            instance=request.instance,
            work_key=item.work_key,
            ttl=item.ttl if item.HasField("ttl") else None,
            note=item.note,
            reopen=item.reopen,
            request_id=item.request_id,
            fencing_token=item.fencing_token,
        )
        try:
            return pb.ClaimResult(answer=await self._claim(claim_request, deadline))
        except CoordinatorError as error:
            return pb.ClaimResult(error=replies.error_detail(error))

    def _canonical(self, typed: str) -> str:
        try:
            return str(parse_work_key(typed, topic_kinds=self._topic_kinds))
        except InvalidInput:
            return ""

    def _finish_command(self, request: pb.CompleteRequest | pb.ReleaseRequest, words: str) -> FinishCommand:
        return FinishCommand(
            session=check_session(request.session),
            request_id=check_id("request_id", request.request_id, new_request_id),
            now=self._clock(),
            text=words,
            token=check_token(request.fencing_token),
        )

    def _claim_answered(self, keyed: Keyed, session: str, answer: model.Claim | model.Denial) -> None:
        if isinstance(answer, model.Denial):
            self._recorder.claim_answered(keyed.fleet, keyed.work_key.kind, model.Outcome.DENIED, answer.reason)
            _log_decision(
                "denied", keyed, session, reason=answer.reason.value, holder=answer.holder or answer.completed_by or ""
            )
            return
        self._recorder.claim_answered(keyed.fleet, keyed.work_key.kind, answer.outcome, None)
        _log_decision(answer.outcome.value, keyed, session, attempt=answer.attempt, fencing_token=answer.fencing_token)


def _deadline(context: _Context) -> float:
    # None, whatever the stubs say, where the caller has set no deadline.
    given: float | None = context.time_remaining()
    remaining = DEFAULT_SECONDS if given is None else min(given, LONGEST_SECONDS)
    return time.monotonic() + remaining - min(_MARGIN_SHARE * remaining, _MARGIN_SECONDS)


def _log_record(event: str, keyed: Keyed, record: model.Record) -> None:
    _log_decision(event, keyed, record.session or "", attempt=record.attempt or 0, late=record.late)


def _log_decision(event: str, keyed: Keyed, session: str, **more: object) -> None:
    if _LOG.isEnabledFor(logging.INFO):
        _LOG.info(event, extra=said(fleet=keyed.fleet, work_key=str(keyed.work_key), session=session, **more))
