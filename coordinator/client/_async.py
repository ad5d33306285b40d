"""The asynchronous client. The synchronous one, ``_sync.py``, is generated from this file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Self

from coordinator import model
from coordinator.client import _answers as answers
from coordinator.client import _fields as fields
from coordinator.client import _fleet_answers as fleet_answers
from coordinator.client._async_block_end import AsyncMeans
from coordinator.client._async_calls import AsyncCalls
from coordinator.client._async_hold import AsyncHold, renew_together
from coordinator.client._async_results import AsyncResults, in_pages
from coordinator.client._fencing_tokens import Tokens
from coordinator.client._forks import PerProcess
from coordinator.client._ids import new_id
from coordinator.client._keepers import AsyncKeeper
from coordinator.client._security import AnyPath
from coordinator.client._settings import Protection, settings_from
from coordinator.client._watch_position import Position
from coordinator.clock import boot_seconds
from coordinator.errors import ClaimDenied, CoordinatorError, InvalidInput
from coordinator.limits import DEFAULT_HOLD_SECONDS, MAX_PAGE_SIZE, SUBMITTED_AT_ONCE
from coordinator.process.invented_session import invented_session
from coordinator.repository import FindRepository, in_repository, read_repository
from coordinator.v1 import service_pb2 as pb
from coordinator.wire import policy_from

if TYPE_CHECKING:
    from coordinator.diagnosis.findings import Diagnosis


class _Own(NamedTuple):
    """What a client has in one process."""

    calls: AsyncCalls
    tokens: Tokens
    instance: str
    keeper: AsyncKeeper


class AsyncClient:
    """Claims work from a coordinator.

    The client uses the endpoint that answered last. When that fails, or is silent for a quarter of ``timeout`` (at
    most a second), it tries another. It connects again to an endpoint that is available again.

    A claim that was granted here is renewed, completed and released by its fencing token, unless ``token`` names
    another. In a forked process a client is another instance, whatever ``instance`` says, and has its own
    connections; it does not hold the claims of its parent. Clients cannot be copied or pickled.

    >>> async def work(endpoint):
    ...     async with AsyncClient(endpoint) as client:
    ...         claim = await client.claim("session-7f8b", "task:db-migration", ttl=60)
    ...         record = await client.complete("session-7f8b", "task:db-migration", token=claim.fencing_token)
    ...         return record.state
    >>> run(work(endpoint))
    <State.COMPLETED: 'completed'>

    Arguments that are not given are read from the environment when the client is made, as on the command line:
    COORDINATION_ENDPOINT (by default 127.0.0.1:7420), _FLEET (``default``), _TIMEOUT (5 seconds), _TLS, _CA, _CERT,
    _CERT_KEY, _TOKEN_FILE and _REPO. An argument overrides its variable. An empty path means none, and ``tls=False``
    means no TLS, whatever the environment says.

    Args:
        endpoints: ``"HOST:PORT"`` or ``"unix:/PATH"``, several with commas, or a sequence of them.
        fleet: The fleet whose claims are meant.
        timeout: How long a call may take, in seconds, above 0, at most 366 days.
        instance: Distinguishes this client from others that run under the same session name, at most 128 bytes. By
            default it is random, so that two processes of one session do not both believe they hold a claim. With an
            empty one, the session's name alone says who holds a claim.
        tls: Whether to use TLS, and to trust the authorities that this host trusts.
        ca: A file of the authorities to trust instead (PEM).
        cert: A file of a certificate to show (PEM); needs ``key``.
        key: The file of its key (PEM).
        token_file: A file with the token that says who this client is. The token is sent over TLS or to this host
            itself, and the file is read again when its token is refused.
        bearer_token: The token itself, instead of ``token_file``.
        repo: The repository that work keys like ``#7`` and ``web#7`` mean: ``owner/name``, a kind and a path like
            ``gitlab:group/project``, or an address. Or a function that returns one of these, or "" for none: it is
            called when a key first needs it.

    Raises:
        InvalidInput: Raised by every method, and when the client is made, for an argument that is never valid.
        Unavailable: Raised by every method: no coordinator or no store answers.
        OutcomeUnknown: No answer came within ``timeout``, and the request may have taken effect. Repeat it with the
            ``request_id`` of the error.
        Contended: Others kept changing the same work key; nothing was changed.
        LimitExceeded: A limit is reached: of calls, of claims, of bytes written, or of the store's space.
        NotPermitted: The coordinator asks for credentials, and this client shows none that allow the call.

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
        repo: str | FindRepository | None = None,
    ) -> None:
        protection = Protection(tls, ca, cert, key, token_file, bearer_token)
        settings = settings_from(endpoints, fleet, timeout, protection, repo)
        names, security, seconds = settings.endpoints, settings.security, settings.timeout
        self._fleet = settings.fleet
        self._repository = settings.repository
        given = None if instance is None else fields.text("instance", instance)

        def own(parents: _Own | None) -> _Own:
            closed = parents is not None and parents.calls.closed
            name = given if given is not None and (parents is None or not given) else new_id()
            calls = AsyncCalls(names, security, timeout=seconds, closed=closed)
            return _Own(calls, Tokens(), name, AsyncKeeper(partial(renew_together, calls, settings.fleet)))

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
        """Close the connections. Claims are not released, but what ``hold`` holds is no longer renewed, and is lost.

        Calls of a closed client raise ``InvalidInput``.
        """
        own = self._process.mine
        own.keeper.stop()
        try:
            await own.keeper.settle()
        finally:
            await own.calls.aclose()
            await own.keeper.join()

    async def claim(
        self,
        session: str,
        key: str,
        ttl: float | timedelta | None = None,
        *,
        note: str = "",
        reopen: bool = False,
        token: int | None = None,
        repeat_after: float | timedelta | None = None,
        wait: float | timedelta | None = None,
        distinct_from: Iterable[str] = (),
        request_id: str | None = None,
    ) -> model.Claim:
        """Claim a work key.

        Claiming what this client holds already renews it: same fencing token, never a shorter deadline.

        Args:
            session: The session that is to work, 1 to 128 characters.
            key: The unit of work, at most 512 bytes: ``kind:identity``, a GitHub reference or a URL.
            ttl: How long the claim lasts, in seconds, 5 s to 7 days; by default 60 minutes, for a renewal as before.
            note: Shown to sessions that are denied and to the next one that claims the work; at most 16 KiB.
            reopen: Claim the work even if it is completed.
            token: The fencing token of a claim that the session holds, to renew it from another client.
            repeat_after: Claim work that was completed before, if that is at least so long ago, in seconds or as a
                ``timedelta``, 1 s to 366 days; deny it otherwise. This overrides the policy; None applies the policy.
            wait: How long to wait for the work where it cannot be had at once, in seconds or as a ``timedelta``, up to
                7 days; None for not at all. The wait ends early where nothing can become free.
            distinct_from: Work keys of similar topics that this is not, at most 16. Kept, so that no session is asked
                about the two again.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it is granted once.

        Returns:
            The claim: how long it lasts, how the attempt before it ended, and which topics may be the same work.

        Raises:
            ClaimDenied: Another session, or another client of this one, holds the work, or it is completed; the error
                carries the ``Denial``.
            NotHolder: A request is repeated whose claim has ended since. After another session has claimed the work, a
                repeated request is a new one.
            LimitExceeded: New claims are not granted at the moment: the session or the fleet has as many as it may, or
                the store is nearly full.

        """
        answer = await self.try_claim(
            session,
            key,
            ttl,
            note=note,
            reopen=reopen,
            token=token,
            repeat_after=repeat_after,
            wait=wait,
            distinct_from=distinct_from,
            request_id=request_id,
        )
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
        repeat_after: float | timedelta | None = None,
        wait: float | timedelta | None = None,
        distinct_from: Iterable[str] = (),
        request_id: str | None = None,
    ) -> model.Claim | model.Denial:
        """Claim a work key like ``claim``, but return the denial instead of raising it.

        Args:
            session: As for ``claim``.
            key: As for ``claim``.
            ttl: As for ``claim``, in seconds.
            note: As for ``claim``.
            reopen: As for ``claim``.
            token: As for ``claim``.
            repeat_after: Claim work that was completed before, if that is at least so long ago, in seconds or as a
                ``timedelta``, 1 s to 366 days; deny it otherwise. This overrides the policy; None applies the policy.
            wait: As for ``claim``, in seconds.
            distinct_from: As for ``claim``.
            request_id: As for ``claim``.

        Returns:
            The claim, or the denial that says who holds or has completed the work.

        Raises:
            NotHolder: As for ``claim``.
            LimitExceeded: As for ``claim``.

        """
        return await self._claim_as(
            self._instance,
            fields.request_id(request_id),
            session,
            key,
            ttl,
            note,
            reopen,
            token,
            repeat_after,
            wait,
            distinct_from,
        )

    async def _claim_as(
        self,
        instance: str,
        request_id: str,
        session: str,
        key: str,
        ttl: float | timedelta | None,
        note: str,
        reopen: bool,
        token: int | None = None,
        repeat_after: float | timedelta | None = None,
        wait: float | timedelta | None = None,
        distinct_from: Iterable[str] = (),
    ) -> model.Claim | model.Denial:
        request = pb.ClaimRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=self._key(key),
            ttl=fields.duration("ttl", ttl),
            note=fields.text("note", note),
            reopen=fields.flag("reopen", reopen),
            request_id=request_id,
            instance=instance,
            fencing_token=fields.integer("token", token),
            repeat_after=fields.duration("repeat_after", repeat_after),
            distinct_from=self._distinct(distinct_from),
        )
        waited = await self._calls.call_waiting("Claim", request, fields.wait(wait))
        answer = answers.with_wait(answers.claim_answer(waited.response, sent_at=waited.sent_at), waited.seconds)
        self._remember(session, key, answer)
        return answer

    def hold(
        self,
        session: str | None,
        key: str,
        ttl: float | timedelta = DEFAULT_HOLD_SECONDS,
        *,
        note: str = "",
        reopen: bool = False,
        wait: float | timedelta | None = None,
    ) -> AsyncHold:
        """Hold a work key while a block runs: claim it, renew the claim, and end it with the block.

        The claim is renewed at a third of its TTL, by one task for all that a client holds. When the block ends, the
        work is completed, with ``held.result`` as its result; an exception releases it instead, with its type and
        message, which other sessions can read, as the reason. Nothing stops the block when the claim is lost: before
        each step that must not be done twice, check ``held.lost``.

        A second hold of the same work key is denied, also one of the same client and session. In a process that was
        forked inside the block ``held.lost`` is set, and the claim stays the parent's.

        >>> async def report(endpoint):
        ...     async with AsyncClient(endpoint) as client:
        ...         async with client.hold("session-7f8b", "task:nightly-report", ttl=600) as held:
        ...             if not held.lost.is_set():
        ...                 held.result = f"written as attempt {held.claim.attempt}"
        ...         return (await client.get("task:nightly-report")).record.result
        >>> run(report(endpoint))
        'written as attempt 1'

        Args:
            session: Who works; None invents a name, ``host-pid-random``.
            key: The unit of work.
            ttl: How long the claim lasts if nothing renews it any more, in seconds, 5 s to 7 days.
            note: Shown to sessions that are denied, and to the next one that claims the work.
            reopen: Claim it although it is completed.
            wait: How long to wait for the work when the block is to begin, in seconds; None for not at all.

        Returns:
            A context manager, which is entered once. Its value has ``claim``, ``deadline``, ``remaining()``, ``lost``,
            an event, and ``result``, which may be set.

        Raises:
            ClaimDenied: When the block is to begin: another session, or another hold, has the work, or it is finished.
            ClaimLost: When the block has ended: the claim was lost before.
            NotHolder: When the block has ended: it has completed or released the work itself.
            TryAgain: When the block is to begin, nothing is held then; or when it has ended and no coordinator has
                answered for half a minute: repeat the completion with the ``request_id`` of the error.

        """
        session = invented_session() if session is None else fields.session(session)
        key, note, reopen = self._key(key), fields.text("note", note), fields.flag("reopen", reopen)
        seconds = fields.wait(wait)

        async def ask(instance: str, request_id: str) -> model.Claim | model.Denial:
            return await self._claim_as(instance, request_id, session, key, ttl, note, reopen, wait=seconds)

        return AsyncHold(self._means, ask, session, key, fields.duration("ttl", ttl))

    def hold_next(
        self,
        session: str | None,
        candidates: Iterable[str] | None = None,
        ttl: float | timedelta = DEFAULT_HOLD_SECONDS,
        *,
        kind: str | None = None,
        note: str = "",
        wait: float | timedelta | None = None,
    ) -> AsyncHold:
        """Hold the first of several work keys that is free while a block runs, or the best of the pool.

        ``held.claim`` says which one it is, and its ``brief`` what is to be done. An exception of the block is a failed
        attempt: what fails three times, or as often as its policy allows, is no longer handed out by the pool. An
        interrupt or a cancellation is none.

        Args:
            session: Who works; None invents a name, ``host-pid-random``.
            candidates: The work keys to choose from, the most wanted first, as for ``claim_next``; None stands for the
                pool.
            ttl: As for ``hold``, in seconds.
            kind: From the pool, only work of this kind.
            note: As for ``hold``.
            wait: How long to wait for one of them when the block is to begin, in seconds; None for not at all.

        Returns:
            A context manager, as that of ``hold``.

        Raises:
            ClaimDenied: When the block is to begin: no candidate was free.
            ClaimLost: As for ``hold``, and so are all other errors.

        """
        session = invented_session() if session is None else fields.session(session)
        keys, kind = self._candidates(candidates, about_pool=kind is not None), fields.only("kind", kind)
        note, seconds = fields.text("note", note), fields.wait(wait)

        async def ask(instance: str, request_id: str) -> model.Claim | model.Denial:
            return await self._claim_next_as(instance, request_id, session, keys, ttl, note, wait=seconds, kind=kind)

        # A ClaimNext is withdrawn by its request id alone.
        return AsyncHold(self._means, ask, session, "", fields.duration("ttl", ttl))

    async def _withdraw(self, session: str, key: str, request_id: str, ttl: float, within: float) -> bool:
        """Withdraw a claim whose outcome is unknown, for ``coordination run``; return whether nothing of it is left."""
        calls, lasting = self._process.mine.calls, fields.duration("ttl", ttl)
        return await calls.withdraw_claim(self._fleet, session, key, request_id, lasting, within=within)

    def _means(self) -> AsyncMeans:
        own = self._process.mine
        return AsyncMeans(own.calls, own.keeper, own.tokens, self._fleet)

    async def claim_many(
        self,
        session: str,
        keys: Iterable[str],
        ttl: float | timedelta | None = None,
        *,
        note: str = "",
        reopen: bool = False,
        distinct_from: Iterable[str] = (),
        request_id: str | None = None,
    ) -> Sequence[model.Claim | model.Denial | CoordinatorError]:
        """Claim several work keys, each for itself.

        They travel in one request, or in several where their notes are long.

        Args:
            session: The session that is to work.
            keys: 1 to 500 work keys.
            ttl: How long each claim lasts, in seconds, 5 s to 7 days; by default 60 minutes.
            note: A note for each of them.
            reopen: Claim also what is completed.
            distinct_from: Work keys of similar topics that none of them is, at most 16.
            request_id: Names the request; made up by default. A repeated call must name the same keys in the same
                order.

        Returns:
            One answer for each key, in their order: the claim, the denial, or the error that ``try_claim`` would raise.
            The others are claimed all the same.

        Raises:
            InvalidInput: There are no keys, or more than 500, or one of them is no text.

        """
        base, session = fields.request_id(request_id), fields.session(session)
        distinct = self._distinct(distinct_from)
        items = [
            pb.ClaimItem(
                work_key=self._key(key),
                ttl=fields.duration("ttl", ttl),
                note=fields.text("note", note),
                reopen=fields.flag("reopen", reopen),
                request_id=f"{base}.{number}",
                distinct_from=distinct,
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

    async def submit(
        self,
        session: str,
        key: str,
        *,
        priority: int | None = None,
        brief: str | None = None,
        depends: Iterable[str] | None = None,
        withdraw: bool = False,
        reopen: bool = False,
        request_id: str | None = None,
    ) -> model.Submission:
        """Put work into the pool, change what was submitted of it, or take it out.

        Args:
            session: The session that submits it.
            key: The unit of work, as for ``claim``.
            priority: Work of higher priority is handed out first, -1,000,000 to 1,000,000; by default 0, or as before.
            brief: What is to be done, at most 16 KiB; the session that is given the work gets it.
            depends: The work that must be completed before this is handed out, at most 32 work keys.
            withdraw: Take it out of the pool. A session that holds it keeps it.
            reopen: Put it back if it is completed or has failed; as an operator.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request.

        Returns:
            What became of it, and which dependencies nothing is known of.

        Raises:
            Refused: The work is completed, or it would wait for itself through what it depends on.
            NotFound: It is to be withdrawn, and is not in the pool.

        """
        named = None if depends is None else tuple(fields.several("depends", depends))
        work = model.NewWork(key, priority, brief, named, withdraw=withdraw, reopen=reopen)
        (outcome,) = await self._submit(session, [work], fields.request_id(request_id), "")
        if isinstance(outcome, CoordinatorError):
            raise outcome
        return outcome

    async def submit_many(
        self, session: str, work: Iterable[model.NewWork], *, request_id: str | None = None
    ) -> list[model.Submission | CoordinatorError]:
        """Submit several pieces of work, each for itself.

        Args:
            session: The session that submits them.
            work: What is to be submitted; of two that are the same work the later one counts.
            request_id: Names the request; made up by default. A repeated call must have the same work in the same
                order.

        Returns:
            For each what became of it, or the error that ``submit`` would raise.

        """
        return await self._submit(session, list(fields.several("work", work)), fields.request_id(request_id), ".")

    async def _submit(
        self, session: str, work: Sequence[model.NewWork], base: str, numbered: str
    ) -> list[model.Submission | CoordinatorError]:
        session = fields.session(session)
        items = [
            fields.new_work(each, self._key, f"{base}{numbered}{number}" if numbered else base)
            for number, each in enumerate(work)
        ]
        found: list[model.Submission | CoordinatorError] = []
        for start in range(0, len(items), SUBMITTED_AT_ONCE):
            for part in fields.parts(items[start : start + SUBMITTED_AT_ONCE]):
                request = pb.SubmitRequest(fleet=self._fleet, session=session, items=part)
                found += answers.submissions(await self._calls.call("Submit", request, request_id=base))
        return found

    async def import_work(
        self, work: Iterable[model.ForeignWork], *, dry_run: bool = False
    ) -> list[model.Imported | CoordinatorError]:
        """Take over what another tool knows of several pieces of work, each for itself; for operators.

        Args:
            work: What it knows, a piece of work each.
            dry_run: Change nothing, and return what would become of it. Two that are the same work here are both
                returned as imported.

        Returns:
            For each what became of it, or why it was refused. Work of which anything is known here stays as it is, so
            that the call may be repeated.

        """
        items = [fields.foreign_work(each, self._key) for each in fields.several("work", work)]
        found: list[model.Imported | CoordinatorError] = []
        for start in range(0, len(items), SUBMITTED_AT_ONCE):
            for part in fields.parts(items[start : start + SUBMITTED_AT_ONCE]):
                request = pb.ImportRequest(fleet=self._fleet, items=part, dry_run=fields.flag("dry_run", dry_run))
                found += answers.imported(await self._calls.call("Import", request))
        return found

    async def claim_next(
        self,
        session: str,
        candidates: Iterable[str] | None = None,
        ttl: float | timedelta | None = None,
        *,
        kind: str | None = None,
        note: str = "",
        repeat_after: float | timedelta | None = None,
        wait: float | timedelta | None = None,
        distinct_from: Iterable[str] = (),
        request_id: str | None = None,
    ) -> model.Claim:
        """Claim the first of several work keys that is free, or the best of the pool, in one call.

        Args:
            session: The session that is to hold it.
            candidates: The work keys to choose from, the most wanted first, at most 1,000. A key that is on the list
                twice counts once. For an empty list the answer is a denial. None stands for the pool: what was
                submitted, the highest priority first, once all that it depends on is completed.
            ttl: How long, in seconds or as a ``timedelta``: 5 s to 7 days, by default 60 minutes.
            kind: From the pool, only work of this kind.
            note: Shown to sessions that are denied, and to the next one that claims the work.
            repeat_after: Claim work that was completed before, if that is at least so long ago, in seconds or as a
                ``timedelta``, 1 s to 366 days; deny it otherwise. This overrides the policy; None applies the policy.
            wait: How long to wait for the work where it cannot be had at once, in seconds or as a ``timedelta``, up to
                7 days; None for not at all. The wait ends early where nothing can become free.
            distinct_from: Work keys of similar topics that none of the candidates is, at most 16.
            request_id: Made up where none is given. Give that of an ``OutcomeUnknown`` to repeat the request: it is
                granted once, whichever coordinators it reaches.

        Returns:
            The claim. ``claim.work_key`` says of what; ``claim.choice`` which candidates were passed over, and why.

        Raises:
            ClaimDenied: No candidate was free. ``error.denial.choice`` says whether some are held or all are finished.

        A candidate is free if no session holds it and it is not completed. What the session holds already is passed
        over. No session is denied while a candidate was free at every moment of the call.

        """
        answer = await self.try_claim_next(
            session,
            candidates,
            ttl,
            kind=kind,
            note=note,
            repeat_after=repeat_after,
            wait=wait,
            distinct_from=distinct_from,
            request_id=request_id,
        )
        if isinstance(answer, model.Denial):
            raise ClaimDenied(answer)
        return answer

    async def try_claim_next(
        self,
        session: str,
        candidates: Iterable[str] | None = None,
        ttl: float | timedelta | None = None,
        *,
        kind: str | None = None,
        note: str = "",
        repeat_after: float | timedelta | None = None,
        explain: bool = False,
        wait: float | timedelta | None = None,
        distinct_from: Iterable[str] = (),
        request_id: str | None = None,
    ) -> model.Claim | model.Denial:
        """Claim one of several work keys like ``claim_next``, but return the denial instead of raising it.

        Args:
            session: The session that is to hold it.
            candidates: The work keys to choose from, the most wanted first, at most 1,000; None stands for the pool.
            ttl: How long, in seconds or as a ``timedelta``: 5 s to 7 days, by default 60 minutes.
            kind: From the pool, only work of this kind.
            note: Shown to sessions that are denied, and to the next one that claims the work.
            repeat_after: Claim work that was completed before, if that is at least so long ago, in seconds or as a
                ``timedelta``, 1 s to 366 days; deny it otherwise. This overrides the policy; None applies the policy.
            explain: From the pool: claim nothing. The denial's ``work_key`` is what would be granted, "" if nothing.
            wait: As for ``claim_next``, in seconds.
            distinct_from: As for ``claim_next``.
            request_id: As for ``claim_next``.

        Returns:
            The claim, or a denial whose ``choice`` says why no candidate was free.

        """
        return await self._claim_next_as(
            self._instance,
            fields.request_id(request_id),
            session,
            self._candidates(candidates, about_pool=kind is not None or explain),
            ttl,
            note,
            repeat_after,
            wait,
            kind=fields.only("kind", kind),
            explain=fields.flag("explain", explain),
            distinct_from=distinct_from,
        )

    def _candidates(self, candidates: Iterable[str] | None, *, about_pool: bool) -> Sequence[str] | None:
        """Return the work to choose from, None for the pool; ``about_pool``: something is said of the pool."""
        if candidates is None:
            return None
        keys = [in_repository(key, self._repository) for key in fields.candidates(candidates)]
        if about_pool:
            raise InvalidInput("kind and explain are about the pool, and candidates are named", field="candidates")
        return keys

    async def _claim_next_as(
        self,
        instance: str,
        request_id: str,
        session: str,
        candidates: Sequence[str] | None,
        ttl: float | timedelta | None,
        note: str,
        repeat_after: float | timedelta | None = None,
        wait: float | timedelta | None = None,
        *,
        kind: str = "",
        explain: bool = False,
        distinct_from: Iterable[str] = (),
    ) -> model.Claim | model.Denial:
        request = pb.ClaimNextRequest(
            fleet=self._fleet,
            session=fields.session(session),
            candidates=candidates,
            from_pool=candidates is None,
            kind=kind,
            explain=explain,
            ttl=fields.duration("ttl", ttl),
            note=fields.text("note", note),
            request_id=request_id,
            instance=instance,
            repeat_after=fields.duration("repeat_after", repeat_after),
            distinct_from=self._distinct(distinct_from),
        )
        if candidates is not None and not candidates:
            return model.NOTHING_LISTED
        waited = await self._calls.call_waiting("ClaimNext", request, fields.wait(wait))
        answer = answers.with_wait(answers.next_answer(waited.response, sent_at=waited.sent_at), waited.seconds)
        self._remember(session, answer.typed_key or answer.work_key, answer)
        return answer

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
        """Give a claim more time, leave a note on it, or both. The deadline never moves back.

        Args:
            session: The session that holds the claim.
            key: The work key, at most 512 bytes.
            ttl: How long from now, in seconds, 5 s to 7 days; by default as long as before.
            note: Replaces the note, at most 16 KiB; by default it stays.
            token: The fencing token of the claim; by default that of the claim that this client was granted. 0 means
                whichever claim the session holds.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it takes effect once.

        Returns:
            The claim, with its new deadline.

        Raises:
            NotHolder: The session does not hold the work key, or not by that token.
            NotFound: The work key has never been claimed.

        """
        request = pb.RenewRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=self._key(key),
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

        Also accepted after the claim has expired, as long as no session has claimed the work since; the record is then
        ``late``.

        Args:
            session: The session that holds the claim.
            key: The work key, at most 512 bytes.
            result: What came of it, at most 16 KiB.
            token: The fencing token of the claim; by default that of the claim that this client was granted. 0 means
                whichever claim the session holds.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it takes effect once.

        Returns:
            The record of the completed work.

        Raises:
            NotHolder: Another session holds the work key, or has finished it.
            NotFound: The work key has never been claimed.

        """
        request = pb.CompleteRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=self._key(key),
            result=fields.text("result", result),
            request_id=fields.request_id(request_id),
            fencing_token=self._token(session, key, token),
        )
        record = answers.record_from((await self._calls.call("Complete", request)).record)
        self._tokens.forget(session, record.work_key)
        return record

    async def release(
        self,
        session: str,
        key: str,
        *,
        reason: str = "",
        failed: bool = False,
        token: int | None = None,
        request_id: str | None = None,
    ) -> model.Record:
        """Release unfinished work; it can be claimed again at once. On the command line this is ``work-abandon``.

        Work of the pool is handed out again a little later, and not to this session.

        Args:
            session: The session that holds the claim.
            key: The work key, at most 512 bytes.
            reason: Shown to the next session that claims the work, at most 16 KiB.
            failed: The attempt has failed. Work of the pool that has failed as often as its policy allows, by default
                three times, is not handed out any more.
            token: The fencing token of the claim; by default that of the claim that this client was granted. 0 means
                whichever claim the session holds.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it takes effect once.

        Returns:
            The record: ``abandoned``, or ``completed`` again where finished work had been reopened.

        Raises:
            NotHolder: The session does not hold the work key, or not by that token.
            NotFound: The work key has never been claimed.

        """
        request = pb.ReleaseRequest(
            fleet=self._fleet,
            session=fields.session(session),
            work_key=self._key(key),
            reason=fields.text("reason", reason),
            failed=fields.flag("failed", failed),
            request_id=fields.request_id(request_id),
            fencing_token=self._token(session, key, token),
        )
        record = answers.record_from((await self._calls.call("Release", request)).record)
        self._tokens.forget(session, record.work_key)
        return record

    async def revoke(
        self, key: str, *, reason: str = "", at_once: bool = False, request_id: str | None = None
    ) -> model.Record:
        """Take a claim away from its holder, as an operator.

        The claim can be renewed no more, and ends when its holder, which learns that, releases it, at its deadline at
        the latest. So the work of ``coordination run`` has ended before another session is granted it.

        Args:
            key: The work key, at most 512 bytes.
            reason: Shown to the next session that claims the work, at most 16 KiB.
            at_once: End the claim at once, whatever its holder still does.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it takes effect once.

        Returns:
            The record, with the session that held the claim; it is still ``claimed`` until the claim ends.

        Raises:
            NotHolder: No claim is live, or the one that was to be revoked has ended.

        """
        request = pb.RevokeRequest(
            fleet=self._fleet,
            work_key=self._key(key),
            reason=fields.text("reason", reason),
            request_id=fields.request_id(request_id),
            at_once=fields.flag("at_once", at_once),
        )
        return answers.record_from((await self._calls.call("Revoke", request)).record)

    async def reopen(self, key: str, *, reason: str = "", request_id: str | None = None) -> model.Record:
        """Put work back that was completed by mistake, as an operator. On the command line this is ``work-reopen``.

        Args:
            key: The work key, at most 512 bytes.
            reason: Shown to the next session that claims the work, at most 16 KiB.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request: it takes effect once.

        Returns:
            The record: ``abandoned``, cause ``revoked``, with session, note and result of who had completed it.

        Raises:
            NotHolder: A session holds the work.
            NotFound: The work key has never been claimed.
            Refused: The work is not completed.

        """
        request = pb.ReopenRequest(
            fleet=self._fleet,
            work_key=self._key(key),
            reason=fields.text("reason", reason),
            request_id=fields.request_id(request_id),
        )
        return answers.record_from((await self._calls.call("Reopen", request)).record)

    async def set_policy(
        self,
        pattern: str,
        *,
        repeat: model.Repeat | str | float | timedelta | None = None,
        max_live: int | None = None,
        max_attempts: int | None = None,
        loose_ends: bool | None = None,
        similar: model.Similar | str | None = None,
        request_id: str | None = None,
    ) -> model.Policy:
        """Set what a kind of work, or all work below a prefix of work keys, means; as an operator.

        Of all policies that match a work key, the longest pattern that sets a field counts. What is not given stays as
        it is. In force at every replica within 5 s.

        Args:
            pattern: A kind, or a prefix of work keys that ends where one of their segments does: ``github:gptme/gptme``
                matches ``github:gptme/gptme#7``, and not ``github:gptme/gptme-contrib#1``.
            repeat: Whether finished work may be claimed again: ``never``, ``always``, or how long after its completion,
                in seconds or as a ``timedelta``, 1 s to 366 days.
            max_live: How many claims of this work may be live at a time, 0 to 1,000,000; 0 pauses it.
            max_attempts: How many attempts may fail before the work is not handed out any more, 1 to 1,000.
            loose_ends: Whether abandoned attempts are loose ends.
            similar: Whether a claim looks for the same work under another name: ``off``, ``tell`` or ``ask``.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request.

        Returns:
            The policy of that pattern, as it is set now.

        Raises:
            LimitExceeded: The fleet has 1,000 policies.

        """
        policy = fields.policy(pattern, repeat, max_live, max_attempts, loose_ends, similar)
        request = pb.SetPolicyRequest(fleet=self._fleet, policy=policy, request_id=fields.request_id(request_id))
        return policy_from((await self._calls.call("SetPolicy", request)).policy)

    async def list_policies(self) -> model.PolicyList:
        """Return the policies of the fleet.

        Returns:
            The built-in ones, then those that were set, by pattern; and the defaults for all other work.

        """
        response = await self._calls.call("ListPolicies", pb.ListPoliciesRequest(fleet=self._fleet))
        return model.PolicyList(tuple(map(policy_from, response.policies)), policy_from(response.defaults))

    async def unset_policy(self, pattern: str, *, request_id: str | None = None) -> bool:
        """Unset all that was set for a pattern, as an operator. Built-in policies stay.

        Args:
            pattern: The pattern, as for ``set_policy``.
            request_id: Names the request, as for ``set_policy``.

        Returns:
            Whether anything was set for it.

        """
        request = pb.UnsetPolicyRequest(
            fleet=self._fleet, pattern=fields.text("pattern", pattern), request_id=fields.request_id(request_id)
        )
        return bool((await self._calls.call("UnsetPolicy", request)).removed)

    async def acknowledge(self, key: str, *, reason: str = "", request_id: str | None = None) -> model.Record:
        """Mark abandoned work as seen, so that it is no loose end any more. On the command line this is ``work-ack``.

        The work can be claimed as before.

        Args:
            key: The work key, at most 512 bytes.
            reason: Why no action is needed, at most 16 KiB.
            request_id: Names the request, at most 128 bytes; made up by default. Give that of an ``OutcomeUnknown`` to
                repeat the request.

        Returns:
            The record. If it had been acknowledged before, it has the reason that was given then.

        Raises:
            NotFound: The work key has never been claimed.
            Refused: The work is not abandoned.

        """
        request = pb.AcknowledgeRequest(
            fleet=self._fleet,
            work_key=self._key(key),
            reason=fields.text("reason", reason),
            request_id=fields.request_id(request_id),
        )
        return answers.record_from((await self._calls.call("Acknowledge", request)).record)

    async def get(self, key: str) -> model.WorkDetails:
        """Return all that is known of a work key.

        Args:
            key: The work key, at most 512 bytes.

        Returns:
            Its record, live claim, contenders and history. The record of a work key never seen is ``available``.

        """
        request = pb.GetRequest(fleet=self._fleet, work_key=self._key(key))
        return answers.work_details_from(await self._calls.call("Get", request))

    async def find_similar(self, key: str) -> Sequence[model.SimilarTopic]:
        """Return the topics that may be the same work as a work key under another name, without claiming it.

        Args:
            key: The work key, at most 512 bytes. It need not have been claimed.

        Returns:
            The most similar first, at most five: live, finished and abandoned topics of the last 30 days. Those that a
            session has said to be distinct from it are left out.

        Raises:
            Unavailable: Similar topics cannot be looked for at the moment.

        """
        request = pb.FindSimilarRequest(fleet=self._fleet, work_key=self._key(key))
        return answers.similar_topics((await self._calls.call("FindSimilar", request)).similar)

    async def list_page(
        self,
        *,
        states: Iterable[model.State | str] = (),
        kind: str | None = None,
        session: str | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> model.RecordPage:
        """Return one page of records, in the order of their work keys.

        Args:
            states: Only records in one of these states: claimed, completed or abandoned; by default all.
            kind: Only work of this kind; None means all.
            session: Only work that this session holds or was the last to hold; None means that of all.
            page_size: How many records, 1 to 1,000; 0, the default, means 100. A page of long records has fewer.
            page_token: Where to continue: the ``next_page_token`` of the page before.

        Returns:
            The page. Its ``next_page_token`` is None if no records follow.

        """
        request = pb.ListRequest(
            fleet=self._fleet,
            states=fields.states(states),
            kind=fields.only("kind", kind),
            session=fields.only("session", session),
            page_size=fields.integer("page_size", page_size, most=MAX_PAGE_SIZE),
            page_token=fields.text("page_token", page_token),
        )
        return answers.record_page(await self._calls.call("List", request))

    def list(
        self,
        *,
        states: Iterable[model.State | str] = (),
        kind: str | None = None,
        session: str | None = None,
    ) -> AsyncIterator[model.Record]:
        """Yield the records that match, in the order of their work keys, fetching pages as they are needed.

        Args:
            states: As for ``list_page``.
            kind: As for ``list_page``.
            session: As for ``list_page``.

        Returns:
            An iterator over records. It raises when a page cannot be fetched, and then goes on where it was if it is
            asked for the next record again.

        """
        wanted = tuple(fields.several("states", states))

        async def page(token: str) -> tuple[Sequence[model.Record], str | None]:
            found = await self.list_page(
                states=wanted, kind=kind, session=session, page_size=MAX_PAGE_SIZE, page_token=token
            )
            return found.records, found.next_page_token

        return in_pages(page)

    async def pool_page(
        self,
        *,
        states: Iterable[model.PoolStanding | str] = (),
        kind: str | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> model.PoolPage:
        """Return one page of what is in the pool, in the order in which it is handed out, and then of what has failed.

        Args:
            states: Only work that stands so: available, held, blocked, returned or failed; by default all.
            kind: Only work of this kind; None means all.
            page_size: How many pieces of work, 1 to 1,000; 0, the default, means 100.
            page_token: Where to continue: the ``next_page_token`` of the page before.

        Returns:
            The page. Its ``counts`` are of all work of this kind; its ``next_page_token`` is None if none follows.

        """
        request = pb.ListPoolRequest(
            fleet=self._fleet,
            states=fields.standings(states),
            kind=fields.only("kind", kind),
            page_size=fields.integer("page_size", page_size, most=MAX_PAGE_SIZE),
            page_token=fields.text("page_token", page_token),
        )
        return fleet_answers.pool_page_from(await self._calls.call("ListPool", request))

    def pool(
        self, *, states: Iterable[model.PoolStanding | str] = (), kind: str | None = None
    ) -> AsyncIterator[model.PoolEntry]:
        """Yield what is in the pool, in the order in which it is handed out, and then what has failed.

        Args:
            states: As for ``pool_page``.
            kind: As for ``pool_page``.

        Returns:
            An iterator over pieces of work. It raises when a page cannot be fetched, and then goes on where it was if
            it is asked for the next one again.

        """
        wanted = tuple(fields.several("states", states))

        async def page(token: str) -> tuple[Sequence[model.PoolEntry], str | None]:
            found = await self.pool_page(states=wanted, kind=kind, page_size=MAX_PAGE_SIZE, page_token=token)
            return found.entries, found.next_page_token

        return in_pages(page)

    async def log_page(
        self, session: str | None = None, *, since: datetime | None = None, page_size: int = 0, page_token: str = ""
    ) -> model.LogPage:
        """Return one page of the ended attempts of a session, or of all sessions, latest first.

        Args:
            session: Whose attempts; None, the default, means those of all.
            since: Only those that ended at or after this time, which must have a time zone; by default all.
            page_size: How many attempts, 1 to 1,000; 0, the default, means 100.
            page_token: Where to continue: the ``next_page_token`` of the page before.

        Returns:
            The page. Its ``next_page_token`` is None if no attempts follow.

        """
        request = pb.LogRequest(
            fleet=self._fleet,
            session=fields.only("session", session),
            since=fields.moment("since", since),
            page_size=fields.integer("page_size", page_size, most=MAX_PAGE_SIZE),
            page_token=fields.text("page_token", page_token),
        )
        return answers.log_page(await self._calls.call("Log", request))

    def log(self, session: str | None = None, *, since: datetime | None = None) -> AsyncIterator[model.LogEntry]:
        """Yield the ended attempts of a session, or of all sessions, latest first, fetching pages as they are needed.

        Args:
            session: Whose attempts; None, the default, means those of all.
            since: Only those that ended at or after this time, which must have a time zone; by default all.

        Returns:
            An iterator over attempts. It raises when a page cannot be fetched, and then goes on where it was if it is
            asked for the next attempt again.

        """

        async def page(token: str) -> tuple[Sequence[model.LogEntry], str | None]:
            found = await self.log_page(session, since=since, page_size=MAX_PAGE_SIZE, page_token=token)
            return found.entries, found.next_page_token

        return in_pages(page)

    async def briefing(
        self,
        *,
        kinds: Iterable[str] = (),
        max_age: float | timedelta | None = None,
        max_characters: int = 0,
        session: str | None = None,
        repository: str | None = None,
    ) -> model.Briefing:
        """Sum up what a session holds, what is taken, what was left unfinished and what was finished recently.

        Args:
            kinds: Only work of these kinds, at most 16; by default all.
            max_age: How far back finished work counts, in seconds, at most 366 days; by default 24 hours.
            max_characters: How long the Markdown may be, 500 to 100,000; 0, the default, means 3,000.
            session: Who asks: its claims come first, of whatever kind and repository. By default no session.
            repository: Leave out work of other repositories, as ``repo`` of the client names one; work that belongs to
                no repository is listed. By default work of all.

        Returns:
            The briefing: claims, loose ends and finished work, how many of each are left out, and Markdown.

        """
        request = pb.BriefingRequest(
            fleet=self._fleet,
            kinds=[fields.only("kinds", kind) for kind in fields.several("kinds", kinds)],
            max_age=None if max_age is None else fields.duration("max_age", max_age),
            max_characters=fields.integer("max_characters", max_characters, most=2**31 - 1),
            session=fields.only("session", session),
            repository=read_repository(fields.text("repository", repository or "")),
        )
        return fleet_answers.briefing_from(await self._calls.call("Briefing", request), request.session)

    async def hot(
        self, *, kind: str | None = None, limit: int = 0, max_age: float | timedelta | None = None
    ) -> model.HotKeys:
        """Return the work keys for which most sessions were denied, hottest first.

        Args:
            kind: Only work of this kind; None means all.
            limit: How many work keys, 1 to 100; 0, the default, means 10.
            max_age: How far back ended attempts count, in seconds, at most 366 days; by default one hour. The present
                ones always count.

        Returns:
            The work keys. ``complete`` is false if there was more to look at than one call looks at.

        """
        request = pb.HotRequest(
            fleet=self._fleet,
            kind=fields.only("kind", kind),
            limit=fields.integer("limit", limit, most=100),
            max_age=None if max_age is None else fields.duration("max_age", max_age),
        )
        return fleet_answers.hot_from(await self._calls.call("Hot", request))

    def watch(
        self, *, start_revision: int = 0, kind: str | None = None, session: str | None = None
    ) -> AsyncIterator[model.ClaimEvent]:
        """Yield what happens to claims. A denied session is reported once for each attempt.

        When a coordinator fails, another is asked, and no event is skipped or repeated.

        Args:
            start_revision: Begin with the events of this revision of the store; 0, the default, means from now on.
            kind: Only work of this kind; None means all.
            session: Only events of this session: its claims and its denials; None means those of all.

        Returns:
            An endless iterator over events. After an error or a timeout it goes on where it was if it is asked for the
            next event again. ``aclose`` ends it.

        Raises:
            Unavailable: No coordinator has answered for ``timeout``.
            HistoryGone: The store does not remember so far back.
            LimitExceeded: The caller reads too slowly, or there are too many watches.

        """
        request = pb.WatchRequest(
            fleet=self._fleet, kind=fields.only("kind", kind), session=fields.only("session", session)
        )
        position = Position(fields.integer("start_revision", start_revision))
        return AsyncResults(lambda: self._calls.watch(request, position))

    def _remember(self, session: str, typed: str, answer: object) -> None:
        if isinstance(answer, model.Claim):
            self._tokens.remember(session, typed, answer.work_key, answer.fencing_token)

    def _key(self, key: str) -> str:
        """Return a work key to send, with the repository that it leaves out."""
        return in_repository(fields.text("work_key", key), self._repository)

    def _distinct(self, keys: Iterable[str]) -> Sequence[str]:
        """Return the work keys to send of topics that work is distinct from."""
        named = fields.distinct_from(keys)
        return [in_repository(key, self._repository) for key in named]

    def _token(self, session: str, key: str, token: int | None) -> int:
        """Return the token that names the claim that is meant: the one given, else that of the claim held here."""
        return self._tokens.of(session, key) if token is None else fields.integer("token", token)

    async def reap(self, min_age: float | timedelta = 0.0) -> int:
        """Record expired claims as abandoned.

        Args:
            min_age: Only claims that expired at least so long ago, in seconds, 0 or more.

        Returns:
            How many claims this call has recorded.

        """
        request = pb.ReapRequest(fleet=self._fleet, min_age=fields.duration("min_age", min_age))
        return int((await self._calls.call("Reap", request)).reaped)

    async def expired(self, min_age: float | timedelta = 0.0) -> Sequence[model.Record]:
        """Return what ``reap`` would record now, without recording it.

        Args:
            min_age: Only claims that expired at least so long ago, in seconds, 0 or more.

        Returns:
            The records as they would be, in the order of their work keys; at most 1,000.

        """
        request = pb.ReapRequest(fleet=self._fleet, min_age=fields.duration("min_age", min_age), dry_run=True)
        return answers.records_from((await self._calls.call("Reap", request)).expired)

    async def list_fleets(self) -> model.FleetList:
        """Return the fleets that have anything stored, by name, as far as the caller's credential grants them.

        Returns:
            The fleets. ``complete`` is false if there were more than one call looks at.

        """
        request = pb.ListFleetsRequest(fleet=self._fleet)
        return fleet_answers.fleets_from(await self._calls.call("ListFleets", request))

    async def status(self, *, progress: bool = False) -> model.Status:
        """Return the state of the coordinator, its store and the fleet.

        Args:
            progress: Whether to look how the fleet progresses too, which takes some reads more.

        Returns:
            The status. It comes also when the store does not answer, and is then not ``healthy``.

        """
        request = pb.StatusRequest(fleet=self._fleet, progress=fields.flag("progress", progress))
        return fleet_answers.status_from(await self._calls.call("Status", request))

    async def diagnose(self) -> Diagnosis:
        """Have the coordinator examine itself and its store.

        Returns:
            The findings. What is wrong with the coordinator or its store is a finding, not an error.

        """
        from coordinator.client._diagnosis import diagnosis_from

        return diagnosis_from(await self._calls.call("Diagnose", pb.DiagnoseRequest(fleet=self._fleet)))
