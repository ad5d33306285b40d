"""Counters (number 56): what took effect is counted once, also where etcd's reply is lost until its caller gave up."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator import AsyncClient, ClaimDenied, Denial, OutcomeUnknown, Unavailable, clock
from coordinator.engine.claim import claim
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.layout import FleetPaths
from coordinator.keys import WorkKey
from coordinator.model import DenialReason, Outcome, State
from coordinator.recorder import NullRecorder
from coordinator.server import Server
from coordinator.server_settings import ServerSettings
from coordinator.service import claim_counts
from coordinator.store.etcd.client import EtcdChannel
from coordinator.store.etcd.methods import Methods
from coordinator.store.etcdapi.v3 import rpc_pb2 as rpc
from coordinator.store.leases.pool import LeasePool
from coordinator.store.operation_driver import Runner
from tests.conftest import RunningEtcd
from tests.lossy_proxy import BREAK, SILENCE, losing_answers

TIMEOUT = 1.2


class Lossy:
    """A coordinator whose transactions' replies are lost while ``how`` says so, and its client."""

    def __init__(self, server: Server, client: AsyncClient, patient: AsyncClient) -> None:
        self.how: str | None = None
        #: Whether replies that say that nothing was written are lost, too.
        self.every_reply = False
        #: Whether no more than one reply is lost, so that what is sent again is answered.
        self.once = False
        self._server = server
        self.client = client
        #: The same with time to spare.
        self.patient = patient

    def choose(self, path: str, request: bytes, answer: bytes) -> str | None:
        if self.how is None or path != Methods.TXN.path or not _records(rpc.TxnRequest.FromString(request)):
            return None
        if self.once:
            how, self.how = self.how, None
            return how
        # From the first on that has written something: what is sent again is not answered either.
        self.every_reply = self.every_reply or _has_written(request, answer)
        return self.how if self.every_reply else None

    @contextlib.contextmanager
    def losing(self, how: str = SILENCE, *, every_reply: bool = False, once: bool = False) -> Iterator[None]:
        """Lose what is written, and what is sent again after that."""
        self.how, self.every_reply, self.once = how, every_reply, once
        yield
        self.how = None

    async def unknown(self, asking: Awaitable[Any]) -> str:
        """Await what ends without an answer; return the request's id."""
        with pytest.raises(OutcomeUnknown) as raised:
            await asking
        return raised.value.request_id or ""

    async def counts(self) -> Counter[str]:
        """How many grants, completions, abandonments and choices were counted."""
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(self._server.metrics_url).read().decode())  # noqa: S310
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "coordination_claims_total" and sample.labels["outcome"] == "granted":
                    found["granted"] += int(sample.value)
                elif sample.name == "coordination_completions_total":
                    found["completed"] += int(sample.value)
                elif sample.name == "coordination_placements_total":
                    found[f"place_{sample.labels['place']}"] += int(sample.value)
                elif sample.name == "coordination_skips_total":
                    found["skipped"] += int(sample.value)
                elif sample.name == "coordination_abandonments_total":
                    found[sample.labels["cause"]] += int(sample.value)
        return +found

    async def comes_to(self, **wanted: int) -> None:
        """Wait until so much is counted, and look that it stays so."""
        async with asyncio.timeout(30):
            while await self.counts() != Counter(wanted):  # noqa: ASYNC110  # counters have no event
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert await self.counts() == Counter(wanted)


def _has_written(request: bytes, answer: bytes) -> bool:
    """Return whether a transaction, or one of a batch, has written a record."""
    sent, reply = rpc.TxnRequest.FromString(request), rpc.TxnResponse.FromString(answer)
    done = [sent.success] if reply.succeeded else []
    for operation, response in zip(sent.success, reply.responses, strict=False):
        if operation.WhichOneof("request") == "request_txn" and response.response_txn.succeeded:
            done.append(operation.request_txn.success)
    return any(map(_puts_record, (operation for operations in done for operation in operations)))


def _records(request: rpc.TxnRequest) -> bool:
    """Return whether a transaction, or one of a batch, would write a record."""
    children = (operation.request_txn.success for operation in request.success)
    return any(map(_puts_record, (operation for each in (request.success, *children) for operation in each)))


def _puts_record(operation: rpc.RequestOp) -> bool:
    return b"/record/" in operation.request_put.key


@pytest.fixture
async def lossy(etcd: RunningEtcd, fleet: str) -> AsyncIterator[Lossy]:
    async with contextlib.AsyncExitStack() as stack:
        choices: list[Callable[[str, bytes, bytes], str | None]] = []
        proxy = await stack.enter_async_context(
            losing_answers(etcd.endpoint, lambda *call: choices[0](*call) if choices else None)
        )
        settings = ServerSettings(
            etcd=(proxy.endpoint,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None
        )
        server = Server(settings)
        await server.start()
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(AsyncClient(server.endpoint, fleet=fleet, timeout=TIMEOUT))
        patient = await stack.enter_async_context(AsyncClient(server.endpoint, fleet=fleet, timeout=30))
        found = Lossy(server, client, patient)
        choices.append(found.choose)
        yield found


@pytest.mark.long_but_for(SILENCE)
@pytest.mark.parametrize("how", [SILENCE, BREAK])
async def test_a_grant_is_counted_and_so_is_its_end(lossy: Lossy, how: str) -> None:
    with lossy.losing(how):
        request_id = await lossy.unknown(lossy.client.claim("s", "task:one"))
    await lossy.comes_to(granted=1)
    claim = await lossy.patient.claim("s", "task:one", request_id=request_id)
    assert claim.attempt == 1
    with lossy.losing(how):
        await lossy.unknown(lossy.client.complete("s", "task:one", token=claim.fencing_token))
    await lossy.comes_to(granted=1, completed=1)
    assert (await lossy.patient.get("task:one")).record.state is State.COMPLETED


async def test_a_repeated_request_that_is_answered_counts_nothing_more(lossy: Lossy) -> None:
    with lossy.losing():
        claimed = await lossy.unknown(lossy.client.claim("s", "task:one"))
    await lossy.patient.claim("s", "task:one", request_id=claimed)
    with lossy.losing():
        released = await lossy.unknown(lossy.client.release("s", "task:one"))
    await lossy.patient.release("s", "task:one", request_id=released)
    await lossy.comes_to(granted=1, released=1)


async def test_a_grant_that_has_ended_before_it_was_seen_is_counted(lossy: Lossy) -> None:
    """Where the claim has gone and the work was claimed again, the history shows."""
    with lossy.losing():
        request_id = await lossy.unknown(lossy.client.claim("s", "task:one"))
    claim = await lossy.patient.claim("s", "task:one", request_id=request_id)
    await lossy.patient.release("s", "task:one", token=claim.fencing_token)
    await lossy.patient.claim("t", "task:one")
    await lossy.comes_to(granted=2, released=1)


async def test_a_grant_counts_the_expiry_that_it_recorded(lossy: Lossy, etcdctl: Any, fleet: str) -> None:
    await lossy.patient.claim("gone", "task:one")
    etcdctl("del", f"/coordination/v1/{fleet}/claim/task:one")
    with lossy.losing():
        await lossy.unknown(lossy.client.claim("s", "task:one"))
    await lossy.comes_to(granted=2, expired=1)


Ending = Callable[[AsyncClient], Awaitable[Any]]
EXPIRIES: dict[str, Ending] = {
    "reap": lambda client: client.reap(),
    "acknowledge": lambda client: client.acknowledge("task:one", reason="seen"),
    "claim": lambda client: client.claim("s", "task:one"),
}


@pytest.mark.parametrize("ending", EXPIRIES)
async def test_an_expiry_is_counted_also_if_the_transaction_that_records_it_is_sent_again(
    lossy: Lossy, etcdctl: Any, fleet: str, ending: str
) -> None:
    await lossy.patient.claim("gone", "task:one")
    etcdctl("del", f"/coordination/v1/{fleet}/claim/task:one")
    with lossy.losing(BREAK, once=True):
        answer = await EXPIRIES[ending](lossy.patient)
        assert lossy.how is None
    if ending == "reap":
        assert answer == 1
    await lossy.comes_to(granted=1 + (ending == "claim"), expired=1)


async def test_the_expiry_of_a_reopened_attempt_is_counted_where_an_operator_puts_the_work_back(
    lossy: Lossy, etcdctl: Any, fleet: str
) -> None:
    await lossy.patient.claim("s", "task:one")
    await lossy.patient.complete("s", "task:one")
    await lossy.patient.claim("gone", "task:one", reopen=True)
    etcdctl("del", f"/coordination/v1/{fleet}/claim/task:one")
    with lossy.losing(BREAK, once=True):
        await lossy.patient.reopen("task:one", reason="wrong")
        assert lossy.how is None
    await lossy.comes_to(granted=2, completed=1, expired=1)


async def test_many_at_once_and_in_one_call_are_counted(lossy: Lossy) -> None:
    with lossy.losing():
        # On a busy machine the client may give up before the coordinator does.
        with contextlib.suppress(OutcomeUnknown):
            answers = await lossy.client.claim_many("s", [f"task:{number}" for number in range(40)])
            assert {type(answer) for answer in answers} == {OutcomeUnknown}
        singles = [f"task:single-{number}" for number in range(20)]
        ends = await asyncio.gather(*(lossy.client.claim("s", key) for key in singles), return_exceptions=True)
    # One that waited behind a batch without an answer was not sent at all, and gets that error.
    assert {OutcomeUnknown} <= {type(end) for end in ends} <= {OutcomeUnknown, Unavailable}
    claims = [claim async for claim in lossy.patient.list()]
    granted = {claim.work_key for claim in claims} - {f"task:{number}" for number in range(40)}
    assert len(claims) == 40 + len(granted)
    # On a busy machine there may be no time left to send one whose outcome is not known.
    assert granted
    assert granted <= {key for key, end in zip(singles, ends, strict=True) if isinstance(end, OutcomeUnknown)}
    await lossy.comes_to(granted=len(claims))


async def test_a_caller_who_hangs_up_leaves_nothing_uncounted(lossy: Lossy) -> None:
    with lossy.losing():
        asking = asyncio.ensure_future(lossy.client.claim("s", "task:one"))
        async with asyncio.timeout(10):
            while (await lossy.patient.get("task:one")).claim is None:  # noqa: ASYNC110  # etcd's reply is lost
                await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait([asking])
        await asyncio.sleep(TIMEOUT)
    await lossy.comes_to(granted=1)


@pytest.mark.long_but_for(SILENCE)
@pytest.mark.parametrize("how", [SILENCE, BREAK])
async def test_a_choice_is_counted_with_its_grant(lossy: Lossy, how: str) -> None:
    """By the try that was granted, though it was never answered; the one that repeats it counts nothing."""
    await lossy.patient.claim("holder", "task:one")
    candidates = ["task:one", "task:two"]
    # If there is time for it, a second try meets the claim.
    with lossy.losing(how), contextlib.suppress(OutcomeUnknown):
        await lossy.client.claim_next("s", candidates, request_id="r")
    await lossy.comes_to(granted=2, place_later=1, skipped=1)
    assert (await lossy.patient.claim_next("s", candidates, request_id="r")).work_key == "task:two"
    await lossy.patient.claim_next("t", ["task:three"])
    assert isinstance(await lossy.patient.try_claim_next("u", candidates), Denial)
    await lossy.comes_to(granted=3, place_first=1, place_later=1, place_none=1, skipped=3)


ASKING: dict[str, Callable[[AsyncClient, str, str], Awaitable[Any]]] = {
    "Claim": lambda client, session, key: client.claim(session, key),
    "ClaimNext": lambda client, session, key: client.claim_next(session, [key]),
}


@pytest.mark.parametrize("method", ASKING)
async def test_what_may_have_been_granted_takes_a_place_below_its_limit(
    lossy: Lossy, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Until the next listing shows whether it was."""
    monkeypatch.setattr(claim_counts, "_FRESH_SECONDS", 60.0)
    await lossy.patient.set_policy("task", max_live=1)
    # If there is time for it, a second try meets the claim: there is no place for another.
    with lossy.losing(), contextlib.suppress(OutcomeUnknown):
        await ASKING[method](lossy.client, "s", "task:one")
    with pytest.raises(ClaimDenied) as raised:
        await ASKING[method](lossy.patient, "t", "task:two")
    assert raised.value.denial.reason is DenialReason.LIMIT
    await lossy.patient.release("s", "task:one")
    await ASKING[method](lossy.patient, "t", "task:two")


class HangingUp(NullRecorder):
    """Counts grants, and cancels ``asking`` so many turns of the event loop after etcd has answered."""

    def __init__(self) -> None:
        self.grants = self.turns = 0
        self.asking: asyncio.Future[Any] | None = None

    def claim_answered(self, fleet: str, kind: str, outcome: Outcome, reason: DenialReason | None) -> None:  # noqa: ARG002  # the protocol has it
        self.grants += outcome is Outcome.GRANTED

    def transaction_done(self, seconds: float) -> None:  # noqa: ARG002  # likewise
        asyncio.get_running_loop().call_soon(self._turn, self.turns)

    def _turn(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._turn, turns - 1)
        elif self.asking is not None:
            self.asking.cancel()


async def test_many_whose_caller_hangs_up_just_as_etcd_answers_are_counted(
    etcd_channel: EtcdChannel, fleet: str
) -> None:
    paths, many, cut_off = FleetPaths(fleet), 64, 0
    for turns in range(5):
        recorder = HangingUp()
        recorder.turns = turns
        runner = Runner(etcd_channel, LeasePool(etcd_channel), recorder)
        claims = [
            partial(claim, ClaimCommand("s", "id", clock.now()), paths.of(WorkKey("task", f"{turns}-{number}")))
            for number in range(many)
        ]
        recorder.asking = asyncio.ensure_future(runner.run_many(claims, deadline=time.monotonic() + 30))
        await asyncio.wait([recorder.asking])
        cut_off += recorder.asking.cancelled()
        assert recorder.grants == many
    assert cut_off


async def test_what_did_not_take_effect_is_not_counted_and_not_done_later(lossy: Lossy) -> None:
    """The second try of it meets another's claim: what is looked for is never there."""
    await lossy.patient.claim("holder", "task:one")
    with lossy.losing(every_reply=True):
        await lossy.unknown(lossy.client.claim("s", "task:one"))
    await lossy.patient.release("holder", "task:one")
    await lossy.comes_to(granted=1, released=1)
    assert (await lossy.patient.get("task:one")).claim is None
