"""The calls that only read: work, fleets, events, and the state of the coordinator."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from typing import Any

import grpc.aio

from coordinator.engine.briefing.briefing import brief_from
from coordinator.engine.briefing.survey import survey
from coordinator.engine.details import get
from coordinator.engine.hot_keys import hot
from coordinator.engine.layout import FleetPaths
from coordinator.engine.listing import list_records, log
from coordinator.keys import KeyRules
from coordinator.names import check_fleet
from coordinator.service import fleet_replies, replies
from coordinator.service.admission.shared_readings import SharedReadings
from coordinator.service.admission.turns import Turns
from coordinator.service.connections.callers import caller_of
from coordinator.service.deadlines import deadline_of
from coordinator.service.diagnosis import DiagnosisReader
from coordinator.service.fleet_list import list_fleets
from coordinator.service.fleet_requests import (
    briefing_command,
    event_filter,
    hot_command,
    list_command,
    log_command,
    pool_listing,
)
from coordinator.service.next import PoolOverview
from coordinator.service.request_fields import Keyed, check_revision
from coordinator.service.status import StatusReader
from coordinator.service.topics import TopicClaims
from coordinator.service.watch.queue import Progress
from coordinator.service.watch.watches import Watches
from coordinator.store.operation_driver import Runner
from coordinator.v1 import service_pb2 as pb

__all__ = ["ReadCalls"]

_Context = grpc.aio.ServicerContext[Any, Any]


class ReadCalls:
    """Answers the calls that only read, which are part of the coordinator's service."""

    _runner: Runner
    _status: StatusReader
    _diagnosis: DiagnosisReader
    _watches: Watches
    _key_rules: KeyRules
    _clock: Callable[[], datetime]
    _credential: Callable[[Any], str]
    _sees: Callable[[Any], Callable[[str], bool]]
    _turns: Turns
    _readings: SharedReadings
    _overview: PoolOverview
    _topics: TopicClaims

    async def Get(self, request: pb.GetRequest, context: _Context) -> pb.GetResponse:  # noqa: N802  # its name in the API
        """Return all that is known of a work key."""
        keyed = Keyed.of(request, self._key_rules)
        found = await self._runner.run(partial(get, keyed.paths), deadline=deadline_of(context))
        return await replies.work_details(found)

    async def FindSimilar(self, request: pb.FindSimilarRequest, context: _Context) -> pb.FindSimilarResponse:  # noqa: N802
        """Return the topics that may be the same work under another name."""
        keyed = Keyed.of(request, self._key_rules)
        found = await self._topics.find(keyed, deadline=deadline_of(context))
        return pb.FindSimilarResponse(work_key=str(keyed.work_key), similar=[replies.similar_topic(x) for x in found])

    async def List(self, request: pb.ListRequest, context: _Context) -> pb.ListResponse:  # noqa: N802
        """List one page of records."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = list_command(request)
        page = await self._runner.run(partial(list_records, command, paths), deadline=deadline_of(context))
        return await replies.list_reply(page)

    async def ListPool(self, request: pb.ListPoolRequest, context: _Context) -> pb.ListPoolResponse:  # noqa: N802
        """List one page of what is in the pool."""
        paths, listing, now = FleetPaths(check_fleet(request.fleet)), pool_listing(request), self._clock()
        caller, deadline = (self._credential(context), caller_of(context)), deadline_of(context)
        async with self._turns.turn(*caller, deadline=deadline):
            return fleet_replies.pool_reply(await self._overview.page(listing, paths, now, deadline=deadline))

    async def Log(self, request: pb.LogRequest, context: _Context) -> pb.LogResponse:  # noqa: N802
        """List one page of a session's ended attempts."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = log_command(request, self._clock())
        page = await self._runner.run(partial(log, command, paths), deadline=deadline_of(context))
        return await replies.log_reply(page)

    async def Briefing(self, request: pb.BriefingRequest, context: _Context) -> pb.BriefingResponse:  # noqa: N802
        """Sum up what a session should know."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = briefing_command(request, self._key_rules, self._clock())
        caller, deadline = (self._credential(context), caller_of(context)), deadline_of(context)
        what = ("briefing", paths.fleet, command.scope, command.max_age_seconds, command.max_characters)
        found = await self._readings.of(what, partial(survey, command, paths), *caller, deadline=deadline)
        async with self._turns.turn(*caller, deadline=deadline):
            briefing = await self._runner.run(partial(brief_from, found, command, paths), deadline=deadline)
            return await fleet_replies.briefing(briefing)

    async def Hot(self, request: pb.HotRequest, context: _Context) -> pb.HotResponse:  # noqa: N802
        """Return the work keys with the most contenders."""
        paths = FleetPaths(check_fleet(request.fleet))
        command = hot_command(request, self._clock())
        caller, deadline = (self._credential(context), caller_of(context)), deadline_of(context)
        what = ("hot", paths.fleet, command.kind, command.limit, command.max_age_seconds)
        found = await self._readings.of(what, partial(hot, command, paths), *caller, deadline=deadline)
        async with self._turns.turn(*caller, deadline=deadline):
            return fleet_replies.hot_reply(found)

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.WatchResponse]:  # noqa: N802
        """Stream what happens to claims."""
        paths = FleetPaths(check_fleet(request.fleet))
        start = check_revision("start_revision", request.start_revision)
        async with contextlib.aclosing(
            self._watches.follow(paths, start, event_filter(request), caller_of(context), self._credential(context))
        ) as watch:
            async for each in watch:
                yield pb.WatchResponse(revision=each) if isinstance(each, Progress) else replies.claim_event(each)

    async def ListFleets(self, request: pb.ListFleetsRequest, context: _Context) -> pb.ListFleetsResponse:  # noqa: N802
        """List the fleets that have anything stored, as far as the caller's credential grants them."""
        check_fleet(request.fleet)
        return await list_fleets(self._runner, self._sees(context), deadline=deadline_of(context))

    async def Status(self, request: pb.StatusRequest, context: _Context) -> pb.StatusResponse:  # noqa: N802
        """Return the state of the coordinator, its store and the fleet."""
        fleet = check_fleet(request.fleet)
        status = await self._status.read(fleet, deadline=deadline_of(context), with_progress=request.progress)
        return fleet_replies.status_reply(status)

    async def Diagnose(self, request: pb.DiagnoseRequest, context: _Context) -> pb.DiagnoseResponse:  # noqa: N802
        """Examine the coordinator and its store."""
        check_fleet(request.fleet)
        return await self._diagnosis.read(deadline=deadline_of(context))
