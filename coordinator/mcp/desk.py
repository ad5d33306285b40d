"""What one agent's session does at the coordinator: the tools, without the protocol in which they are called.

Invariants:
- Work that the session holds is never claimed a second time, by whichever of its agents: they share this server and the
  session's name. All claims go by ClaimNext, which passes over what the session holds. ``note`` renews.
- A call that was cancelled before its answer leaves no claim: it is withdrawn. So is one that is cancelled just as its
  answer is sent, as its agent does not read the answer then.
- A call whose outcome is unknown takes effect once, however often the agent repeats it (``Repeats``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from coordinator.client import AsyncClient
from coordinator.clock import boot_seconds
from coordinator.errors import CoordinatorError, InternalError, InvalidInput, OutcomeUnknown, Refused
from coordinator.mcp.answer_text import (
    answer_briefing,
    answer_claim,
    answer_denial,
    answer_details,
    answer_finish,
    answer_note,
    answer_submit,
)
from coordinator.mcp.arguments import (
    BriefingArguments,
    ClaimArguments,
    FinishArguments,
    KeyArguments,
    NoteArguments,
    SubmitArguments,
)
from coordinator.mcp.kept_claims import Keeping
from coordinator.mcp.repeats import Repeats
from coordinator.mcp.results import BriefingAnswer, ClaimAnswer, FinishAnswer, LookAnswer, NoteAnswer, SubmitAnswer
from coordinator.model import Denial, SimilarTopic

__all__ = ["LONGEST_CALL_SECONDS", "Desk"]

#: How long one call of a coordinator may take, so that no tool, which makes two at most, waits longer than 45 s.
LONGEST_CALL_SECONDS = 20.0
#: How long a briefing is, in characters: about 850 tokens (cl100k_base) where work keys and notes fill it.
_BRIEFING_CHARACTERS = 2_400
#: How long a withdrawal may take, and for how long after its answer a claim is withdrawn if its call is cancelled, in
#: seconds. How many such claims are remembered.
_WITHDRAWING_SECONDS, _CANCELLABLE_SECONDS, _MOST_ANSWERED = 1.5, 30.0, 100


class _Answered(NamedTuple):
    """A claim that was answered: the id of its request, its work key, and when."""

    request_id: str
    work_key: str
    at: float


class Desk:
    """Acts for one session.

    ``client`` has a timeout of at most ``LONGEST_CALL_SECONDS``. ``repository`` is that of the checkout, "" for none,
    and ``ttl`` how long claims last without a renewal, in seconds. ``last_hook`` says when a hook of the agent came, as
    a reading of ``boot_seconds``, 0 where none did.
    """

    def __init__(
        self,
        client: AsyncClient,
        session: str,
        repository: str,
        ttl: float,
        last_hook: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._client = client
        self.session = session
        self._repository = repository
        self._ttl = ttl
        self._repeats = Repeats(ttl)
        self._answered: OrderedDict[Hashable, _Answered] = OrderedDict()
        self._withdrawals: set[asyncio.Task[bool]] = set()
        # A hold ends with its block; what is kept here has none.
        self.keeping = Keeping(client._means().keeper, last_hook)  # noqa: SLF001  # of this package, and only for it

    async def briefing(self, arguments: BriefingArguments) -> tuple[str, BriefingAnswer]:
        """Sum up what the session holds, what is taken, what was left unfinished and what was finished lately."""
        repository = None if arguments.everywhere else self._repository
        found = await self._client.briefing(
            session=self.session, repository=repository, max_characters=_BRIEFING_CHARACTERS
        )
        return answer_briefing(found)

    async def claim(self, arguments: ClaimArguments, call: Hashable = None) -> tuple[str, ClaimAnswer]:
        """Claim the first of several work keys that is free, or the best of the pool.

        ``call`` names the call, in case it is cancelled.
        """
        keys = arguments.keys if "keys" in arguments.model_fields_set else None
        if keys is not None and not keys:
            raise InvalidInput(
                "no work key is named",
                field="keys",
                hint=f"leave keys out for the pool, or name the work to choose from: {ClaimArguments.example}",
            )
        asked = ("claim", None if keys is None else tuple(keys), arguments.note, tuple(arguments.distinct_from))
        request_id = self._repeats.take(asked)
        try:
            with self._remembered(asked, request_id):
                answer = await self._client.try_claim_next(
                    self.session,
                    keys,
                    self._ttl,
                    note=arguments.note,
                    wait=arguments.wait_seconds or None,
                    distinct_from=arguments.distinct_from,
                    request_id=request_id,
                )
        except asyncio.CancelledError:
            self._withdraw(request_id)
            raise
        if isinstance(answer, Denial):
            return answer_denial(answer, keys or ())
        self.keeping.keep(answer)
        self._answered[call] = _Answered(request_id, answer.work_key, boot_seconds())
        if len(self._answered) > _MOST_ANSWERED:
            self._answered.popitem(last=False)
        return answer_claim(answer)

    def cancelled(self, call: Hashable) -> None:
        """Withdraw the claim of a call that was cancelled as it was answered."""
        answered = self._answered.pop(call, None)
        if answered is not None and boot_seconds() - answered.at < _CANCELLABLE_SECONDS:
            self.keeping.drop(answered.work_key)
            self._withdraw(answered.request_id)

    async def note(self, arguments: NoteArguments) -> tuple[str, NoteAnswer]:
        """Renew a claim, with a note if there is one."""
        asked = ("note", arguments.key, arguments.note)
        request_id = self._repeats.take(asked)
        with self._about(arguments.key), self._remembered(asked, request_id, cancelled=True):
            token = await self._token_to_take_over(arguments.key)
            claim = await self._client.renew(
                self.session, arguments.key, note=arguments.note or None, token=token, request_id=request_id
            )
        self._was_read(claim.work_key)
        self.keeping.keep(claim)
        return answer_note(claim)

    async def finish(self, arguments: FinishArguments) -> tuple[str, FinishAnswer]:
        """Complete work, or release it."""
        completes = arguments.outcome == "completed"
        needed, text = ("result", arguments.result) if completes else ("reason", arguments.reason)
        if not text.strip():
            raise InvalidInput(
                f"finish: outcome {arguments.outcome} needs a {needed}",
                field=needed,
                hint="say what came of it, for example a link" if completes else "say why, and what is left to do",
            )
        asked = ("finish", arguments.key, arguments.outcome, text)
        request_id = self._repeats.take(asked)
        with self._about(arguments.key), self._remembered(asked, request_id, cancelled=True):
            if completes:
                record = await self._client.complete(self.session, arguments.key, result=text, request_id=request_id)
            else:
                failed = arguments.outcome == "failed"
                record = await self._client.release(
                    self.session, arguments.key, reason=text, failed=failed, request_id=request_id
                )
        self._was_read(record.work_key)
        self.keeping.drop(record.work_key)
        return answer_finish(record)

    async def submit(self, arguments: SubmitArguments) -> tuple[str, SubmitAnswer]:
        """Put work into the pool, or change what was submitted of it."""
        priority = arguments.priority if arguments.given("priority") else None
        depends = tuple(arguments.depends) if arguments.given("depends") else None
        asked = ("submit", arguments.key, arguments.brief, priority, depends)
        request_id = self._repeats.take(asked)
        with self._remembered(asked, request_id, cancelled=True):
            submission = await self._client.submit(
                self.session,
                arguments.key,
                priority=priority,
                brief=arguments.brief or None,
                depends=depends,
                request_id=request_id,
            )
        return answer_submit(submission)

    async def look(self, arguments: KeyArguments) -> tuple[str, LookAnswer]:
        """Say how work stands."""
        details = await self._client.get(arguments.key)
        if details.claim is None or details.claim.session != self.session:
            self.keeping.drop(details.record.work_key)
        similar: Sequence[SimilarTopic] = ()
        with suppress(CoordinatorError):  # how the work stands is the answer, with or without
            similar = await self._client.find_similar(arguments.key)
        return answer_details(details, self.session, similar)

    async def close(self) -> None:
        """Renew nothing any more, and finish the withdrawals; what is held ends at its deadline."""
        self.keeping.stop()
        if self._withdrawals:
            await asyncio.wait(self._withdrawals, timeout=_WITHDRAWING_SECONDS)
        await self._client.aclose()

    async def _token_to_take_over(self, typed: str) -> int | None:
        """Return the token of a claim of the session that was not made here, None for one that was.

        One that was made here and is lost is not taken for a later one of the same session.
        """
        if self.keeping.knows(typed):
            return None
        claim = (await self._client.get(typed)).claim
        return claim.fencing_token if claim is not None and claim.session == self.session else None

    def _was_read(self, work_key: str) -> None:
        """Take note that the agent has read that a claim was granted: its call cannot be cancelled any more."""
        for call in [call for call, answered in self._answered.items() if answered.work_key == work_key]:
            del self._answered[call]

    def _withdraw(self, request_id: str) -> None:
        """Withdraw a claim in the background: who asked for it does not wait any more."""
        withdraw = self._client._withdraw  # noqa: SLF001  # of this package, and only for it
        task = asyncio.ensure_future(withdraw(self.session, "", request_id, self._ttl, _WITHDRAWING_SECONDS))
        self._withdrawals.add(task)
        task.add_done_callback(self._withdrawals.discard)

    @contextmanager
    def _remembered(self, asked: Hashable, request_id: str, *, cancelled: bool = False) -> Iterator[None]:
        """Keep the id of a request of which it is not known whether it takes effect."""
        try:
            yield
        except (OutcomeUnknown, InternalError):
            self._repeats.keep(asked, request_id)
            raise
        except asyncio.CancelledError:
            if cancelled:
                self._repeats.keep(asked, request_id)
            raise

    @contextmanager
    def _about(self, typed: str) -> Iterator[None]:
        """Renew a claim no more whose end the agent learns from a refusal."""
        try:
            yield
        except Refused:
            self.keeping.drop(self.keeping.find(typed))
            raise


def failure_of(error: BaseException) -> CoordinatorError:
    """Return the error that stands for an unexpected one, whose text may be about anything."""
    return InternalError(f"the tool failed because of an internal error: {type(error).__name__}")
