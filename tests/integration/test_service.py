"""The service over gRPC, through the client and through the bare stub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coordinator import AsyncClient, Cause, InvalidInput, State
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.conftest import RunningCoordinator
from tests.integration.bare_stub import CLAIM, KEY, Stub, seconds
from tests.integration.server_running import Etcdctl

SERVICE = "coordinator.v1.CoordinatorService"


@pytest.fixture
async def stub(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield Stub(channel, fleet)


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


class TestRefusals:
    async def test_a_session_that_does_not_hold_it_learns_who_does(self, stub: Stub) -> None:
        await stub("Claim", **CLAIM)
        failed = await stub.fails("Complete", session="other", work_key=KEY)
        assert failed.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failed.detail.holder == "s"
        assert "s" in failed.message

    async def test_work_that_was_never_claimed_is_not_found(self, stub: Stub) -> None:
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
        details = await client.get(KEY)
        assert details.record.attempt == 1
        assert details.contenders == ()

    async def test_five_hundred_at_once(self, stub: Stub, client: AsyncClient) -> None:
        items = [pb.ClaimItem(work_key=f"task:{number:03d}") for number in range(500)]
        results = (await stub("ClaimMany", session="s", items=items)).results
        assert [result.answer.work_key for result in results] == [item.work_key for item in items]
        assert {result.answer.outcome for result in results} == {types.OUTCOME_GRANTED}
        assert len([record async for record in client.list(states=["claimed"])]) == 500


class TestRenewMany:
    async def test_each_item_is_answered_for_itself_and_in_order(self, stub: Stub, client: AsyncClient) -> None:
        mine = [await client.claim("s", f"task:{number}", 60) for number in range(3)]
        await client.claim("other", "task:held")
        await client.revoke("task:2", at_once=True)
        items = [
            pb.RenewItem(work_key="task:0", fencing_token=mine[0].fencing_token, ttl=seconds(7200), note="half way"),
            pb.RenewItem(work_key="task:held", request_id="2"),
            pb.RenewItem(work_key="", request_id="3"),
            pb.RenewItem(work_key="task:2", fencing_token=mine[2].fencing_token),
            pb.RenewItem(work_key="task:1", fencing_token=mine[0].fencing_token),
            pb.RenewItem(work_key="task:1", fencing_token=mine[1].fencing_token),
            pb.RenewItem(work_key="task:never"),
        ]

        results = (await stub("RenewMany", session="s", items=items)).results

        assert [each.claim.work_key or each.error.code for each in results] == [
            "task:0",
            "FAILED_PRECONDITION",
            "INVALID_ARGUMENT",
            "FAILED_PRECONDITION",
            "FAILED_PRECONDITION",
            "task:1",
            "NOT_FOUND",
        ]
        assert [each.error.claim_lost for each in results] == [False, False, False, True, False, False, False]
        assert (results[0].claim.ttl.seconds, results[0].claim.note) == (7200, "half way")
        assert results[1].error.holder == "other"
        assert results[5].claim.fencing_token == mine[1].fencing_token

    async def test_an_instance_renews_what_it_has_claimed(self, stub: Stub) -> None:
        await stub("Claim", **CLAIM, instance="one")
        for instance, renewed in (("one", True), ("two", False), ("", True)):
            (result,) = (
                await stub("RenewMany", session="s", instance=instance, items=[pb.RenewItem(work_key=KEY)])
            ).results
            assert result.HasField("claim") is renewed

    async def test_five_hundred_at_once(self, stub: Stub) -> None:
        keys = [f"task:{number:03d}" for number in range(500)]
        await stub("ClaimMany", session="s", items=[pb.ClaimItem(work_key=key) for key in keys])
        items = [pb.RenewItem(work_key=key) for key in keys]
        results = (await stub("RenewMany", session="s", items=items)).results
        assert [result.claim.work_key for result in results] == keys


class TestBursts:
    @pytest.mark.long
    async def test_thousands_of_calls_at_once_are_all_answered(self, stub: Stub) -> None:
        """gRPC's own bound on calls that wait to be taken up lies at 1,000 to 3,000, and it cancels the rest."""
        calls = await asyncio.gather(*(stub("Get", work_key=f"task:{number}") for number in range(3000)))
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
                    found = [
                        record
                        async for record in client.list(states=states, kind=kind or None, session=session or None)
                    ]
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
            details = await client.get(f"task:{number}")
            assert details.record.state is State.ABANDONED
            assert [(entry.attempt, entry.cause) for entry in details.history] == [(1, Cause.EXPIRED)]
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
