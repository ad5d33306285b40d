"""Requests of any bytes: each is answered, with an error that says what is wrong, and reaches no fleet but its own.

COORDINATION_FUZZ_MINUTES sets for how long other inputs are tried; what they did is printed at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from coordinator.engine.layout import ROOT
from coordinator.errors import InvalidInput
from coordinator.names import check_fleet
from coordinator.server import SERVICE
from coordinator.server_limits import MAX_SMALL_REQUEST_BYTES
from coordinator.v1 import service_pb2 as pb
from tests.fuzz.conftest import RunService
from tests.fuzz.fuzz_service import MINUTES, FuzzedService, contents, fuzz

pytestmark = pytest.mark.timeout(180 + 60 * MINUTES * 3)

METHODS = sorted(SERVICE.methods_by_name)
BYSTANDER = "bystander"
KEYS = ("task:a", "task:b", "github:gptme/gptme#2880", "https://example.org/a")
FLEETS = ("fuzzed", "fuzzed-2", "")

Call = tuple[str, bytes]


@pytest.fixture(scope="module")
def service(run_service: RunService) -> Iterator[FuzzedService]:
    with run_service("requests") as service:
        for key in KEYS:
            service.call("Claim", pb.ClaimRequest(fleet=BYSTANDER, session="a", work_key=key))
            service.call("Claim", pb.ClaimRequest(fleet=BYSTANDER, session="b", work_key=key))
        service.call("Complete", pb.CompleteRequest(fleet=BYSTANDER, session="a", work_key=KEYS[0]))
        yield service


# ---- inputs

_harmful = st.sampled_from(
    ["/", "..", "../bystander", "bystander/claim/x", "%2F", "\0", "\u202e", "\U0010ffff", "\n", "a" * 600, "é" * 70]
)
_texts = st.one_of(
    st.sampled_from(["", "s1", "s2", "task:a", "fuzzed", "x", BYSTANDER + "x"]),
    _harmful,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["x" * (16 * 1024 + 1), "ö" * 40_000]),
)
_int64s = st.sampled_from([0, 1, -1, 5, 60, 2**31, -(2**31), 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
_int32s = st.sampled_from([0, 1, -1, 100, 1000, 1001, 2**31 - 1, -(2**31), 10**9]) | st.integers(-(2**31), 2**31 - 1)
#: Which fields mostly hold what is valid, so that something happens.
_USUAL: dict[str, st.SearchStrategy[Any]] = {
    "fleet": st.sampled_from(FLEETS),
    "session": st.sampled_from(["s1", "s2"]),
    "work_key": st.sampled_from(KEYS),
    "request_id": st.sampled_from(["", "r1", "r2", "r3"]),
}
_F = FieldDescriptor
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _F.CPPTYPE_STRING: _texts,
    _F.CPPTYPE_INT64: _int64s,
    _F.CPPTYPE_INT32: _int32s,
    _F.CPPTYPE_ENUM: _int32s | st.integers(0, 5),
    _F.CPPTYPE_BOOL: st.booleans(),
    _F.CPPTYPE_DOUBLE: st.floats(),
    _F.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def _values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type)
    any_value = _SCALARS[field.cpp_type]
    usual = _USUAL.get(field.name)
    return any_value if usual is None else st.one_of(usual, usual, usual, any_value)


def messages(described: Descriptor) -> st.SearchStrategy[Any]:
    """Messages of a type; any field may be absent, or hold what it should not."""
    fields = {}
    for field in described.fields:
        values = _values(field)
        fields[field.name] = st.lists(values, max_size=4) if field.is_repeated else values
    likely = {name: values for name, values in fields.items() if name in ("session", "work_key", "items")}
    unlikely = {name: values for name, values in fields.items() if name not in likely}
    made = GetMessageClass(described)
    return st.fixed_dictionaries(likely, optional=unlikely).map(lambda members: made(**members))


@st.composite
def damaged(draw: st.DrawFn, method: str) -> bytes:
    """A request whose bytes were damaged on the way: turned bits, an end that is missing, something put in between."""
    data = bytearray(draw(messages(SERVICE.methods_by_name[method].input_type)).SerializeToString())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["bit", "cut", "insert", "unknown", "not UTF-8"])):
            case "bit" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at:]
            case "unknown":
                # Field numbers that no message has, as text, as a number, and as a group, which ends or does not.
                data += draw(st.sampled_from([b"\xfa\x3e\x01x", b"\xf8\x3e\xff\x01", b"\xfb\x3e\xfc\x3e", b"\xfb\x3e"]))
            case "not UTF-8":
                data += bytes([draw(st.integers(1, 9)) << 3 | 2, 2]) + b"\xff\xfe"
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


valid_calls = st.sampled_from(METHODS).flatmap(
    lambda method: messages(SERVICE.methods_by_name[method].input_type).map(
        lambda message: (method, message.SerializeToString())
    )
)
damaged_calls = st.sampled_from(METHODS).flatmap(lambda method: damaged(method).map(lambda data: (method, data)))
any_calls = st.tuples(st.sampled_from(METHODS), st.binary(max_size=200))


# ---- what must hold


class Checker:
    """Makes calls, and sees that each has changed nothing but what lies in the fleet that it named."""

    def __init__(self, service: FuzzedService) -> None:
        self._service = service
        self._before = service.read_all()

    def __call__(self, call: Call) -> None:
        method, data = call
        request = self._read(method, data)
        answer = self._service.call(method, data, must_end=request is None)
        if request is None:
            assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
            assert answer.message.startswith(f"the request is not a valid {method}Request: ")
        named = self._fleet(request)
        after = self._service.read_all()

        def theirs(key: bytes) -> bool:
            return named is not None and key.startswith(f"{ROOT}{named}/".encode())

        assert contents(after, theirs) == contents(self._before, theirs)
        self._before = after

    def _read(self, method: str, data: bytes) -> Any:
        try:
            return GetMessageClass(SERVICE.methods_by_name[method].input_type).FromString(data)
        except DecodeError:
            return None

    def _fleet(self, request: Any) -> str | None:
        try:
            return None if request is None else check_fleet(request.fleet)
        except InvalidInput:
            return None


def test_valid_messages_with_anything_in_them(service: FuzzedService) -> None:
    fuzz(Checker(service), valid_calls, examples=120, tally=service.tally)
    service.check_size()


def test_damaged_messages(service: FuzzedService) -> None:
    fuzz(Checker(service), damaged_calls, examples=60, tally=service.tally)
    service.check_size()


def test_any_bytes(service: FuzzedService) -> None:
    fuzz(Checker(service), any_calls, examples=60, tally=service.tally)
    service.check_size()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_refuses_what_is_no_message(service: FuzzedService, method: str) -> None:
    Checker(service)((method, b"\x0a\x02\xff\xfe"))
    Checker(service)((method, b"\xff"))


def test_texts_of_megabytes_are_refused_without_keeping_them(service: FuzzedService) -> None:
    for size, code in (
        (MAX_SMALL_REQUEST_BYTES - 1024, grpc.StatusCode.INVALID_ARGUMENT),
        (15 * 1024 * 1024, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ):
        for number in range(4):
            if number == 1:
                service.mark_size()  # what gRPC keeps for messages of that size, it keeps once
            for field in ("session", "work_key", "note"):
                fields: dict[str, Any] = {"session": "s1", "work_key": "task:a"} | {field: "x" * size}
                answer = service.call("Claim", pb.ClaimRequest(**fields))
                assert answer.code is code
                assert len(answer.message) < 500
        service.check_size()
