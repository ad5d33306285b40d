# Generated from _async.py by scripts/unasync.py; do not edit.
"""The synchronous client."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import model
from coordinator.client import _wire as wire
from coordinator.client._failover import Effort, Endpoints
from coordinator.client._findings import diagnosis_from
from coordinator.client._position import Position
from coordinator.client._racing import Race
from coordinator.client._security import AnyPath, Security
from coordinator.defaults import DEFAULT_LISTEN
from coordinator.errors import (
    ClaimDenied,
    CoordinatorError,
    InvalidInput,
    LimitExceeded,
    OutcomeUnknown,
    Unauthenticated,
    Unavailable,
)
from coordinator.findings import Diagnosis
from coordinator.transport import CHANNEL_OPTIONS, Failure, is_stranger, parse_endpoints, was_never_sent
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub


class Client:
    """Claims work from a coordinator.

    ``endpoints`` is ``"HOST:PORT"``, several with commas, or a sequence of them. The client stays with the one that
    answered last; when that fails, or is silent for a quarter of ``timeout`` (at most a second), another is asked. It
    connects anew to one that comes back. ``timeout`` bounds every call, in seconds. ``instance`` tells this client
    apart from others that run under the same session name; by default it is random, so that two processes of one
    session do not both believe they hold a claim.

    ``tls`` speaks TLS and trusts the authorities that this host trusts; ``ca``, a file, names others instead. ``cert``
    and ``key`` are files of a certificate to show. The token in ``token_file`` (or ``bearer_token`` itself) says who
    this client is; it is sent over TLS or to this host itself, and the file is read again when its token is refused.

    >>> with Client(endpoint) as client:
    ...     claim = client.claim("session-7f8b", "task:db-migration", ttl=60)
    ...     record = client.complete("session-7f8b", "task:db-migration", token=claim.fencing_token)
    >>> record.state
    <State.COMPLETED: 'completed'>

    Every method raises ``InvalidInput`` for what could never be right, ``Unavailable`` where no coordinator or no
    store answers, ``OutcomeUnknown`` when no answer came within ``timeout`` (the request may have taken effect: repeat
    it with the ``request_id`` of the error), and what its own text names.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = DEFAULT_LISTEN,
        *,
        fleet: str = model.DEFAULT_FLEET,
        timeout: float = 5.0,
        instance: str | None = None,
        tls: bool = False,
        ca: AnyPath | None = None,
        cert: AnyPath | None = None,
        key: AnyPath | None = None,
        token_file: AnyPath | None = None,
        bearer_token: str | None = None,
    ) -> None:
        self._endpoints = Endpoints(parse_endpoints(endpoints))
        self._security = Security(tls=tls, ca=ca, cert=cert, key=key, token_file=token_file, bearer_token=bearer_token)
        self._security.check(self._endpoints.names)
        self._fleet = wire.text("fleet", fleet)
        if not 0 < timeout < float("inf"):
            raise InvalidInput(f"timeout must be a positive number of seconds; it is {timeout!r}", field="timeout")
        self._timeout = timeout
        self._instance = uuid.uuid4().hex if instance is None else wire.text("instance", instance)
        # Threads may share a client.
        self._opening = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._stubs: dict[str, CoordinatorServiceStub] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; claims stay."""
        channels, self._channels, self._stubs = self._channels, {}, {}
        for channel in channels.values():
            channel.close()

    def claim(
        self,
        session: str,
        key: str,
        ttl: float | timedelta | None = None,
        *,
        note: str = "",
        reopen: bool = False,
        token: int | None = None,
        request_id: str | None = None,
    ) -> model.Claim:
        """Claim a work key for ``ttl`` seconds (5 s to 7 days, by default 60 minutes).

        Claiming what this client holds already renews it: same fencing token, never a shorter deadline. ``reopen``
        claims finished work. Raises ``ClaimDenied``, which carries the ``Denial``, if it is not granted.

        ``request_id`` is made up where none is given. Give that of an ``OutcomeUnknown`` to repeat the request: it is
        granted once. If that claim has ended since, ``NotHolder`` is raised, as long as nobody has claimed the work
        again; one that is repeated later still is a new request.
        """
        answer = self.try_claim(session, key, ttl, note=note, reopen=reopen, token=token, request_id=request_id)
        if isinstance(answer, model.Denial):
            raise ClaimDenied(answer)
        return answer

    def try_claim(
        self,
        session: str,
        key: str,
        ttl: float | timedelta | None = None,
        *,
        note: str = "",
        reopen: bool = False,
        token: int | None = None,
        request_id: str | None = None,
    ) -> model.Claim | model.Denial:
        """Claim a work key like ``claim``, but return the denial instead of raising it."""
        request = pb.ClaimRequest(
            fleet=self._fleet,
            session=wire.text("session", session),
            work_key=wire.text("work_key", key),
            ttl=wire.duration("ttl", ttl),
            note=wire.text("note", note),
            reopen=wire.flag("reopen", reopen),
            request_id=_request_id(request_id),
            instance=self._instance,
            fencing_token=wire.integer("token", token),
        )
        sent_at = time.monotonic()
        return wire.claim_answer(self._call("Claim", request), sent_at=sent_at)

    def claim_many(
        self,
        session: str,
        keys: Iterable[str],
        ttl: float | timedelta | None = None,
        *,
        note: str = "",
        reopen: bool = False,
        request_id: str | None = None,
    ) -> Sequence[model.Claim | model.Denial | CoordinatorError]:
        """Claim up to 500 work keys in one call, each for itself; return one answer each, in their order.

        What ``try_claim`` would raise for one of them is returned in its place: the others are claimed all the same.
        A repeated call with the same ``request_id`` must name the same keys in the same order.
        """
        base = _request_id(request_id)
        request = pb.ClaimManyRequest(fleet=self._fleet, session=wire.text("session", session), instance=self._instance)
        for number, key in enumerate(wire.several("keys", keys)):
            request.items.add(
                work_key=wire.text("work_key", key),
                ttl=wire.duration("ttl", ttl),
                note=wire.text("note", note),
                reopen=wire.flag("reopen", reopen),
                request_id=f"{base}.{number}",
            )
        sent_at = time.monotonic()
        response = self._call("ClaimMany", request, request_id=base)
        return wire.claim_answers(response, sent_at=sent_at)

    def renew(
        self,
        session: str,
        key: str,
        ttl: float | timedelta | None = None,
        *,
        note: str | None = None,
        token: int | None = None,
        request_id: str | None = None,
    ) -> model.Claim:
        """Extend a claim by ``ttl`` seconds from now (as before if None), leave a note on it, or both.

        The deadline never moves back. Raises ``NotHolder`` if the session does not hold the work key.
        """
        request = pb.RenewRequest(
            fleet=self._fleet,
            session=wire.text("session", session),
            work_key=wire.text("work_key", key),
            ttl=wire.duration("ttl", ttl),
            note=None if note is None else wire.text("note", note),
            request_id=_request_id(request_id),
            instance=self._instance,
            fencing_token=wire.integer("token", token),
        )
        sent_at = time.monotonic()
        response = self._call("Renew", request)
        return wire.claim_from(response.claim, sent_at=sent_at, outcome=model.Outcome.RENEWED)

    def complete(
        self, session: str, key: str, *, result: str = "", token: int | None = None, request_id: str | None = None
    ) -> model.Record:
        """Mark work as finished; later claims of it are denied and told so.

        Also accepted after the claim has expired, as long as nobody has claimed the work since. Raises ``NotHolder``
        if somebody else holds or has finished it, ``NotFound`` if nobody has ever claimed it.
        """
        request = pb.CompleteRequest(
            fleet=self._fleet,
            session=wire.text("session", session),
            work_key=wire.text("work_key", key),
            result=wire.text("result", result),
            request_id=_request_id(request_id),
            fencing_token=wire.integer("token", token),
        )
        return wire.record_from((self._call("Complete", request)).record)

    def release(
        self, session: str, key: str, *, reason: str = "", token: int | None = None, request_id: str | None = None
    ) -> model.Record:
        """Hand work back; it can be claimed again at once, and the next session is shown ``reason``.

        Raises ``NotHolder`` if the session does not hold the work key, ``NotFound`` if nobody has ever claimed it.
        """
        request = pb.ReleaseRequest(
            fleet=self._fleet,
            session=wire.text("session", session),
            work_key=wire.text("work_key", key),
            reason=wire.text("reason", reason),
            request_id=_request_id(request_id),
            fencing_token=wire.integer("token", token),
        )
        return wire.record_from((self._call("Release", request)).record)

    def revoke(self, key: str, *, reason: str = "", request_id: str | None = None) -> model.Record:
        """Take a claim away from its holder, as an operator; the next session is shown ``reason``.

        Raises ``NotHolder`` if no claim is live.
        """
        request = pb.RevokeRequest(
            fleet=self._fleet,
            work_key=wire.text("work_key", key),
            reason=wire.text("reason", reason),
            request_id=_request_id(request_id),
        )
        return wire.record_from((self._call("Revoke", request)).record)

    def acknowledge(self, key: str, *, reason: str = "") -> model.Record:
        """Mark abandoned work as seen, so that it is no longer a loose end; it can be claimed as before.

        Raises ``NotFound`` if nobody ever claimed it and ``Refused`` if it is not abandoned.
        """
        request = pb.AcknowledgeRequest(
            fleet=self._fleet, work_key=wire.text("work_key", key), reason=wire.text("reason", reason)
        )
        return wire.record_from((self._call("Acknowledge", request)).record)

    def get(self, key: str) -> model.Story:
        """Tell all that is known of a work key; one never seen is ``available``."""
        request = pb.GetRequest(fleet=self._fleet, work_key=wire.text("work_key", key))
        return wire.story_from(self._call("Get", request))

    def list_page(
        self,
        *,
        states: Iterable[model.State | str] = (),
        kind: str = "",
        session: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> model.RecordPage:
        """Return one page of records in the order of their work keys; 1 to 1,000 a page, by default 100."""
        request = pb.ListRequest(
            fleet=self._fleet,
            states=wire.states_to(states),
            kind=wire.text("kind", kind),
            session=wire.text("session", session),
            page_size=wire.integer("page_size", page_size, most=1000),
            page_token=wire.text("page_token", page_token),
        )
        return wire.record_page(self._call("List", request))

    def list(
        self, *, states: Iterable[model.State | str] = (), kind: str = "", session: str = ""
    ) -> Iterator[model.Record]:
        """Yield the records that match, in the order of their work keys, fetching pages as they are needed."""
        states, page_token = tuple(wire.several("states", states)), ""
        while True:
            page = self.list_page(states=states, kind=kind, session=session, page_size=1000, page_token=page_token)
            for record in page.records:
                yield record
            if page.next_page_token is None:
                return
            page_token = page.next_page_token

    def log_page(
        self, session: str, *, since: datetime | None = None, page_size: int = 0, page_token: str = ""
    ) -> model.LogPage:
        """Return one page of a session's ended attempts, latest first; 1 to 1,000 a page, by default 100."""
        request = pb.LogRequest(
            fleet=self._fleet,
            session=wire.text("session", session),
            since=_timestamp(since),
            page_size=wire.integer("page_size", page_size, most=1000),
            page_token=wire.text("page_token", page_token),
        )
        return wire.log_page(self._call("Log", request))

    def briefing(
        self, *, kinds: Iterable[str] = (), max_age: float | timedelta | None = None, max_characters: int = 0
    ) -> model.Briefing:
        """Sum up what is taken, what was abandoned and what was finished at most ``max_age`` seconds ago.

        By default of all kinds, of the last 24 hours, in at most 4,000 characters of Markdown.
        """
        request = pb.BriefingRequest(
            fleet=self._fleet,
            kinds=[wire.text("kinds", kind) for kind in wire.several("kinds", kinds)],
            max_age=None if max_age is None else wire.duration("max_age", max_age),
            max_characters=wire.integer("max_characters", max_characters, most=2**31 - 1),
        )
        return wire.briefing_from(self._call("Briefing", request))

    def hot(self, *, kind: str = "", limit: int = 0, max_age: float | timedelta | None = None) -> model.HotKeys:
        """Tell for which work keys most sessions were turned away, hottest first; 1 to 100 of them, by default 10.

        Counts the present attempts, and those that ended at most ``max_age`` seconds ago, by default in the last hour.
        """
        request = pb.HotRequest(
            fleet=self._fleet,
            kind=wire.text("kind", kind),
            limit=wire.integer("limit", limit, most=100),
            max_age=None if max_age is None else wire.duration("max_age", max_age),
        )
        return wire.hot_from(self._call("Hot", request))

    def watch(self, *, start_revision: int = 0, kind: str = "", session: str = "") -> Iterator[model.Happening]:
        """Yield what happens to claims, from ``start_revision`` on, or from now on; a denial once an attempt.

        When a coordinator fails, another is asked, and nothing is left out or told twice; raises ``Unavailable`` when
        none has answered for ``timeout``, ``HistoryGone`` where the store does not remember so far back, and
        ``LimitExceeded`` for a caller who reads too slowly.
        """
        position = Position(wire.integer("start_revision", start_revision))
        request = pb.WatchRequest(
            fleet=self._fleet, kind=wire.text("kind", kind), session=wire.text("session", session)
        )
        effort: Effort | None = None
        with Race(alone=False) as race:
            while True:
                effort = effort or Effort(
                    self._endpoints,
                    timeout=self._timeout,
                    repeatable=False,
                    unanswered=lambda silent: wire.no_answer(silent, None),
                )
                endpoint = effort.next_endpoint()
                if endpoint is None:
                    race.next(effort.patience())
                    continue
                request.start_revision = position.revision
                call = self._stub(endpoint).Watch(request, metadata=self._security.metadata)
                try:
                    for response in call:
                        if effort is not None:
                            effort.succeeded(endpoint)
                            effort = None
                        happening = position.take(response)
                        if happening is not None:
                            yield happening
                    failure = None
                except grpc.RpcError as error:
                    failure = cast(Failure, error)
                finally:
                    call.cancel()
                effort = self._watch_broke(endpoint, effort, failure)

    def reap(self, min_age: float | timedelta = 0.0) -> int:
        """Record claims that expired at least ``min_age`` seconds ago as abandoned; returns how many this call did."""
        request = pb.ReapRequest(fleet=self._fleet, min_age=wire.duration("min_age", min_age))
        return int((self._call("Reap", request)).reaped)

    def status(self) -> model.Status:
        """Tell how the coordinator, its store and the fleet are; answers also when the store does not."""
        return wire.status_from(self._call("Status", pb.StatusRequest(fleet=self._fleet)))

    def diagnose(self) -> Diagnosis:
        """Have the coordinator examine itself and its store; what is wrong with them is a finding, not an error."""
        return diagnosis_from(self._call("Diagnose", pb.DiagnoseRequest(fleet=self._fleet)))

    def _call(self, method: str, request: Any, request_id: str | None = None) -> Any:
        """Send a request, and to another endpoint where one fails or is silent, until an answer or the deadline.

        All tries carry the same ``request_id``, so that one which took effect unseen is recognised by the next.
        """
        request_id = request_id or getattr(request, "request_id", None)
        # Reap tells what it has done itself: of two at once, one would have done the other's share.
        effort = Effort(
            self._endpoints,
            timeout=self._timeout,
            repeatable=method != "Reap",
            unanswered=lambda silent: wire.no_answer(silent, request_id),
        )
        renewed = False
        with Race(alone=len(self._endpoints.names) == 1) as race:
            while True:
                endpoint = effort.next_endpoint()
                if endpoint is not None:
                    ask, metadata = getattr(self._stub(endpoint), method), self._security.metadata
                    race.start(endpoint, ask, request, seconds=effort.remaining, metadata=metadata)
                answer = race.next(effort.patience())
                if answer is None:
                    continue
                endpoint, response, failure = answer
                if failure is None:
                    effort.succeeded(endpoint)
                    return response
                problem = wire.error_from(failure, endpoint=endpoint, request_id=request_id, security=self._security)
                if isinstance(problem, Unauthenticated) and not renewed and self._security.reread_token():
                    renewed = True
                    effort.again(endpoint)
                    continue
                absent, answered = wire.is_absent(failure), wire.was_answered(failure)
                effort.failed(endpoint, problem, absent=absent, answered=answered)

    def _watch_broke(self, endpoint: str, effort: Effort | None, failure: Failure | None) -> Effort | None:
        """Return the effort that goes on with a watch, None for a new one.

        Raises what no other endpoint can know better.
        """
        if failure is None:
            problem: CoordinatorError = Unavailable(f"the coordinator at {endpoint} ended the watch")
        else:
            problem = wire.error_from(failure, endpoint=endpoint, request_id=None, security=self._security)
        absent = failure is not None and (was_never_sent(failure) or is_stranger(failure))
        answered = failure is not None and wire.was_answered(failure)
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
        effort.failed(endpoint, problem, absent=absent, answered=answered)
        return effort

    def _stub(self, endpoint: str) -> CoordinatorServiceStub:
        stub = self._stubs.get(endpoint)
        if stub is not None:
            return stub
        with self._opening:
            if endpoint not in self._stubs:
                credentials = self._security.channel_credentials()
                self._channels[endpoint] = (
                    grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
                    if credentials is None
                    else grpc.secure_channel(endpoint, credentials, options=CHANNEL_OPTIONS)
                )
                self._stubs[endpoint] = CoordinatorServiceStub(self._channels[endpoint])
            return self._stubs[endpoint]


def _request_id(given: str | None) -> str:
    return uuid.uuid4().hex if given is None else wire.text("request_id", given)


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidInput("since must carry a time zone, for example datetime.now(UTC)", field="since")
    message = Timestamp()
    try:
        message.FromDatetime(moment.astimezone(UTC))
    except (OverflowError, ValueError):
        raise InvalidInput("since must lie in the years 1 to 9999 in UTC", field="since") from None
    return message
