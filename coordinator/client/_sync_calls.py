# Generated from _async_calls.py by scripts/unasync.py; do not edit.
"""How the calls of the synchronous client travel."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, cast

import grpc
from google.protobuf.duration_pb2 import Duration

from coordinator import model
from coordinator.client._begun import Begun, begun, take
from coordinator.client._connections import CLOSED_CHANNEL, Connections, closed_client, moved_stream
from coordinator.client._failover import Effort, Endpoints, Evidence
from coordinator.client._failures import Failed, failed, no_answer
from coordinator.client._race import Answer, Race, Stream
from coordinator.client._security import Security
from coordinator.client._watch_position import Position
from coordinator.client._withdrawal import withdrawal_of
from coordinator.clock import boot_seconds
from coordinator.errors import (
    CoordinatorError,
    InvalidInput,
    LimitExceeded,
    OutcomeUnknown,
    Refused,
    Unauthenticated,
    Unavailable,
)
from coordinator.limits import HELD_CALL_SECONDS
from coordinator.net.channels import Failure
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.wire import duration, seconds_of

__all__ = ["Calls", "Waited"]

#: A call that goes on with one whose time is over takes so long, in seconds, and only says so.
_LEAST_SECONDS = 0.001
_LOG = logging.getLogger(__name__)
#: How long a caller who has its answer waits at most, and at least if need be, until the tries that are left have been
#: withdrawn, in seconds. It mostly takes a few milliseconds, as a coordinator has just answered.
_WITHDRAWING_SECONDS, _LEAST_WITHDRAWING_SECONDS = 2.0, 0.25


class Waited(NamedTuple):
    """The answer to a request that may have waited: when it was sent for the last time, and how long was waited.

    ``seconds`` is None where the coordinator did not wait.
    """

    response: Any
    sent_at: float
    seconds: float | None


class Calls:
    """Sends requests to the endpoints of one client, each of which takes at most ``timeout`` seconds.

    Threads may share it.
    """

    def __init__(self, endpoints: Sequence[str], security: Security, *, timeout: float, closed: bool = False) -> None:
        self._endpoints = Endpoints(endpoints)
        self._security = security
        self._timeout = timeout
        self._connections = Connections(security, closed=closed)

    @property
    def closed(self) -> bool:
        """Whether nothing is begun any more."""
        return self._connections.closed

    def close(self) -> None:
        """Close the connections, for good: what is under way ends, and nothing is begun any more."""
        self._connections.close()

    def call(
        self,
        method: str,
        request: Any,
        request_id: str | None = None,
        *,
        within: float | None = None,
        waits: float = 0.0,
    ) -> Any:
        """Send a request, and to another endpoint where one fails or is silent, until an answer or the deadline.

        ``within`` shortens the time that the call may take, in seconds; ``waits`` is how long the coordinator may hold
        it beyond that.

        All tries carry the same ``request_id``, so that one which took effect unseen is recognised by the next. Those
        that are left when one was answered are withdrawn.
        """
        request_id = request_id or getattr(request, "request_id", None)
        # Reap reports what it has done itself: of two at once, one would have done the other's share.
        seconds = self._timeout if within is None else min(within, self._timeout)
        earlier = None if begun() is None else take(method, request)
        if earlier is not None:
            seconds = max(min(seconds, earlier.deadline - time.monotonic()), _LEAST_SECONDS)
        # One that waits is silent for that reason alone.
        effort = self._effort(request_id, repeatable=method != "Reap" and not waits, timeout=seconds, waits=waits)
        first = None if earlier is None else _answer_to(earlier, effort)
        try:
            response = self._first_answer(effort, method, request, request_id, first)
        except (Refused, InvalidInput):
            self._withdraw(effort, withdrawal_of(method, request, None))
            raise
        self._withdraw(effort, withdrawal_of(method, request, response))
        return response

    def call_waiting(self, method: str, request: Any, wait: float | None) -> Waited:
        """Send a Claim or ClaimNext that waits at the coordinator for so many seconds, None for not at all.

        A coordinator holds one call for a part of the wait; the same request is sent again until the wait is over.
        """
        if wait is None:
            sent_at = boot_seconds()
            return Waited(self.call(method, request), sent_at, None)
        began = boot_seconds()
        while True:
            sent_at = boot_seconds()
            left = max(0.0, began + wait - sent_at)
            request.wait.CopyFrom(duration(left))
            response = self.call(method, request, waits=min(left, HELD_CALL_SECONDS))
            if response.outcome == types.OUTCOME_WAITING:
                continue
            held = seconds_of(response.waited) if response.HasField("waited") else None
            return Waited(response, sent_at, held if held is None else sent_at - began + held)

    def withdraw_claim(
        self, fleet: str, session: str, work_key: str, request_id: str, ttl: Duration | None, *, within: float
    ) -> bool:
        """Withdraw a claim that may have been granted, or still may be; return whether nothing of it is left.

        ``work_key`` is "" for one of several. It takes ``within`` seconds at most.
        """
        item = pb.WithdrawItem(work_key=work_key, request_id=request_id, ttl=ttl)
        request = pb.WithdrawRequest(fleet=fleet, session=session, items=[item])
        try:
            self.call("Withdraw", request, within=within)
        except CoordinatorError:
            return False
        return True

    def _first_answer(
        self, effort: Effort, method: str, request: Any, request_id: str | None, answer: Answer | None = None
    ) -> Any:
        """Return the first answer; raise what stands for all tries where there is none.

        ``answer`` is that to a try which was made already.
        """
        renewed = False
        with Race(alone=len(self._endpoints.names) == 1) as race:
            while True:
                if answer is None:
                    endpoint = self._next_endpoint(effort)
                    if endpoint is not None:
                        self._start(race, effort, endpoint, method, request)
                    answer = race.next(effort.patience())
                if answer is None:
                    continue
                (endpoint, response, failure), answer = answer, None
                if failure is None:
                    effort.succeeded(endpoint)
                    return response
                problem, evidence = self._failed(failure, endpoint, request_id)
                if isinstance(problem, Unauthenticated) and not renewed and self._security.reread_token():
                    renewed = True
                    effort.again(endpoint)
                    continue
                effort.failed(endpoint, problem, evidence)

    def watch(self, request: pb.WatchRequest, position: Position) -> Generator[model.ClaimEvent, None]:
        """Yield what happens from ``position`` on, which moves on, going on at another endpoint where one fails.

        An effort lasts until an endpoint has sent something.
        """
        effort: Effort | None = None
        with Race(alone=False) as race:
            while True:
                effort = effort or self._effort(None, repeatable=False)
                endpoint = self._next_endpoint(effort)
                if endpoint is None:
                    race.next(effort.patience())
                    continue
                request.start_revision = position.revision
                stream = self._open_watch(effort, endpoint, request)
                place = self._connections.place()
                try:
                    for response in stream:
                        if effort is not None:
                            effort.succeeded(endpoint)
                            effort = None
                        claim_event = position.take(response)
                        if claim_event is not None:
                            yield claim_event
                            if self._connections.place() != place:
                                raise moved_stream(position.revision)
                    failure = None
                except grpc.RpcError as error:
                    failure = cast(Failure, error)
                finally:
                    if self._connections.place() == place:
                        stream.cancel()
                effort = self._watch_broke(endpoint, effort, failure)
                if effort is None and (rest := self._endpoints.ready_at(()) - time.monotonic()) > 0:
                    # A new effort begins at once. One endpoint whose watches begin and break would be asked for ever.
                    race.next(rest)

    def _withdraw(self, answered: Effort, withdrawal: pb.WithdrawRequest | None) -> None:
        """Withdraw a request of which other tries are left; if that fails, its answer is still valid."""
        if withdrawal is None or not answered.leaves_tries:
            return
        seconds = min(max(answered.remaining, _LEAST_WITHDRAWING_SECONDS), _WITHDRAWING_SECONDS)
        try:
            effort = self._effort(None, repeatable=True, timeout=seconds)
            self._first_answer(effort, "Withdraw", withdrawal, None)
        except CoordinatorError as error:
            _LOG.debug("a request that was answered could not be withdrawn: %s", error)

    def _effort(
        self, request_id: str | None, *, repeatable: bool, timeout: float | None = None, waits: float = 0.0
    ) -> Effort:
        return Effort(
            self._endpoints,
            timeout=timeout or self._timeout,
            repeatable=repeatable,
            waits=waits,
            unanswered=lambda silent: no_answer(silent, request_id),
        )

    def _next_endpoint(self, effort: Effort) -> str | None:
        if self.closed:
            raise effort.ended_by(closed_client())
        return effort.next_endpoint()

    def _failed(self, failure: Failure, endpoint: str, request_id: str | None) -> Failed:
        return failed(failure, endpoint=endpoint, request_id=request_id, security=self._security)

    def _watch_broke(self, endpoint: str, effort: Effort | None, failure: Failure | None) -> Effort | None:
        """Return the effort that goes on with a watch, None for a new one.

        Raises what no other endpoint can know better.
        """
        problem: CoordinatorError = Unavailable(f"the coordinator at {endpoint} ended the watch")
        evidence = Evidence.LOST
        if failure is not None:
            problem, evidence = self._failed(failure, endpoint, None)
        if isinstance(problem, Unauthenticated) and self._security.reread_token():
            return None
        if isinstance(problem, LimitExceeded) and effort is not None:
            # It has no room for one more watcher; another coordinator may have.
            problem = Unavailable(problem.message, hint=problem.hint, retry_after_seconds=problem.retry_after_seconds)
        if not isinstance(problem, Unavailable | OutcomeUnknown):
            raise problem
        if effort is None:
            self._endpoints.failed(endpoint, time.monotonic(), 0.0)
            return None
        effort.failed(endpoint, problem, evidence)
        return effort

    def _start(self, race: Race, effort: Effort, endpoint: str, method: str, request: Any) -> None:
        with self._unsent(effort, endpoint):
            ask = getattr(self._connections.stub(endpoint), method)
            race.start(endpoint, ask, request, seconds=effort.remaining, metadata=self._security.metadata)

    def _open_watch(self, effort: Effort, endpoint: str, request: pb.WatchRequest) -> Stream:
        with self._unsent(effort, endpoint):
            watch = self._connections.stub(endpoint).Watch
            return Stream(watch(request, metadata=self._security.metadata))

    @contextlib.contextmanager
    def _unsent(self, effort: Effort, endpoint: str) -> Iterator[None]:
        """Raise what ends the call if it cannot be begun at an endpoint; earlier tries may have taken effect."""
        try:
            yield
        except InvalidInput as problem:
            effort.again(endpoint)
            raise effort.ended_by(problem) from None
        except CLOSED_CHANNEL:
            if not self.closed:
                raise
            effort.again(endpoint)
            raise effort.ended_by(closed_client()) from None


def _answer_to(earlier: Begun, effort: Effort) -> Answer | None:
    """Return what came of a try that was made already; None if nothing was sent."""
    if earlier.response is None and earlier.failure is None:
        return None
    effort.asked(earlier.endpoint)
    if earlier.response is None:
        return Answer(earlier.endpoint, None, earlier.failure)
    response = getattr(pb, f"{earlier.method}Response").FromString(earlier.response)
    return Answer(earlier.endpoint, response, None)
