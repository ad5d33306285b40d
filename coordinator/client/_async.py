"""The asynchronous client. The synchronous one, ``_sync.py``, is generated from this file."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

from coordinator import model
from coordinator.client import _answers as answers
from coordinator.client import _fields as fields
from coordinator.client._async_calls import AsyncCalls
from coordinator.client._fencing_tokens import Tokens
from coordinator.client._findings import diagnosis_from
from coordinator.client._forks import PerProcess
from coordinator.client._security import AnyPath
from coordinator.client._settings import Protection, settings_from
from coordinator.clock import boot_seconds
from coordinator.diagnosis.findings import Diagnosis
from coordinator.errors import ClaimDenied, CoordinatorError, InvalidInput
from coordinator.limits import MAX_PAGE_SIZE
from coordinator.v1 import service_pb2 as pb


class _Own(NamedTuple):
    """What a client has in one process."""

    calls: AsyncCalls
    tokens: Tokens
    instance: str


class AsyncClient:
    """Claims work from a coordinator.

    ``endpoints`` is ``"HOST:PORT"``, several with commas, or a sequence of them. The client stays with the one that
    answered last; when that fails, or is silent for a quarter of ``timeout`` (at most a second), another is asked. It
    connects again to one that comes back. ``timeout`` bounds every call, in seconds. ``instance`` distinguishes this
    client from others that run under the same session name; by default it is random, so that two processes of one
    session do not both believe they hold a claim. With an empty one, the session's name alone says who holds a claim.
    In a process that was forked, a client is another instance, whichever was given, with connections of its own; the
    claims of its parent are not its own. Clients cannot be copied or pickled.

    ``tls`` speaks TLS and trusts the authorities that this host trusts; ``ca``, a file, names others instead. ``cert``
    and ``key`` are files of a certificate to show. The token in ``token_file`` (or ``bearer_token`` itself) says who
    this client is; it is sent over TLS or to this host itself, and the file is read again when its token is refused.

    What is not given is read from the environment when the client is made, as on the command line:
    COORDINATION_ENDPOINT (by default 127.0.0.1:7420), _FLEET (``default``), _TIMEOUT (5 seconds), _TLS, _CA, _CERT,
    _KEY and _TOKEN_FILE. An argument wins over its variable. An empty path means none, and ``tls=False`` no TLS,
    whatever the environment says; pass both where it must not count.

    A claim that was granted here is renewed, completed and released by its fencing token, unless ``token`` names
    another; 0 names none, and then whichever claim the session holds is meant.

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
        endpoints: str | Sequence[str] | None = None,
        *,
        fleet: str | None = None,
        timeout: float | None = None,
        instance: str | None = None,
        tls: bool | None = None,
        ca: AnyPath | None = None,
        cert: AnyPath | None = None,
        key: AnyPath | None = None,
        token_file: AnyPath | None = None,
        bearer_token: str | None = None,
    ) -> None:
        protection = Protection(tls, ca, cert, key, token_file, bearer_token)
        settings = settings_from(endpoints, fleet, timeout, protection)
        names, security, seconds = settings.endpoints, settings.security, settings.timeout
        self._fleet = settings.fleet
        given = None if instance is None else fields.text("instance", instance)

        def own(parents: _Own | None) -> _Own:
            closed = parents is not None and parents.calls.closed
            name = given if given is not None and (parents is None or not given) else uuid.uuid4().hex
            return _Own(AsyncCalls(names, security, timeout=seconds, closed=closed), Tokens(), name)

        self._process = PerProcess(own)

    @property
    def _calls(self) -> AsyncCalls:
        return self._process.mine.calls

    @property
    def _tokens(self) -> Tokens:
        return self._process.mine.tokens

    @property
    def _instance(self) -> str:
        return self._process.mine.instance

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            "a client cannot be copied or pickled: two copies would be one holder of claims",
            hint="make a client in each process that needs one",
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, for good; claims stay. What is asked of a closed client is ``InvalidInput``."""
        await self._calls.aclose()

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

        ``request_id`` is made up where none is given. Give that of an ``OutcomeUnknown`` to repeat the request: it is
        granted once. If that claim has ended since, ``NotHolder`` is raised, as long as no session has claimed the work
        again; after that, a repeated request is a new one.
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
            session=fields.session(session),
            work_key=fields.text("work_key", key),
            ttl=fields.duration("ttl", ttl),
            note=fields.text("note", note),
            reopen=fields.flag("reopen", reopen),
            request_id=fields.request_id(request_id),
            instance=self._instance,
            fencing_token=fields.integer("token", token),
        )
        sent_at = boot_seconds()
        answer = answers.claim_answer(await self._calls.call("Claim", request), sent_at=sent_at)
        self._remember(session, key, answer)
        return answer

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
        """Claim up to 500 work keys, each for itself; return one answer each, in their order.

        They travel in one request, or in several where their notes are long.
        What ``try_claim`` would raise for one of them is returned in its place: the others are claimed all the same.
        A repeated call with the same ``request_id`` must name the same keys in the same order.
        """
        base, session = fields.request_id(request_id), fields.session(session)
        items = [
            pb.ClaimItem(
                work_key=fields.text("work_key", key),
                ttl=fields.duration("ttl", ttl),
                note=fields.text("note", note),
                reopen=fields.flag("reopen", reopen),
                request_id=f"{base}.{number}",
            )
            for number, key in enumerate(fields.several("keys", keys))
        ]
        found: list[model.Claim | model.Denial | CoordinatorError] = []
        for part in fields.parts(items):
            request = pb.ClaimManyRequest(fleet=self._fleet, session=session, instance=self._instance, items=part)
            sent_at = boot_seconds()
            response = await self._calls.call("ClaimMany", request, request_id=base)
            answered = answers.claim_answers(response, sent_at=sent_at)
            for item, answer in zip(part, answered, strict=True):
                self._remember(session, item.work_key, answer)
            found += answered
        return found

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
            session=fields.session(session),
            work_key=fields.text("work_key", key),
            ttl=fields.duration("ttl", ttl),
            note=None if note is None else fields.text("note", note),
            request_id=fields.request_id(request_id),
            instance=self._instance,
            fencing_token=self._token(session, key, token),
        )
        sent_at = boot_seconds()
        response = await self._calls.call("Renew", request)
        claim = answers.claim_from(response.claim, sent_at=sent_at, outcome=model.Outcome.RENEWED)
        self._remember(session, key, claim)
        return claim

    async def complete(
        self, session: str, key: str, *, result: str = "", token: int | None = None, request_id: str | None = None
    ) -> model.Record:
        """Mark work as finished; later claims of it are denied as already completed.

        Also accepted after the claim has expired, as long as no session has claimed the work since. Raises
        ``NotHolder`` if another session holds or has finished it, ``NotFound`` if it has never been claimed.
        """
        request = pb.CompleteRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=fields.text("work_key", key),
            result=fields.text("result", result),
            request_id=fields.request_id(request_id),
            fencing_token=self._token(session, key, token),
        )
        record = answers.record_from((await self._calls.call("Complete", request)).record)
        self._tokens.forget(session, record.work_key)
        return record

    async def release(
        self, session: str, key: str, *, reason: str = "", token: int | None = None, request_id: str | None = None
    ) -> model.Record:
        """Release work; it can be claimed again at once, and the next session gets ``reason``.

        On the command line this is ``work-abandon``.

        Raises ``NotHolder`` if the session does not hold the work key, ``NotFound`` if it has never been claimed.
        """
        request = pb.ReleaseRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=fields.text("work_key", key),
            reason=fields.text("reason", reason),
            request_id=fields.request_id(request_id),
            fencing_token=self._token(session, key, token),
        )
        record = answers.record_from((await self._calls.call("Release", request)).record)
        self._tokens.forget(session, record.work_key)
        return record

    async def revoke(self, key: str, *, reason: str = "", request_id: str | None = None) -> model.Record:
        """Take a claim away from its holder, as an operator; the next session is shown ``reason``.

        Raises ``NotHolder`` if no claim is live.
        """
        request = pb.RevokeRequest(
            fleet=self._fleet,
            work_key=fields.text("work_key", key),
            reason=fields.text("reason", reason),
            request_id=fields.request_id(request_id),
        )
        return answers.record_from((await self._calls.call("Revoke", request)).record)

    async def acknowledge(self, key: str, *, reason: str = "") -> model.Record:
        """Mark abandoned work as seen, so that it is no longer a loose end; it can be claimed as before.

        On the command line this is ``work-ack``.

        Raises ``NotFound`` if it has never been claimed and ``Refused`` if it is not abandoned.
        """
        request = pb.AcknowledgeRequest(
            fleet=self._fleet, work_key=fields.text("work_key", key), reason=fields.text("reason", reason)
        )
        return answers.record_from((await self._calls.call("Acknowledge", request)).record)

    async def get(self, key: str) -> model.WorkDetails:
        """Return all that is known of a work key; one never seen is ``available``."""
        request = pb.GetRequest(fleet=self._fleet, work_key=fields.text("work_key", key))
        return answers.work_details_from(await self._calls.call("Get", request))

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
            states=fields.states(states),
            kind=fields.text("kind", kind),
            session=fields.text("session", session),
            page_size=fields.integer("page_size", page_size, most=MAX_PAGE_SIZE),
            page_token=fields.text("page_token", page_token),
        )
        return answers.record_page(await self._calls.call("List", request))

    async def list(
        self, *, states: Iterable[model.State | str] = (), kind: str = "", session: str = ""
    ) -> AsyncIterator[model.Record]:
        """Yield the records that match, in the order of their work keys, fetching pages as they are needed."""
        states, page_token = tuple(fields.several("states", states)), ""
        while True:
            page = await self.list_page(
                states=states, kind=kind, session=session, page_size=MAX_PAGE_SIZE, page_token=page_token
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
            session=fields.text("session", session),
            since=fields.moment("since", since),
            page_size=fields.integer("page_size", page_size, most=MAX_PAGE_SIZE),
            page_token=fields.text("page_token", page_token),
        )
        return answers.log_page(await self._calls.call("Log", request))

    async def log(self, session: str, *, since: datetime | None = None) -> AsyncIterator[model.LogEntry]:
        """Yield a session's ended attempts, latest first, fetching pages as they are needed.

        Args:
            session: Whose attempts.
            since: Only those that ended at or after this time, which must have a time zone; by default all.

        Raises:
            InvalidInput: ``session`` or ``since`` is not valid.

        """
        page_token = ""
        while True:
            page = await self.log_page(session, since=since, page_size=MAX_PAGE_SIZE, page_token=page_token)
            for entry in page.entries:
                yield entry
            if page.next_page_token is None:
                return
            page_token = page.next_page_token

    async def briefing(
        self, *, kinds: Iterable[str] = (), max_age: float | timedelta | None = None, max_characters: int = 0
    ) -> model.Briefing:
        """Sum up what is taken, what was abandoned and what was finished at most ``max_age`` seconds ago.

        By default of all kinds, of the last 24 hours, in at most 4,000 characters of Markdown.
        """
        request = pb.BriefingRequest(
            fleet=self._fleet,
            kinds=[fields.text("kinds", kind) for kind in fields.several("kinds", kinds)],
            max_age=None if max_age is None else fields.duration("max_age", max_age),
            max_characters=fields.integer("max_characters", max_characters, most=2**31 - 1),
        )
        return answers.briefing_from(await self._calls.call("Briefing", request))

    async def hot(self, *, kind: str = "", limit: int = 0, max_age: float | timedelta | None = None) -> model.HotKeys:
        """Return the work keys for which most sessions were denied, hottest first; 1 to 100 of them, by default 10.

        Counts the present attempts, and those that ended at most ``max_age`` seconds ago, by default in the last hour.
        """
        request = pb.HotRequest(
            fleet=self._fleet,
            kind=fields.text("kind", kind),
            limit=fields.integer("limit", limit, most=100),
            max_age=None if max_age is None else fields.duration("max_age", max_age),
        )
        return answers.hot_from(await self._calls.call("Hot", request))

    def watch(self, *, start_revision: int = 0, kind: str = "", session: str = "") -> AsyncIterator[model.ClaimEvent]:
        """Yield what happens to claims, from ``start_revision`` on, or from now on; a denial once an attempt.

        When a coordinator fails, another is asked, and no event is skipped or repeated; raises ``Unavailable`` when
        none has answered for ``timeout``, ``HistoryGone`` where the store does not remember so far back, and
        ``LimitExceeded`` for a caller who reads too slowly.
        """
        request = pb.WatchRequest(
            fleet=self._fleet, kind=fields.text("kind", kind), session=fields.text("session", session)
        )
        return self._calls.watch(request, fields.integer("start_revision", start_revision))

    def _remember(self, session: str, typed: str, answer: object) -> None:
        if isinstance(answer, model.Claim):
            self._tokens.remember(session, typed, answer.work_key, answer.fencing_token)

    def _token(self, session: str, key: str, token: int | None) -> int:
        """Return the token that names the claim that is meant: the one given, else that of the claim held here."""
        return self._tokens.of(session, key) if token is None else fields.integer("token", token)

    async def reap(self, min_age: float | timedelta = 0.0) -> int:
        """Record claims that expired at least ``min_age`` seconds ago as abandoned; returns how many this call did."""
        request = pb.ReapRequest(fleet=self._fleet, min_age=fields.duration("min_age", min_age))
        return int((await self._calls.call("Reap", request)).reaped)

    async def status(self) -> model.Status:
        """Return the state of the coordinator, its store and the fleet; answers also when the store does not."""
        return answers.status_from(await self._calls.call("Status", pb.StatusRequest(fleet=self._fleet)))

    async def diagnose(self) -> Diagnosis:
        """Have the coordinator examine itself and its store; what is wrong with them is a finding, not an error."""
        return diagnosis_from(await self._calls.call("Diagnose", pb.DiagnoseRequest(fleet=self._fleet)))
