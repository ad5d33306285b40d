"""Runs requests of the model's kind against a real etcd: one after the other, interleaved as given, or all at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.details import get
from coordinator.engine.finish import FinishCommand, complete, release
from coordinator.engine.layout import ROOT, WorkPaths
from coordinator.engine.reap import reap
from coordinator.engine.renew import RenewCommand, renew
from coordinator.engine.revoke import RevokeCommand, revoke
from coordinator.engine.steps import Operation
from coordinator.engine.transaction import Delete, Range, Txn, end_of_prefix
from coordinator.engine.withdrawal import WithdrawCommand, withdraw
from coordinator.errors import Contended, NotHolder, Refused
from coordinator.model import Claim, Denial, DenialReason, Outcome, Record, WorkDetails
from coordinator.recorder import EndedAttempt, NullRecorder
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.codec import decode_txn, encode_txn
from coordinator.store.etcd.methods import Method, Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.property.history_store import Disagreement, Stored, read_fleet
from tests.property.history_words import (
    Answer,
    Asked,
    Before,
    Claiming,
    Completing,
    Denied,
    Details,
    Ending,
    Event,
    Expiring,
    Getting,
    Grant,
    Granted,
    Reaping,
    Refusal,
    Releasing,
    Renewing,
    Request,
    Revoking,
    Shown,
    Withdrawing,
)

T = TypeVar("T")
REPLICAS = 2
_SECONDS = 20.0
#: LeaseRevokeRequest has the lease's id where LeaseTimeToLiveRequest has it, and its response is a bare header.
_LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc.PutResponse)


class Listener(NullRecorder):
    """Hears what the metrics hear."""

    def __init__(self) -> None:
        self.heard: Counter[Event] = Counter()

    def claim_answered(
        self,
        fleet: str,  # noqa: ARG002  # the recorder's
        kind: str,  # noqa: ARG002  # the recorder's
        outcome: Outcome,
        reason: DenialReason | None,  # noqa: ARG002  # the recorder's
    ) -> None:
        if outcome is Outcome.GRANTED:
            self.heard[Grant()] += 1

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        self.heard[Ending(attempt.ended, attempt.cause, attempt.late, attempt.contenders is not None)] += 1


class Turns:
    """Lets transactions through one at a time, in an order that is given: every race can be run again."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = list(order)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        self._running = 0

    async def wait(self, runner: int) -> None:
        """Wait until it is ``runner``'s turn."""
        turn = self._waiting[runner] = asyncio.get_running_loop().create_future()
        self._changed.set()
        await turn

    async def run(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Run them; whenever all that are left wait, the next in the order goes on."""
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        for task in tasks:
            task.add_done_callback(lambda _: self._changed.set())
        while left := sum(not task.done() for task in tasks):
            if len(self._waiting) < left:
                self._changed.clear()
                await self._changed.wait()
                continue
            waiting = sorted(self._waiting)
            chosen = waiting[(self._order.pop(0) if self._order else 0) % len(waiting)]
            self._waiting.pop(chosen).set_result(None)
        return [task.result() for task in tasks]


class _Gated(EtcdChannel):
    """A channel whose transactions wait for their turn."""

    def __init__(self, channel: EtcdChannel, turn: Callable[[], Awaitable[None]]) -> None:
        self._behind = channel
        self._turn = turn

    async def call(self, method: Method, request: Any, **more: Any) -> Any:
        await self._turn()
        return await self._behind.call(method, request, **more)


class World:
    """A real etcd, two replicas' lease pools, an event loop to run them on, and a clock that is set by hand."""

    def __init__(self, endpoint: str) -> None:
        self.tally: Counter[str] = Counter()
        self.listener = Listener()
        self.disagreements: list[Disagreement] = []
        self.now = datetime(2026, 6, 14, 2, 0, tzinfo=UTC)
        self._loop = asyncio.new_event_loop()
        self._channel = self._loop.run_until_complete(self._open(endpoint))
        self._pools = [LeasePool(self._channel, wall=lambda: self.now) for _ in range(REPLICAS)]
        self._runners = [self._runner(self._channel, pool) for pool in self._pools]

    def _runner(self, channel: EtcdChannel, pool: LeasePool) -> Runner:
        return Runner(channel, pool, self.listener, clock=lambda: self.now)

    @staticmethod
    async def _open(endpoint: str) -> EtcdChannel:
        return EtcdChannel([endpoint])

    def close(self) -> None:
        """Let go of etcd."""
        self._loop.run_until_complete(self._channel.close())
        self._loop.close()

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += timedelta(milliseconds=milliseconds)

    def ask(self, operation: Callable[[], Operation[T]], replica: int = 0) -> T:
        """Run one of the engine's operations."""
        running = self._runners[replica].run(operation, deadline=time.monotonic() + _SECONDS)
        return self._loop.run_until_complete(running)

    def at_once(self, paths: WorkPaths, requests: Sequence[Asked], starts: Sequence[int]) -> list[Any]:
        """Run requests, each at a replica, at the same time; return what each returned or raised.

        ``starts`` says how many turns of the loop each waits before it begins.
        """
        return self._loop.run_until_complete(self._at_once(paths, requests, starts))

    def interleaved(self, paths: WorkPaths, requests: Sequence[Asked], order: Sequence[int]) -> list[Any]:
        """The same, but transaction by transaction in an order that is given."""
        return self._loop.run_until_complete(self._interleaved(paths, requests, order))

    async def _at_once(self, paths: WorkPaths, requests: Sequence[Asked], starts: Sequence[int]) -> list[Any]:
        async def begin(asked: Asked, start: int) -> Any:
            for _ in range(start):
                await asyncio.sleep(0)
            return await self._one(paths, asked, self._runners[asked.replica], self._channel)

        answers = await asyncio.gather(*(begin(*pair) for pair in zip(requests, starts, strict=False)))
        await self._settled()
        return answers

    async def _interleaved(self, paths: WorkPaths, requests: Sequence[Asked], order: Sequence[int]) -> list[Any]:
        turns = Turns(order)
        running = []
        for number, asked in enumerate(requests):
            # Each with a runner of its own, as if all came to different replicas: nothing travels together.
            gated = _Gated(self._channel, partial(turns.wait, number))
            running.append(self._one(paths, asked, self._runner(gated, self._pools[asked.replica]), gated))
        return await turns.run(running)

    def operations_interleaved(self, operations: Sequence[Callable[[], Operation[T]]], order: Sequence[int]) -> list[T]:
        """Run operations at the same time, transaction by transaction in an order that is given."""
        turns, deadline = Turns(order), time.monotonic() + _SECONDS
        running = [
            self._runner(_Gated(self._channel, partial(turns.wait, number)), self._pools[number % REPLICAS]).run(
                operation, deadline=deadline
            )
            for number, operation in enumerate(operations)
        ]
        return self._loop.run_until_complete(turns.run(running))

    async def _settled(self) -> None:
        """Wait for what the runners do after they have answered."""
        for runner in self._runners:
            while runner._trailing._tasks:
                await asyncio.gather(*runner._trailing._tasks)

    async def _one(self, paths: WorkPaths, asked: Asked, runner: Runner, channel: EtcdChannel) -> Any:
        deadline = time.monotonic() + _SECONDS
        if isinstance(asked.request, Expiring):
            txn = Txn((), (Delete(paths.claim),))
            await channel.call(Methods.TXN, encode_txn(txn), deadline=deadline)
            return None
        try:
            return await runner.run(lambda: _operation(asked.request, paths, asked.now), deadline=deadline)
        except (Refused, Contended) as refused:
            return refused

    def revoke_lease(self, lease: int) -> None:
        """End a lease and all claims bound to it, as its expiry does."""
        request = rpc.LeaseTimeToLiveRequest(id=lease)
        deadline = time.monotonic() + _SECONDS
        self._loop.run_until_complete(self._channel.call(_LEASE_REVOKE, request, deadline=deadline))

    def read(self, fleet: str) -> dict[str, Stored]:
        """Read everything that a fleet has in etcd."""
        prefix = f"{ROOT}{fleet}/".encode()
        txn = Txn((), (Range(prefix, end_of_prefix(prefix)),))
        deadline = time.monotonic() + _SECONDS
        response = self._loop.run_until_complete(self._channel.call(Methods.TXN, encode_txn(txn), deadline=deadline))
        return read_fleet(fleet, decode_txn(response).range(0).kvs)


def _operation(request: Request, paths: WorkPaths, now: datetime) -> Operation[Any]:
    match request:
        case Claiming(session, request_id, instance, token, ttl, note, reopen):
            return claim(
                ClaimCommand(
                    session=session,
                    request_id=request_id,
                    now=now,
                    ttl_seconds=ttl,
                    note=note,
                    reopen=reopen,
                    instance=instance,
                    token=token,
                ),
                paths,
            )
        case Renewing(session, instance, token, ttl, note):
            command = RenewCommand(session, now, ttl_seconds=ttl, note=note, instance=instance, token=token)
            return renew(command, paths)
        case Completing(session, request_id, token, text):
            return complete(FinishCommand(session, request_id, now, text=text, token=token), paths)
        case Releasing(session, request_id, token, text):
            return release(FinishCommand(session, request_id, now, text=text, token=token), paths)
        case Withdrawing(session, request_id, token):
            return withdraw(WithdrawCommand(session, request_id, now, token=token), paths)
        case Revoking(request_id, text):
            return revoke(RevokeCommand(request_id, now, reason=text), paths)
        case Reaping(min_age):
            return reap(paths, now, min_age)
        case Getting():
            return get(paths)
        case Expiring():
            raise ValueError("expiry is etcd's")


def in_words(answer: object) -> Answer:
    """Put what the engine has answered into the model's words."""
    match answer:
        case Claim():
            return _granted(answer)
        case Denial():
            return Denied(answer.reason, answer.holder, answer.own_session, answer.completed_by, answer.completed_at)
        case Record():
            return show_record(answer)
        case Refused() | Contended():
            # Which of its sorts it is (ClaimLost) the tests of exit codes say.
            return Refusal(NotHolder if isinstance(answer, NotHolder) else type(answer), answer.holder)
        case WorkDetails():
            return Details(
                record=show_record(answer.record),
                holder=answer.claim.session if answer.claim else None,
                contenders=frozenset(answer.contenders),
                history=tuple((end.attempt, end.session, end.ended, end.cause, end.late) for end in answer.history),
            )
        case bool() | None:
            return answer
        case _:
            raise TypeError(f"{answer!r} is no answer")


def _granted(claim: Claim) -> Granted:
    found = claim.previous
    before = None
    if found is not None:
        before = Before(found.attempt, found.session, found.cause, found.reason or "", found.note or "", found.ended_at)
    return Granted(
        claim.outcome, claim.session, claim.attempt, claim.note or "", claim.ttl_seconds, claim.claimed_at, before
    )


def show_record(record: Record) -> Shown:
    return Shown(
        state=record.state,
        session=record.session,
        attempt=record.attempt,
        cause=record.cause,
        reason=record.reason or "",
        result=record.result or "",
        note=record.note or "",
        claimed_at=record.claimed_at,
        ended_at=record.ended_at,
        late=record.late,
    )


def token_reported(answer: object) -> tuple[int, int] | None:
    """The attempt and the fencing token in an answer, if it has them."""
    if isinstance(answer, WorkDetails):
        answer = answer.record
    if isinstance(answer, Claim | Record) and answer.attempt is not None and answer.fencing_token is not None:
        return answer.attempt, answer.fencing_token
    return None
