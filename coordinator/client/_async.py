"""The asynchronous client. The synchronous one, ``_sync.py``, is generated from this file."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import model
from coordinator.client import _wire as wire
from coordinator.defaults import DEFAULT_LISTEN
from coordinator.errors import ClaimDenied, CoordinatorError, InvalidInput, OutcomeUnknown
from coordinator.transport import CHANNEL_OPTIONS, ERROR_METADATA_KEY, Failure, parse_endpoints, was_never_sent
from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

#: How long to go on knocking where nothing listens, in seconds: enough for a coordinator that is just being restarted
#: beside others, and short enough for a person who has not started one.
_KNOCK_SECONDS = 0.5
_KNOCK_PAUSE_SECONDS = 0.1


class AsyncClient:
    """Claims work from a coordinator.

    ``endpoints`` is ``"HOST:PORT"``, several with commas, or a sequence of them; the client stays with one and moves
    on to the next when it fails. ``timeout`` bounds every call, in seconds. ``instance`` tells this client apart from
    others that run under the same session name; by default it is random, so that two processes of one session do not
    both believe they hold a claim.

    >>> async def work(endpoint):
    ...     async with AsyncClient(endpoint) as client:
    ...         claim = await client.claim("session-7f8b", "task:db-migration", ttl=60)
    ...         record = await client.complete("session-7f8b", "task:db-migration", token=claim.fencing_token)
    ...         return record.state
    >>> run(work(endpoint))
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
    ) -> None:
        self._endpoints = parse_endpoints(endpoints)
        self._fleet = wire.text("fleet", fleet)
        if not 0 < timeout < float("inf"):
            raise InvalidInput(f"timeout must be a positive number of seconds; it is {timeout!r}", field="timeout")
        self._timeout = timeout
        self._instance = uuid.uuid4().hex if instance is None else wire.text("instance", instance)
        self._current = 0
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._stubs: dict[str, CoordinatorServiceStub] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; claims stay."""
        channels, self._channels, self._stubs = self._channels, {}, {}
        for channel in channels.values():
            await channel.close()

    async def claim(
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
        """
        answer = await self.try_claim(session, key, ttl, note=note, reopen=reopen, token=token, request_id=request_id)
        if isinstance(answer, model.Denial):
            raise ClaimDenied(answer)
        return answer

    async def try_claim(
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
        return wire.claim_answer(await self._call("Claim", request), sent_at=sent_at)

    async def claim_many(
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
        for number, key in enumerate(keys):
            request.items.add(
                work_key=wire.text("work_key", key),
                ttl=wire.duration("ttl", ttl),
                note=wire.text("note", note),
                reopen=wire.flag("reopen", reopen),
                request_id=f"{base}.{number}",
            )
        sent_at = time.monotonic()
        response = await self._call("ClaimMany", request, request_id=base)
        return wire.claim_answers(response, sent_at=sent_at)

    async def renew(
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
        response = await self._call("Renew", request)
        return wire.claim_from(response.claim, sent_at=sent_at, outcome=model.Outcome.RENEWED)

    async def complete(
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
        return wire.record_from((await self._call("Complete", request)).record)

    async def release(
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
        return wire.record_from((await self._call("Release", request)).record)

    async def revoke(self, key: str, *, reason: str = "", request_id: str | None = None) -> model.Record:
        """Take a claim away from its holder, as an operator; the next session is shown ``reason``.

        Raises ``NotHolder`` if no claim is live.
        """
        request = pb.RevokeRequest(
            fleet=self._fleet,
            work_key=wire.text("work_key", key),
            reason=wire.text("reason", reason),
            request_id=_request_id(request_id),
        )
        return wire.record_from((await self._call("Revoke", request)).record)

    async def get(self, key: str) -> model.Story:
        """Tell all that is known of a work key; one never seen is ``available``."""
        request = pb.GetRequest(fleet=self._fleet, work_key=wire.text("work_key", key))
        return wire.story_from(await self._call("Get", request))

    async def list_page(
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
        return wire.record_page(await self._call("List", request))

    async def list(
        self, *, states: Iterable[model.State | str] = (), kind: str = "", session: str = ""
    ) -> AsyncIterator[model.Record]:
        """Yield the records that match, in the order of their work keys, fetching pages as they are needed."""
        states, page_token = tuple(states), ""
        while True:
            page = await self.list_page(
                states=states, kind=kind, session=session, page_size=1000, page_token=page_token
            )
            for record in page.records:
                yield record
            if page.next_page_token is None:
                return
            page_token = page.next_page_token

    async def log_page(
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
        return wire.log_page(await self._call("Log", request))

    async def reap(self, min_age: float | timedelta = 0.0) -> int:
        """Record claims that expired at least ``min_age`` seconds ago as abandoned; returns how many this call did."""
        request = pb.ReapRequest(fleet=self._fleet, min_age=wire.duration("min_age", min_age))
        return int((await self._call("Reap", request)).reaped)

    async def status(self) -> model.Status:
        """Tell how the coordinator, its store and the fleet are; answers also when the store does not."""
        return wire.status_from(await self._call("Status", pb.StatusRequest(fleet=self._fleet)))

    async def _call(self, method: str, request: Any, request_id: str | None = None) -> Any:
        """Send a request, to the next endpoint where one fails, until an answer or the deadline.

        All tries carry the same ``request_id``, so that one which took effect unseen is recognised by the next.
        """
        request_id = request_id or getattr(request, "request_id", None)
        started = time.monotonic()
        deadline = started + self._timeout
        untried = len(self._endpoints)
        in_doubt: CoordinatorError | None = None
        while True:
            endpoint = self._endpoints[self._current]
            budget = (deadline - time.monotonic()) / max(1, untried)
            try:
                return await getattr(self._stub(endpoint), method)(request, timeout=max(0.001, budget))
            except grpc.RpcError as error:
                failure = cast(Failure, error)
            problem = wire.error_from(failure, endpoint=endpoint, request_id=request_id)
            if not _may_move_on(failure):
                raise problem from None
            if isinstance(problem, OutcomeUnknown):
                in_doubt = problem
            untried -= 1
            self._current = (self._current + 1) % len(self._endpoints)
            now = time.monotonic()
            if untried <= 0 and was_never_sent(failure) and now - started > min(_KNOCK_SECONDS, self._timeout):
                raise (in_doubt or problem) from None
            if now + _KNOCK_PAUSE_SECONDS >= deadline:
                raise (in_doubt or problem) from None
            if untried <= 0:
                await asyncio.sleep(_KNOCK_PAUSE_SECONDS)

    def _stub(self, endpoint: str) -> CoordinatorServiceStub:
        if endpoint not in self._stubs:
            self._channels[endpoint] = grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
            self._stubs[endpoint] = CoordinatorServiceStub(self._channels[endpoint])
        return self._stubs[endpoint]


def _may_move_on(failure: Failure) -> bool:
    """Tell whether another endpoint may know better: the connection failed, rather than the coordinator said no.

    A coordinator that stops, or has too many calls waiting, cancels those that it has not taken up.
    """
    answered = any(key == ERROR_METADATA_KEY for key, _ in failure.trailing_metadata() or ())
    return not answered and failure.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    )


def _request_id(given: str | None) -> str:
    return uuid.uuid4().hex if given is None else wire.text("request_id", given)


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidInput("since must carry a time zone, for example datetime.now(UTC)", field="since")
    message = Timestamp()
    message.FromDatetime(moment)
    return message
