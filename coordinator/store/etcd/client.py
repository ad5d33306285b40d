"""Calls to etcd, at whichever of its members answers.

Invariant: a request whose outcome is unknown is sent again, byte for byte the same, until etcd gives a definite answer
or the caller's deadline passes. The comparisons in it let it apply once. It is never concluded from a read that a
request was not applied: one that hangs at a stopped leader can be committed after a linearizable read through the new
leader has shown it absent.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, cast

import grpc
import grpc.aio

from coordinator.errors import CoordinatorError, LimitExceeded, OutcomeUnknown, Unavailable
from coordinator.net.channels import Failure
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.auth import NEEDS_LEADER, EtcdLogin, Metadata
from coordinator.store.etcd.errors import AnswerTooLarge, Judgement, RevisionGone, Verdict, judge, silence
from coordinator.store.etcd.members import PROBE_SECONDS, Member, Members
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.lineage import Lineage

__all__ = ["EtcdChannel", "Method", "Methods"]

#: How long one try may take, in seconds, at a member that goes on answering others meanwhile. etcd's own limit for a
#: request is 5 s plus the election timeout.
TRY_SECONDS = 2.0
#: Pauses between tries, in seconds, doubling from the first to the second figure.
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25
#: How many new tokens one call may ask for.
LOGINS = 3
#: How many reads of a transaction are done in one instead of each in a call of its own: so many at least, as it costs
#: etcd a write to its log; and no more than etcd takes (``--max-txn-ops`` is 128 by default).
_FEWEST_TOGETHER, _MOST_TOGETHER = 8, 120
#: How often a read at one revision is begun because that was compacted meanwhile.
READ_STARTS = 3
#: A key that is never there, among those that the coordinator's user must be allowed to read.
PROBE_KEY = b"/coordination-meta/v1/probe"


class EtcdChannel:
    """Sends requests to whichever member answers. ``endpoints`` are ``HOST:PORT`` each, the preferred one first.

    ``lineage`` says whether what answers is still the same store.
    """

    def __init__(self, endpoints: Sequence[str], access: EtcdAccess | None = None) -> None:
        access = access or EtcdAccess()
        self.endpoints = tuple(endpoints)
        self._credentials = EtcdLogin(access, self._authenticate)
        members = [Member(endpoint, access.open_channel(endpoint)) for endpoint in self.endpoints]
        self._members = Members(members, self._probe)
        self.lineage = Lineage()

    async def close(self) -> None:
        """Close the connections."""
        await self._credentials.close()
        await self._members.close()

    async def call(
        self, method: Method, request: Any, *, deadline: float, doubted: Callable[[], None] | None = None
    ) -> Any:
        """Send ``request`` until it is answered or ``deadline``, a reading of ``time.monotonic()``, has passed.

        Raises ``OutcomeUnknown`` if it may have taken effect, ``Unavailable`` if it certainly has not,
        ``LimitExceeded`` when etcd is full or overloaded, ``LeaseGone`` and ``LeaseExists``. ``doubted`` is called when
        it may have taken effect unseen and is sent again.
        """
        if method is Methods.TXN and _only_reads(request):
            return await self._read(request, deadline)
        in_doubt = False
        logins, pause = 0, FIRST_PAUSE_SECONDS
        problem: Exception | None = None
        begun = time.monotonic()
        while (now := time.monotonic()) < deadline and await self._members.wait_for_good(deadline):
            member, metadata = self._members.current, self._credentials.metadata
            known = self.lineage.known
            answer = await self._try(member, method, request, min(deadline - now, TRY_SECONDS))
            if not isinstance(answer, Judgement):
                if _is_linearizable(method, request):
                    self.lineage.see(known, answer.header)
                return answer
            verdict, problem = answer
            if verdict is Verdict.DEFINITE:
                raise problem from None
            in_doubt = in_doubt or (not method.reads and _may_have_applied(answer))
            if in_doubt and doubted is not None:
                doubted()
            logins += verdict is Verdict.NOT_KNOWN_TO_ETCD
            final = problem if logins > LOGINS else await self._mend(answer, member, metadata, deadline)
            if final is not None:
                problem = final
                break
            if isinstance(problem, LimitExceeded) and time.monotonic() + pause >= deadline:
                break  # a moment early, while the caller can still get the reason
            pause = await _rest(pause, deadline)
        if in_doubt:
            raise OutcomeUnknown(f"etcd gave no definite answer in time ({problem})") from None
        raise problem or self._never_sent(begun, deadline) from None

    def _never_sent(self, begun: float, deadline: float) -> Unavailable:
        if begun < deadline:
            return self.silence()
        return Unavailable(
            "no time was left of this call when etcd was to be asked",
            hint="nothing was changed; give it more time (--timeout), and see whether the coordinator's host is busy",
            retry_after_seconds=1.0,
        )

    def silence(self) -> Unavailable:
        """Return the error for what was not answered in time, with what is wrong with the members, if anything is."""
        return silence(self._members.problems)

    async def call_member(self, index: int, method: Method, request: Any, *, deadline: float) -> Any:
        """Ask one member, once, what only it knows; raises what ``call`` raises."""
        member = self._members[index]
        # How it is, a member can also say without a leader.
        metadata = tuple(pair for pair in self._credentials.metadata if pair != NEEDS_LEADER)
        try:
            return await member.unary(method)(
                request, timeout=max(0.001, deadline - time.monotonic()), metadata=metadata
            )
        except grpc.RpcError as error:
            raise judge(cast(Failure, error), call=method.path, member=member.endpoint).error from None

    async def download(self, method: Method, request: Any) -> AsyncIterator[Any]:
        """Yield the answers of the current member to one request, once; raises what ``call`` raises."""
        member = self._members.current
        try:
            async for answer in member.download(method)(request, metadata=self._credentials.metadata):
                yield answer
        except grpc.RpcError as error:
            raise judge(cast(Failure, error), call=method.path, member=member.endpoint).error from None

    def stream(self, method: Method, *, timeout: float | None = None) -> Any:
        """Open a bidirectional stream to the current member.

        What fails of it comes as ``grpc.RpcError``, which ``stream_failed`` wants to know.
        """
        return self._members.current.stream(method)(timeout=timeout, metadata=self._credentials.metadata)

    async def stream_failed(self, error: grpc.RpcError | None) -> None:
        """Take note that a stream ended with ``error``, or fell silent (None).

        Gets another token or turns to another member, as it demands. Returns when a stream may be opened again, or
        after two seconds in which that was not so.
        """
        metadata, member = self._credentials.metadata, self._members.current
        verdict, problem = Verdict.UNKNOWN, f"etcd at {member.endpoint} did not answer in time"
        if error is not None:
            verdict, judged = judge(cast(Failure, error), call="a stream", member=member.endpoint)
            problem = str(judged)
        deadline = time.monotonic() + TRY_SECONDS
        if verdict is Verdict.NOT_KNOWN_TO_ETCD:
            await self._log_in(metadata, deadline)
        elif verdict in (Verdict.NOT_APPLIED, Verdict.UNKNOWN):
            self._members.failed(member, problem)
        await self._members.wait_for_good(deadline)

    async def refresh_credentials(self) -> None:
        """Get another token; raises ``Unavailable`` where there is none to be had."""
        await self._credentials.renew(self._credentials.metadata, deadline=time.monotonic() + TRY_SECONDS)

    async def _try(self, member: Member, method: Method, request: Any, seconds: float) -> Any:
        """Send ``request`` to a member; return its answer, or the ``Judgement`` of why there is none."""
        call = member.unary(method)(request, timeout=seconds, metadata=self._credentials.metadata)
        member.under_way[call] = time.monotonic()
        self._members.look_out()
        try:
            return await call
        except grpc.RpcError as error:
            return judge(cast(Failure, error), call=method.path, member=member.endpoint)
        except asyncio.CancelledError:
            if call in member.under_way or cast(asyncio.Task[Any], asyncio.current_task()).cancelling():
                raise
            return Judgement(Verdict.GIVEN_UP, silence((f"etcd at {member.endpoint} did not answer in time",)))
        finally:
            member.under_way.pop(call, None)

    async def _mend(
        self, judgement: Judgement, member: Member, metadata: Metadata, deadline: float
    ) -> Exception | None:
        """Do what a failed try demands before the next one; return why there is to be none, if so."""
        verdict, problem = judgement
        if verdict is Verdict.REFUSED:
            return problem
        if verdict is Verdict.NOT_KNOWN_TO_ETCD:
            return await self._log_in(metadata, deadline)
        if verdict is not Verdict.GIVEN_UP and not isinstance(problem, LimitExceeded):
            self._members.failed(member, str(problem))
        return None

    async def _probe(self, member: Member) -> int | str:
        """Have a member read linearizably; return the term of its leader, or why it cannot."""
        request = rpc.RangeRequest(key=PROBE_KEY, count_only=True)
        try:
            response = await member.unary(Methods.RANGE)(
                request, timeout=PROBE_SECONDS, metadata=self._credentials.metadata
            )
        except grpc.RpcError as error:
            verdict, problem = judge(cast(Failure, error), call=Methods.RANGE.path, member=member.endpoint)
            # Any other refusal comes from a member that works.
            return str(problem) if verdict in (Verdict.NOT_APPLIED, Verdict.UNKNOWN) else 0
        return int(response.header.raft_term)

    async def _log_in(self, stale: Metadata, deadline: float) -> CoordinatorError | None:
        """Get a token in place of one of no more use; return why there is none to be had."""
        try:
            await self._credentials.renew(stale, deadline=deadline)
        except CoordinatorError as error:
            return error
        return None

    async def _authenticate(self, user: str, password: str, deadline: float) -> str:
        request = rpc.AuthenticateRequest(name=user, password=password)
        return str((await self.call(Methods.AUTHENTICATE, request, deadline=deadline)).token)

    async def _read(self, request: rpc.TxnRequest, deadline: float) -> rpc.TxnResponse:
        """Read what a transaction would, at one revision."""
        if _FEWEST_TOGETHER <= len(request.success) <= _MOST_TOGETHER:
            # Without space, etcd (3.5.1) refuses all that might write.
            with contextlib.suppress(LimitExceeded):
                return await self._read_together(request, deadline)
        return await self._read_side_by_side(request, deadline)

    async def _read_together(self, request: rpc.TxnRequest, deadline: float) -> rpc.TxnResponse:
        """Read what a transaction would, in one that might also delete something.

        etcd before 3.5.5 panics when a transaction that only reads is cancelled or runs out of time: it answers that
        in the task of the call. What might write goes through raft, and is applied whatever becomes of the call.
        Nothing is deleted, and no revision is made, as the key that is compared is not there.
        """
        absent = rpc.Compare(key=PROBE_KEY, target=rpc.Compare.CREATE, create_revision=0)
        deletes = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=PROBE_KEY))
        guarded = rpc.TxnRequest(compare=[absent], success=request.success, failure=[deletes])
        while True:
            response: rpc.TxnResponse = await self.call(Methods.READ_TXN, guarded, deadline=deadline)
            if response.succeeded:
                return response

    async def _read_side_by_side(self, request: rpc.TxnRequest, deadline: float) -> rpc.TxnResponse:
        """Read what a transaction would, at one revision: that at which its first read is answered.

        Not by a transaction, for the reason above.
        """
        first, *others = (operation.request_range for operation in request.success)
        for start in range(1, READ_STARTS + 1):
            found = [await self.call(Methods.RANGE, first, deadline=deadline)]
            header = found[0].header
            for wanted in others:
                wanted.revision = header.revision
            try:
                found += await _all([self.call(Methods.RANGE, wanted, deadline=deadline) for wanted in others])
            except RevisionGone:
                # It was compacted in between.
                if start == READ_STARTS:
                    raise
            else:
                break
        responses = [rpc.ResponseOp(response_range=response) for response in found]
        return rpc.TxnResponse(header=header, succeeded=True, responses=responses)


async def _all(calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return what all the calls return, in order; when one fails the others are ended, and its error is raised."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _rest(pause: float, deadline: float) -> float:
    """Pause between two tries, and return the next pause."""
    jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
    await asyncio.sleep(max(0.0, min(jittered, deadline - time.monotonic())))
    return min(2 * pause, LONGEST_PAUSE_SECONDS)


def _may_have_applied(judgement: Judgement) -> bool:
    """Return whether a failed try of a change may have changed something, or may do so yet."""
    verdict, problem = judgement
    return verdict in (Verdict.UNKNOWN, Verdict.GIVEN_UP) or isinstance(problem, AnswerTooLarge)


def _is_linearizable(method: Method, request: Any) -> bool:
    """Return whether an answer is of the store as it is, and not as a member that lags behind has it."""
    return method in (Methods.TXN, Methods.READ_TXN) or (method is Methods.RANGE and not request.serializable)


def _only_reads(request: Any) -> bool:
    """Return whether a transaction does nothing but read."""
    if not isinstance(request, rpc.TxnRequest) or request.compare:
        return False
    return all(operation.WhichOneof("request") == "request_range" for operation in request.success)
