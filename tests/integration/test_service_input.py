"""What is out of bounds is refused with its field and changes nothing; what is just within them is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from coordinator import AsyncClient
from coordinator.v1 import service_pb2 as pb
from tests.conftest import RunningCoordinator
from tests.integration.bare_stub import CLAIM, KEY, Stub, seconds

TOO_LONG = "x" * (16 * 1024 + 1)


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
    ("Log", {"session": "!" * 200}, "session", "session"),
    ("Log", {"session": "s", "page_size": 1001}, "page_size", "out of range"),
    ("Log", {"session": "s", "page_token": "x"}, "page_token", "not one that a listing has returned"),
    ("Log", {"session": "s", "since": Timestamp(seconds=10**15)}, "since", "between the years 1 and 9999"),
    ("Reap", {"min_age": Duration(seconds=-1)}, "min_age", "it must be 0 or more"),
    ("Reap", {"fleet": "../.."}, "fleet", "fleet"),
    ("Status", {"fleet": "UPPER"}, "fleet", "fleet"),
    ("ClaimMany", {"session": "s"}, "items", "0 items; allowed are 1 to 500"),
    ("ClaimMany", {"session": "s", "items": [pb.ClaimItem(work_key=KEY)] * 501}, "items", "501 items"),
    ("RenewMany", {"session": "s"}, "items", "0 items; allowed are 1 to 500"),
    ("RenewMany", {"session": "s", "items": [pb.RenewItem(work_key=KEY)] * 501}, "items", "501 items"),
    ("RenewMany", {"session": "", "items": [pb.RenewItem(work_key=KEY)]}, "session", "the session is empty"),
    ("ClaimMany", {"session": "", "items": [pb.ClaimItem(work_key=KEY)]}, "session", "the session is empty"),
]


@pytest.fixture
async def stub(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(coordinator.endpoint) as channel:
        yield Stub(channel, fleet)


@pytest.fixture
async def client(coordinator: RunningCoordinator, fleet: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(coordinator.endpoint, fleet=fleet) as client:
        yield client


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
