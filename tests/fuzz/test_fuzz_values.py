"""Values and keys that an operator has edited: whatever is in etcd, each call is answered, and harms nothing else.

COORDINATION_FUZZ_MINUTES sets for how long other inputs are tried; what they did is printed at the end.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from hypothesis import strategies as st

from coordinator.engine.documents import Contender, Ended, LooseEnd, StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.layout import FleetPaths, WorkPaths
from coordinator.engine.transaction import Delete, KeyValue, Put
from coordinator.keys import parse_work_key
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.fuzz.conftest import RunService
from tests.fuzz.fuzz_service import MINUTES, FuzzedService, contents, fuzz

pytestmark = pytest.mark.timeout(180 + 60 * MINUTES * 3)

FLEET = "edited"
#: Its key is the beginning of the other's, and sorts close to it.
NEIGHBOURS = ("task:w", "task:w/1", "task:zz")
STATES = ("new", "claimed", "held twice", "released", "completed", "reopened", "revoked while reopened", "claim gone")
TABLES = ("claim", "record", "history", "ended", "loose", "contender")


@pytest.fixture(scope="module")
def service(run_service: RunService) -> Iterator[FuzzedService]:
    with run_service("values") as service:
        for fleet, key in itertools.product((FLEET, "other"), NEIGHBOURS):
            service.call("Claim", pb.ClaimRequest(fleet=fleet, session="n1", work_key=key))
            service.call("Claim", pb.ClaimRequest(fleet=fleet, session="n2", work_key=key))
            service.call("Release", pb.ReleaseRequest(fleet=fleet, session="n1", work_key=key))
            service.call("Claim", pb.ClaimRequest(fleet=fleet, session="n2", work_key=key))
        yield service


# ---- edits

_MEMBERS = sorted(
    {
        field.name
        for document in (StoredClaim, StoredRecord, StoredHistory, Ended, LooseEnd, Contender)
        for field in dataclasses.fields(document)
    }
)
_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, -1, 100, 101, 10**10 - 1, 10**10, 2**63 - 1, 2**63, 10**400, 0.0, 1e9, 1e10, 1e-300]),
    st.sampled_from([float("nan"), float("inf"), "", "claimed", "completed", "abandoned", "available", "expired"]),
    st.sampled_from(["s1", "s2", "someone else", "r-claim", "x" * 129, "y" * 17_000, "\ud800", "\0", "\n", "\u202e"]),
    st.sampled_from(["2026-06-14T02:45:11Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999Z", "yesterday"]),
    st.sampled_from(["1970-01-01", "2999-01-01T00:00:00", "revoked", "released"]),
    st.floats(),
    st.text(max_size=5),
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_MEMBERS), inner, max_size=5),
    max_leaves=8,
)
_RAW = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"[" * 50_000, b'{"session":' * 20_000, b"{}", b"null", b"\xff", b"[]", b'"x"']),
    st.sampled_from([b"9" * 10_000, b'{"session":"a","session":"s1","attempt":1,"attempt":2}', b" " * 1_000_000]),
    st.dictionaries(st.sampled_from(_MEMBERS), _JSON, max_size=len(_MEMBERS)).map(lambda found: _dump(found)),
)
_MANY = st.dictionaries(st.sampled_from(_MEMBERS), _SCALARS, min_size=1, max_size=3)


class Edit(NamedTuple):
    """What is done to the key of a table (its ``which``-th), or to one that ought not to be there."""

    table: str
    how: str
    which: int
    raw: bytes
    members: dict[str, Any]
    bit: int


edits = st.builds(
    Edit,
    st.sampled_from(TABLES),
    st.sampled_from(
        ["members", "members", "members", "raw", "bit", "cut", "delete", "another's", "detached", "foreign key"]
    ),
    st.integers(0, 3),
    _RAW,
    _MANY,
    st.integers(0, 10_000),
)
_FOREIGN_KEYS = (
    "history/{k}/garbage",
    "history/{k}/99999999999999999999",
    "history/{k}/9999999999",
    "history/{k}/0000000007",
    "ended/2026-06-14T02:10:02.517Z/{k}/99999999999999999999",
    "ended/9999-99-99T99:99:99.999Z/{k}/0000000001",
    "ended/yesterday/{k}/1",
    "ended/{k}",
    "contender/{k}/%ff%00",
    "contender/{k}/a/b",
    "loose/{k}",
    "claim/{k}",
    "record/{k}",
)


class Case(NamedTuple):
    state: str
    edits: list[Edit]
    token: bool
    session: str


cases = st.builds(
    Case,
    st.sampled_from(STATES),
    st.lists(edits, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["s1", "s2", "s3"]),
)


def _dump(found: Any) -> bytes:
    return json.dumps(found).encode()


# ---- what must hold


class Checker:
    """Brings a new work key into a state, edits it, calls everything, and sees that nothing else has changed."""

    def __init__(self, service: FuzzedService) -> None:
        self._service = service
        self._numbers = itertools.count()

    def __call__(self, case: Case) -> None:
        self.key = f"task:w{next(self._numbers)}"
        self.paths = FleetPaths(FLEET).of(parse_work_key(self.key))
        self._bring_to(case.state)
        bystanders = contents(self._service.read_all(), self._is_own)
        for edit in case.edits:
            self._edit(edit)
        self._call_everything(case)
        self._end_it()
        assert contents(self._service.read_all(), self._is_own) == bystanders
        # Gone, so that the next case is as quick as this one.
        self._service.write(*(Delete(key) for key in self._service.read_all() if self._is_own(key)))

    def _is_own(self, key: bytes) -> bool:
        return self.paths.segment.encode() in key.split(b"/")

    def _ask(self, method: str, **fields: Any) -> Any:
        request: Any = getattr(pb, f"{method}Request")
        return self._service.call(method, request(fleet=FLEET, **fields))

    def _bring_to(self, state: str) -> None:
        if state == "new":
            return
        claimed = {"work_key": self.key, "session": "s1"}
        self._ask("Claim", **claimed, note="so far", request_id="r-claim")
        match state:
            case "held twice":
                self._ask("Claim", work_key=self.key, session="s2")
            case "released":
                self._ask("Release", **claimed, reason="too hard")
            case "completed" | "reopened" | "revoked while reopened":
                self._ask("Complete", **claimed, result="done", request_id="r-end")
            case "claim gone":
                self._service.write(Delete(self.paths.claim))
        if "reopened" in state:
            self._ask("Claim", work_key=self.key, session="s2", reopen=True)
        if state.startswith("revoked"):
            self._ask("Revoke", work_key=self.key, reason="no", at_once=True)

    def _edit(self, edit: Edit) -> None:
        if edit.how == "foreign key":
            name = _FOREIGN_KEYS[edit.bit % len(_FOREIGN_KEYS)].format(k=self.paths.segment)
            self._service.write(Put(f"{self.paths.root}{name}".encode(), edit.raw))
            return
        stored = self._service.read_all()
        own = [kv for key, kv in stored.items() if self._is_own(key) and _table(key) == edit.table]
        if not own:
            if edit.table in ("claim", "record", "loose"):
                self._service.write(Put(getattr(self.paths, edit.table), edit.raw))
            return
        kv = own[edit.which % len(own)]
        self._service.write(_edited(edit, kv, stored))

    def _call_everything(self, case: Case) -> None:
        shown = self._ask("Get", work_key=self.key)
        token = shown.reply.claim.fencing_token if case.token and shown.reply is not None else 0
        named = {"work_key": self.key, "session": case.session}
        self._ask("List", page_size=1)
        self._ask("List", session=case.session, states=[types.STATE_CLAIMED, types.STATE_ABANDONED], kind="task")
        self._ask("Log", session=case.session, page_size=1)
        self._ask("Status")
        self._ask("Renew", **named, note="more", fencing_token=token)
        self._ask("Claim", **named, fencing_token=token)
        self._ask("Claim", **named, request_id="r-claim", reopen=True)
        self._ask("RenewMany", session=case.session, items=[pb.RenewItem(work_key=self.key, fencing_token=token)])
        self._ask("ClaimMany", session="s3", items=[pb.ClaimItem(work_key=self.key), pb.ClaimItem(work_key=self.key)])
        self._ask("Acknowledge", work_key=self.key, reason="seen")
        self._ask("Complete", **named, request_id="r-end", fencing_token=token)
        self._ask("Release", **named)
        self._ask("Reap")
        self._ask("Briefing")
        self._all_pages()

    def _all_pages(self) -> None:
        """Page through all records and the log: each page leads to the next, whatever the keys are."""
        for method, fields in (("List", {}), ("Log", {"session": "s1"})):
            token = ""
            while True:
                answer = self._ask(method, page_size=1, page_token=token, **fields)
                assert answer.code is grpc.StatusCode.OK, answer
                token = answer.reply.next_page_token
                if not token:
                    break

    def _end_it(self) -> None:
        """An operator can end any claim, and it is known afterwards what became of it."""
        before = self._service.read_all()
        answer = self._ask("Revoke", work_key=self.key, reason="cannot be right", at_once=True)
        after = self._service.read_all()
        assert self.paths.claim not in after
        was_there = self.paths.claim in before
        assert (answer.code is grpc.StatusCode.OK) == was_there, answer
        if was_there:
            assert answer.reply.record.cause == types.CAUSE_REVOKED
            assert self._ask("Get", work_key=self.key).reply is not None
        self._ask("Claim", work_key=self.key, session="s9", reopen=True)


def _table(key: bytes) -> str:
    return key.split(b"/")[4].decode()


def _edited(edit: Edit, kv: KeyValue, stored: dict[bytes, KeyValue]) -> Put | Delete:
    """What an edit writes. A claim keeps its lease, unless that is what the edit is about."""
    match edit.how:
        case "delete":
            return Delete(kv.key)
        case "detached":
            return Put(kv.key, kv.value)
        case "raw":
            return Put(kv.key, edit.raw, kv.lease)
        case "cut":
            return Put(kv.key, kv.value[: edit.bit % (len(kv.value) + 1)], kv.lease)
        case "bit":
            value = bytearray(kv.value or b"\0")
            value[edit.bit // 8 % len(value)] ^= 1 << edit.bit % 8
            return Put(kv.key, bytes(value), kv.lease)
        case "another's":
            others = sorted(key for key in stored if _table(key) in ("claim", "record", "history"))
            return Put(kv.key, stored[others[edit.bit % len(others)]].value, kv.lease)
    try:
        members = json.loads(kv.value)
    except (ValueError, RecursionError):
        members = {}
    return Put(kv.key, _dump((members if isinstance(members, dict) else {}) | edit.members), kv.lease)


def test_edited_values(service: FuzzedService) -> None:
    fuzz(Checker(service), cases, examples=40, tally=service.tally)
    service.check_size()


def test_paths_of_one_work_key_are_distinct_from_its_neighbours() -> None:
    """The checks above stand and fall with this."""
    paths: WorkPaths = FleetPaths(FLEET).of(parse_work_key("task:w"))
    assert paths.segment.encode() not in FleetPaths(FLEET).of(parse_work_key("task:w1")).claim.split(b"/")
