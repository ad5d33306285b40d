"""The service over gRPC, through the client and through the bare stub."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coordinator import AsyncClient, Cause, CoordinatorError, InvalidInput, OutcomeUnknown, State, Unavailable
from coordinator.transport import ERROR_METADATA_KEY
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub

KEY = "task:db-migration"
SERVICE = "coordinator.v1.CoordinatorService"
TOO_LONG = "x" * (16 * 1024 + 1)


class Etcd(Protocol):
    endpoint: str
    pid: int


class Coordinator(Protocol):
    endpoint: str


RunEtcd = Callable[[Path], AbstractContextManager[Etcd]]
RunCoordinator = Callable[..., AbstractContextManager[Coordinator]]
Etcdctl = Callable[..., str]


class Failed(NamedTuple):
    """How a call failed: its status, and the detail from the trailing metadata."""

    code: grpc.StatusCode
    message: str
    detail: types.ErrorDetail


class Stub:
    """The bare stub, in the fleet of the test."""

    def __init__(self, channel: grpc.aio.Channel, fleet: str) -> None:
        self.channel = channel
        self.fleet = fleet
        self._stub = CoordinatorServiceStub(channel)

    async def __call__(self, method: str, **fields: Any) -> Any:
        fields = {"fleet": self.fleet} | fields
        return await getattr(self._stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=60)

    async def fails(self, method: str, **fields: Any) -> Failed:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self(method, **fields)
        return failure_of(caught.value)

    def watch(self) -> Any:
        return self._stub.Watch(pb.WatchRequest(fleet=self.fleet), timeout=10)


def failure_of(error: grpc.aio.AioRpcError) -> Failed:
    (detail,) = (value for key, value in error.trailing_metadata() or () if key == ERROR_METADATA_KEY)
    assert isinstance(detail, bytes)
    return Failed(error.code(), error.details() or "", types.ErrorDetail.FromString(detail))


@pytest.fixture
async def stub(coordinator: Coordinator, fleet: str) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield Stub(channel, fleet)


@pytest.fixture
async def client(coordinator: Coordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


def seconds(value: float) -> Duration:
    whole = int(value // 1)
    return Duration(seconds=whole, nanos=int((value - whole) * 1e9))


CLAIM = {"session": "s", "work_key": KEY}

#: Requests that are refused: method, fields, the field that is named, and what the sentence says.
INVALID: list[tuple[str, dict[str, Any], str, str]] = [
    ("Claim", {"work_key": KEY}, "session", "the session is empty"),
    ("Claim", CLAIM | {"session": "s" * 129}, "session", "129 bytes long"),
    ("Claim", CLAIM | {"session": "a\nb"}, "session", "control character"),
    ("Claim", {"session": "s"}, "work_key", "the work key is empty"),
    ("Claim", CLAIM | {"work_key": "task:" + "x" * 508}, "work_key", "513 bytes long"),
    ("Claim", CLAIM | {"work_key": "task:a\x01b"}, "work_key", "U+0001"),
    ("Claim", CLAIM | {"fleet": "Not A Fleet"}, "fleet", "fleet"),
    ("Claim", CLAIM | {"note": TOO_LONG}, "note", "16385 bytes long; at most 16384 are allowed"),
    ("Claim", CLAIM | {"note": "ö" * 8193}, "note", "16386 bytes long"),
    ("Claim", CLAIM | {"request_id": "r" * 129}, "request_id", "129 bytes long; at most 128 are allowed"),
    ("Claim", CLAIM | {"instance": "i" * 129}, "instance", "129 bytes long"),
    ("Claim", CLAIM | {"ttl": seconds(4.999)}, "ttl", "4.999 s is out of range; allowed are 5 s to 7 days"),
    ("Claim", CLAIM | {"ttl": Duration()}, "ttl", "out of range"),
    ("Claim", CLAIM | {"ttl": Duration(seconds=-60)}, "ttl", "out of range"),
    ("Claim", CLAIM | {"ttl": seconds(604_801)}, "ttl", "out of range"),
    ("Claim", CLAIM | {"ttl": Duration(seconds=2**63 - 1)}, "ttl", "out of range"),
    ("Claim", CLAIM | {"fencing_token": -1}, "fencing_token", "-1 is not a fencing token"),
    ("Renew", CLAIM | {"ttl": seconds(1)}, "ttl", "out of range"),
    ("Renew", CLAIM | {"note": TOO_LONG}, "note", "16385 bytes long"),
    ("Renew", CLAIM | {"fencing_token": -1}, "fencing_token", "-1 is not a fencing token"),
    ("Complete", CLAIM | {"result": TOO_LONG}, "result", "16385 bytes long"),
    ("Complete", CLAIM | {"fencing_token": -1}, "fencing_token", "-1 is not a fencing token"),
    ("Complete", CLAIM | {"request_id": "a\0b"}, "request_id", "U+0000"),
    ("Release", CLAIM | {"reason": TOO_LONG}, "reason", "16385 bytes long"),
    ("Revoke", {"work_key": KEY, "reason": TOO_LONG}, "reason", "16385 bytes long"),
    ("Revoke", {"work_key": KEY, "request_id": "r" * 129}, "request_id", "129 bytes long"),
    ("Get", {"work_key": ""}, "work_key", "the work key is empty"),
    ("List", {"page_size": 1001}, "page_size", "1001 is out of range; allowed are 1 to 1000"),
    ("List", {"page_size": -1}, "page_size", "-1 is out of range"),
    ("List", {"states": [99]}, "states", "99 is not a state; allowed are available, claimed, completed, abandoned"),
    ("List", {"states": [0]}, "states", "0 is not a state"),
    ("List", {"kind": "Not A Kind"}, "kind", "kind"),
    ("List", {"session": "s" * 129}, "session", "129 bytes long"),
    ("List", {"page_token": "../other-fleet/record/x"}, "page_token", "not one that a listing has returned"),
    ("Log", {"session": ""}, "session", "the session is empty"),
    ("Log", {"session": "s", "page_size": 1001}, "page_size", "out of range"),
    ("Log", {"session": "s", "page_token": "x"}, "page_token", "not one that a listing has returned"),
    ("Log", {"session": "s", "since": Timestamp(seconds=10**15)}, "since", "between the years 1 and 9999"),
    ("Reap", {"min_age": Duration(seconds=-1)}, "min_age", "it must be 0 or more"),
    ("Reap", {"fleet": "../.."}, "fleet", "fleet"),
    ("Status", {"fleet": "UPPER"}, "fleet", "fleet"),
    ("ClaimMany", {"session": "s"}, "items", "0 items; allowed are 1 to 500"),
    ("ClaimMany", {"session": "s", "items": [pb.ClaimItem(work_key=KEY)] * 501}, "items", "501 items"),
    ("ClaimMany", {"session": "", "items": [pb.ClaimItem(work_key=KEY)]}, "session", "the session is empty"),
]


class TestLimits:
    @pytest.mark.parametrize(("method", "fields", "field", "says"), INVALID)
    async def test_what_is_out_of_bounds_is_refused_with_its_field_and_changes_nothing(
        self, stub: Stub, client: AsyncClient, method: str, fields: dict[str, Any], field: str, says: str
    ) -> None:
        failed = await stub.fails(method, **fields)
        assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failed.detail.code == "INVALID_ARGUMENT"
        assert failed.detail.field == field
        assert says in failed.message
        assert failed.detail.message == failed.message
        assert "\n" not in failed.message
        assert (await client.list_page()).records == ()

    async def test_what_is_just_within_bounds_is_taken(self, stub: Stub) -> None:
        longest = "x" * (16 * 1024)
        within = {"session": "s" * 128, "work_key": "task:" + "x" * 507}
        claimed = await stub("Claim", **within, note=longest, request_id="r" * 128, instance="i" * 128, ttl=seconds(5))
        assert claimed.claim.note == longest
        renewed = await stub("Renew", **within, ttl=seconds(604_800), fencing_token=claimed.claim.fencing_token)
        assert renewed.claim.ttl.seconds == 604_800
        completed = await stub("Complete", **within, result=longest)
        assert completed.record.result == longest
        assert (await stub("List", page_size=1000)).records[0].note == longest


class TestRefusals:
    async def test_whoever_does_not_hold_it_is_told_who_does(self, stub: Stub) -> None:
        await stub("Claim", **CLAIM)
        failed = await stub.fails("Complete", session="other", work_key=KEY)
        assert failed.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failed.detail.holder == "s"
        assert "s" in failed.message

    async def test_what_nobody_has_claimed_is_not_found(self, stub: Stub) -> None:
        for method in ("Complete", "Release"):
            failed = await stub.fails(method, **CLAIM)
            assert failed.code is grpc.StatusCode.NOT_FOUND
            assert KEY in failed.message


class TestClaimMany:
    async def test_each_item_is_answered_for_itself_and_in_order(self, stub: Stub, client: AsyncClient) -> None:
        await client.claim("other", "task:held")
        await client.claim("other", "task:finished")
        await client.complete("other", "task:finished")
        items = [
            pb.ClaimItem(work_key="task:free", note="mine", request_id="1"),
            pb.ClaimItem(work_key="task:held", request_id="2"),
            pb.ClaimItem(work_key="", request_id="3"),
            pb.ClaimItem(work_key="task:finished", request_id="4"),
            pb.ClaimItem(work_key="task:short", ttl=seconds(1), request_id="5"),
            pb.ClaimItem(work_key="task:finished", reopen=True, request_id="6"),
            pb.ClaimItem(work_key="task:long", ttl=seconds(7200), request_id="7"),
        ]
        results = (await stub("ClaimMany", session="s", instance="one", items=items)).results
        outcomes = [
            types.Outcome.Name(result.answer.outcome) if result.HasField("answer") else result.error.field
            for result in results
        ]
        assert outcomes == [
            "OUTCOME_GRANTED",
            "OUTCOME_DENIED",
            "work_key",
            "OUTCOME_DENIED",
            "ttl",
            "OUTCOME_GRANTED",
            "OUTCOME_GRANTED",
        ]
        assert [result.answer.typed_key for result in results if result.HasField("answer")] == [
            "task:free",
            "task:held",
            "task:finished",
            "task:finished",
            "task:long",
        ]
        assert results[0].answer.claim.note == "mine"
        assert results[1].answer.denial.holder == "other"
        assert results[2].error.code == "INVALID_ARGUMENT"
        assert results[3].answer.denial.completed_by == "other"
        assert results[5].answer.claim.attempt == 2
        assert results[5].answer.previous.session == "other"
        assert results[6].answer.claim.ttl.seconds == 7200

    async def test_one_key_many_times_is_one_claim(self, stub: Stub, client: AsyncClient) -> None:
        items = [pb.ClaimItem(work_key=key) for key in (KEY, "db-migration", f" {KEY} ") for _ in range(10)]
        results = (await stub("ClaimMany", session="s", instance="one", items=items)).results
        answers = [result.answer for result in results]
        outcomes = [answer.outcome for answer in answers]
        assert outcomes.count(types.OUTCOME_GRANTED) == 1
        assert outcomes.count(types.OUTCOME_RENEWED) == 29
        assert {answer.claim.fencing_token for answer in answers} == {answers[0].claim.fencing_token}
        assert {answer.work_key for answer in answers} == {KEY}
        story = await client.get(KEY)
        assert story.record.attempt == 1
        assert story.contenders == ()

    async def test_five_hundred_at_once(self, stub: Stub, client: AsyncClient) -> None:
        items = [pb.ClaimItem(work_key=f"task:{number:03d}") for number in range(500)]
        results = (await stub("ClaimMany", session="s", items=items)).results
        assert [result.answer.work_key for result in results] == [item.work_key for item in items]
        assert {result.answer.outcome for result in results} == {types.OUTCOME_GRANTED}
        assert len([record async for record in client.list(states=["claimed"])]) == 500


class TestBursts:
    async def test_thousands_of_calls_at_once_are_all_answered(self, stub: Stub) -> None:
        """gRPC's own bound on calls that wait to be taken up lies at 1,000 to 3,000, and it cancels the rest."""
        calls = await asyncio.gather(*(stub("Get", work_key=f"task:{number}") for number in range(4000)))
        assert {call.record.state for call in calls} == {types.STATE_AVAILABLE}


class TestListing:
    async def test_pages_and_filters_over_three_hundred_records(self, stub: Stub, client: AsyncClient) -> None:
        """A third each stays claimed, is completed and is released; two kinds and three sessions take turns."""

        async def make(number: int) -> None:
            key, session = f"{('task', 'blog')[number % 2]}:{number:03d}", f"s{number // 2 % 3}"
            await client.claim(session, key)
            if number % 3 == 1:
                await client.complete(session, key)
            elif number % 3 == 2:
                await client.release(session, key, reason="later")

        await asyncio.gather(*(make(number) for number in range(300)))
        every = [record async for record in client.list()]
        assert [record.work_key for record in every] == sorted(
            f"{('task', 'blog')[number % 2]}:{number:03d}" for number in range(300)
        )
        for size in (1, 7, 100, 300):
            if size == 1:
                pages = await self.pages(stub, page_size=size, kind="task", states=["STATE_COMPLETED"])
                assert len(pages) == 50
            else:
                pages = await self.pages(stub, page_size=size)
                assert [record.work_key for page in pages for record in page] == [record.work_key for record in every]
            assert all(len(page) <= size for page in pages)
        for kind in ("", "task", "blog"):
            for session in ("", "s0", "s2", "nobody"):
                for states in ((), (State.CLAIMED,), (State.COMPLETED, State.ABANDONED)):
                    expected = [
                        record.work_key
                        for record in every
                        if kind in ("", record.kind)
                        and session in ("", record.session)
                        and (not states or record.state in states)
                    ]
                    found = [record async for record in client.list(states=states, kind=kind, session=session)]
                    assert [record.work_key for record in found] == expected
        with pytest.raises(InvalidInput, match="available work is not recorded"):
            await client.list_page(states=(State.AVAILABLE,))
        assert await self.pages(stub, states=["STATE_AVAILABLE"]) == [[]]

    async def pages(self, stub: Stub, **fields: Any) -> list[list[types.Record]]:
        pages, token = [], ""
        while True:
            page = await stub("List", page_token=token, **fields)
            pages.append(list(page.records))
            if not (token := page.next_page_token):
                return pages

    async def test_a_fleet_sees_its_own_records_only(self, client: AsyncClient, stub: Stub) -> None:
        await client.claim("s", KEY)
        assert (await stub("List", fleet=f"{stub.fleet}-2")).records == []
        assert (await stub("Get", fleet=f"{stub.fleet}-2", work_key=KEY)).record.state == types.STATE_AVAILABLE
        assert (await stub("Claim", fleet=f"{stub.fleet}-2", **CLAIM)).outcome == types.OUTCOME_GRANTED


class TestReap:
    async def test_what_lost_its_lease_is_recorded_once_however_many_reap(
        self, stub: Stub, client: AsyncClient, etcdctl: Etcdctl
    ) -> None:
        """Revoking a lease deletes its claims just as its expiry does."""
        # A ttl that no other test has: the lease is theirs alone.
        await asyncio.gather(*(client.claim("s", f"task:{number}", 86_001) for number in range(40)))
        await client.claim("s", "task:live", 3600)
        prefix = f"/coordination/v1/{stub.fleet}/claim/task:"
        live = leases_of(etcdctl, f"{prefix}live")
        for lease in leases_of(etcdctl, prefix) - live:
            etcdctl("lease", "revoke", f"{lease:x}")
        assert (await client.get("task:7")).record.cause is Cause.EXPIRED
        # By the clock their time is not up yet: they have not been expired for an hour.
        assert (await stub("Reap", min_age=seconds(3600))).reaped == 0

        answers = await asyncio.gather(*(stub("Reap") for _ in range(4)))
        assert sum(answer.reaped for answer in answers) == 40
        assert (await stub("Reap")).reaped == 0
        for number in range(40):
            story = await client.get(f"task:{number}")
            assert story.record.state is State.ABANDONED
            assert [(entry.attempt, entry.cause) for entry in story.history] == [(1, Cause.EXPIRED)]
        assert (await client.get("task:live")).record.state is State.CLAIMED


def leases_of(etcdctl: Etcdctl, prefix: str) -> set[int]:
    return {kv["lease"] for kv in json.loads(etcdctl("get", prefix, "--prefix", "-w", "json"))["kvs"]}


class TestDiscovery:
    async def test_health_is_serving(self, stub: Stub) -> None:
        health = health_pb2_grpc.HealthStub(stub.channel)
        for name in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_reflection_lists_the_service_and_describes_it(self, stub: Stub) -> None:
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        call = reflection_pb2_grpc.ServerReflectionStub(stub.channel).ServerReflectionInfo(iter(requests), timeout=10)
        listed, described = [answer async for answer in call]
        assert {service.name for service in listed.list_services_response.service} == {
            SERVICE,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        assert described.file_descriptor_response.file_descriptor_proto


class TestStoppedEtcd:
    """An etcd that hangs: connected, and silent."""

    @pytest.fixture
    def own_etcd(self, run_etcd: RunEtcd, tmp_path: Path) -> Iterator[Etcd]:
        with run_etcd(tmp_path) as etcd:
            yield etcd
            os.kill(etcd.pid, signal.SIGCONT)

    @pytest.fixture
    async def own_client(
        self, own_etcd: Etcd, run_coordinator: RunCoordinator, fleet: str
    ) -> AsyncIterator[AsyncClient]:
        with run_coordinator("serve", "--etcd", own_etcd.endpoint) as own:
            async with AsyncClient(own.endpoint, fleet=fleet, timeout=1.5) as client:
                yield client

    @pytest.mark.alone
    async def test_a_claim_that_hangs_is_told_in_time_and_takes_effect_once(
        self, own_etcd: Etcd, own_client: AsyncClient
    ) -> None:
        client = own_client
        await client.claim("s", "task:before", 600)  # so that the pool has a lease for the next
        os.kill(own_etcd.pid, signal.SIGSTOP)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.claim("s", KEY, 600, request_id="the-same")
        # The coordinator's own answer, which came before the deadline, and not the lapse of time. Until then the client
        # goes on asking.
        assert caught.value.message.startswith("etcd gave no definite answer in time")
        assert caught.value.request_id == "the-same"

        os.kill(own_etcd.pid, signal.SIGCONT)
        claim = await self.until_answered(client, request_id="the-same")
        again = await client.claim("s", KEY, 600, request_id="the-same")
        assert (claim.attempt, claim.fencing_token) == (1, again.fencing_token)
        story = await client.get(KEY)
        assert story.claim is not None
        assert (story.record.attempt, story.claim.fencing_token) == (1, claim.fencing_token)
        assert story.history == ()
        assert story.contenders == ()

    async def until_answered(self, client: AsyncClient, *, request_id: str) -> Any:
        for _ in range(5):
            try:
                return await client.claim("s", KEY, 600, request_id=request_id)
            except (Unavailable, OutcomeUnknown):
                continue
        raise AssertionError("etcd goes on, and the claim is still not answered")

    async def test_a_claim_that_never_got_a_lease_has_changed_nothing(
        self, own_etcd: Etcd, own_client: AsyncClient
    ) -> None:
        os.kill(own_etcd.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="did not grant a lease in time"):
            await own_client.claim("s", KEY, 600)

    async def test_every_call_is_answered_before_its_deadline(self, own_etcd: Etcd, own_client: AsyncClient) -> None:
        client = own_client
        await client.claim("s", KEY, 600)
        await client.get(KEY)
        os.kill(own_etcd.pid, signal.SIGSTOP)

        async def failure(call: Any) -> tuple[str, str, bool]:
            started = time.monotonic()
            with pytest.raises(CoordinatorError) as caught:
                await call
            return caught.value.code, caught.value.message, time.monotonic() - started < 1.5

        calls = {
            "get": client.get(KEY),
            "list": client.list_page(),
            "log": client.log_page("s"),
            "reap": client.reap(),
            "complete": client.complete("s", KEY),
            "release": client.release("s", KEY),
            "renew": client.renew("s", KEY),
            "revoke": client.revoke(KEY),
        }
        failures = dict(zip(calls, await asyncio.gather(*map(failure, calls.values())), strict=True))
        assert all(in_time for _, _, in_time in failures.values())
        # All of them read first, and a read that failed has changed nothing.
        assert {code for code, _, _ in failures.values()} == {"UNAVAILABLE"}
        assert all("did not answer in time" in message for _, message, _ in failures.values())

        status = await client.status()
        assert not status.healthy
        assert not status.etcd.quorum
        assert status.live_claims is None
        assert any("does not answer" in warning for warning in status.etcd.warnings)
