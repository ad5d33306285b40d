"""Who may make which call, on whose claim, in which fleet: the whole table, against a real coordinator.

What is expected is written down here once more, and not read from the table that the service goes by.
"""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coordinator.v1 import service_pb2 as pb
from coordinator.v1.service_pb2_grpc import CoordinatorServiceStub
from tests.conftest import RunCoordinator, RunningCoordinator, RunningEtcd
from tests.integration.security_world import SERVICE, World, channel, code_of, make_world
from tests.web.calling import HttpCaller

UNKNOWN, FORBIDDEN = "UNAUTHENTICATED", "PERMISSION_DENIED"
#: The calls that act as a session, those that only read, and so on.
ACTING = {"Claim", "ClaimMany", "ClaimNext", "Renew", "RenewMany", "Complete", "Release", "Submit", "Withdraw"}
READING = {
    "Get",
    "FindSimilar",
    "List",
    "ListPool",
    "Watch",
    "Briefing",
    "Hot",
    "Log",
    "ListFleets",
    "Status",
    "Diagnose",
    "ListPolicies",
}
TIDYING = {"Reap", "Acknowledge"}
OPERATING = {"Revoke", "Reopen", "Import", "SetPolicy", "UnsetPolicy"}
METHODS = tuple(SERVICE.methods_by_name)

#: Whose token, and what the callers of this test are granted: sessions, fleets, and whether they are operators.
GRANTS: dict[str, tuple[set[str], set[str], bool]] = {
    "alice": ({"alice-1", "alice-2"}, {"here"}, False),
    "bob": ({"bob-1"}, {"here", "there"}, False),
    "reader": (set(), {"here"}, False),
    "stranger": ({"alice-1", "alice-2", "bob-1"}, {"there"}, False),
    "operator": (set(), {"here"}, True),
    "root": ({"alice-1", "alice-2", "bob-1"}, {"here", "there"}, True),
}
INVALID = ("no token", "unknown", "expired", "empty", "another scheme", "two words")


@dataclass(frozen=True)
class Guarded:
    """A coordinator with credentials, and the headers that callers send to it."""

    coordinator: RunningCoordinator
    world: World
    headers: dict[str, str | None]
    fleets: dict[str, str]


@pytest.fixture(scope="module")
def guarded(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    world = make_world(tmp_path_factory.mktemp("guarded") / "certs", "cert-alice", "cert-nobody")
    fleets = {name: f"{name}-{id(world):x}" for name in ("here", "there")}
    here, both = (fleets["here"],), tuple(fleets.values())
    tokens = {
        "alice": world.add("alice", sessions=("alice-*",), fleets=here),
        "bob": world.add("bob", sessions=("bob-1",), fleets=both),
        "reader": world.add("reader", fleets=here),
        "stranger": world.add("stranger", sessions=("*",), fleets=(fleets["there"],)),
        "operator": world.add("operator", fleets=here, role="operator"),
        "root": world.add("root", sessions=("*",), fleets=("*",), role="operator"),
        "expired": world.add("expired", sessions=("*",), fleets=("*",), role="operator", days=1),
    }
    entries = world.tokens.read_text().replace("\nexpires_at = 2", "\nexpires_at = 1")
    world.tokens.write_text(entries)
    headers: dict[str, str | None] = {name: f"Bearer {token}" for name, token in tokens.items()}
    headers |= {
        "no token": None,
        "unknown": "Bearer coordination-nobody-knows-this-one",
        "empty": "Bearer ",
        "another scheme": f"Basic {tokens['root']}",
        "two words": f"Bearer {tokens['root']} {tokens['root']}",
    }
    options = (*world.serve_options(), "--http-listen", "127.0.0.1:0")
    with run_coordinator("serve", "--etcd", etcd.endpoint, *options) as running:
        yield Guarded(running, world, headers, fleets)


@pytest.fixture
async def opened(guarded: Guarded) -> AsyncIterator[grpc.aio.Channel]:
    async with channel(guarded.coordinator.endpoint, guarded.world) as opened:
        yield opened


def request_for(method: str, *, fleet: str, session: str, key: str = "task:nothing") -> Any:
    """Return a request that names the session wherever the method's request can."""
    request = getattr(pb, f"{method}Request")(fleet=fleet)
    fields = request.DESCRIPTOR.fields_by_name
    if "session" in fields:
        request.session = session
    if "work_key" in fields:
        request.work_key = key
    if "candidates" in fields:
        request.candidates.append(key)
    if "items" in fields:
        request.items.add(work_key=key)
    return request


def expected(who: str, method: str, session: str, fleet: str) -> str:
    """What becomes of a call: refused with one of two codes, or let in ("")."""
    if who in INVALID:
        return UNKNOWN
    sessions, fleets, operator = GRANTS[who]
    if fleet not in fleets:
        return FORBIDDEN
    if method in ACTING and session not in sessions:
        return FORBIDDEN
    if method in TIDYING and not sessions and not operator:
        return FORBIDDEN  # who may act as no session only reads
    if method in OPERATING and not operator:
        return FORBIDDEN
    return ""


def test_each_call_has_its_place_in_the_table() -> None:
    groups = (ACTING, READING, TIDYING, OPERATING)
    assert set().union(*groups) == set(METHODS)
    assert sum(map(len, groups)) == len(METHODS)


@pytest.mark.parametrize("who", [*GRANTS, *INVALID])
@pytest.mark.parametrize("method", METHODS)
async def test_who_may_make_which_call(guarded: Guarded, opened: grpc.aio.Channel, who: str, method: str) -> None:
    sessions = ("alice-1", "alice-2", "bob-1") if method in ACTING else ("alice-1",)
    for session, fleet in itertools.product(sessions, guarded.fleets):
        request = request_for(method, fleet=guarded.fleets[fleet], session=session)
        code, message = await code_of(opened, method, request, header=guarded.headers[who])
        answered = code if code in (UNKNOWN, FORBIDDEN) else ""
        assert answered == expected(who, method, session, fleet), (session, fleet, code, message)
        assert code != "INTERNAL", message


@pytest.mark.parametrize("method", [method for method in METHODS if method != "Watch"])
def test_who_may_make_which_call_over_http(guarded: Guarded, method: str) -> None:
    sessions = ("alice-1", "alice-2", "bob-1") if method in ACTING else ("alice-1",)
    with over_http(guarded) as caller:
        for who, session, fleet in itertools.product((*GRANTS, *INVALID), sessions, guarded.fleets):
            request = request_for(method, fleet=guarded.fleets[fleet], session=session)
            status, body = caller.call(method, request, header=guarded.headers[who])
            code = body["code"].upper() if status != 200 else "OK"
            answered = code if code in (UNKNOWN, FORBIDDEN) else ""
            assert answered == expected(who, method, session, fleet), (who, session, fleet, body)
            assert code != "INTERNAL", body
            assert (status == 401, status == 403) == (answered == UNKNOWN, answered == FORBIDDEN)


@pytest.mark.parametrize("who", [*GRANTS, *INVALID])
def test_who_may_read_events(guarded: Guarded, who: str) -> None:
    header = guarded.headers[who]
    for fleet, name in guarded.fleets.items():
        with over_http(guarded) as caller:
            named = {} if header is None else {"Authorization": header}
            refused = expected(who, "Watch", "", fleet)
            if refused:
                status, _, body = caller.send(f"/events?fleet={name}", None, named, method="GET")
                assert (status, json.loads(body)["code"].upper()) == (401 if refused == UNKNOWN else 403, refused)
            else:
                assert next(caller.events(f"fleet={name}", named))["event"] == "progress"


def over_http(guarded: Guarded) -> HttpCaller:
    return HttpCaller(guarded.coordinator.http_url, tls=ssl.create_default_context(cafile=guarded.world.ca))


def test_over_http_a_refusal_has_the_same_words_and_health_and_description_are_open(guarded: Guarded) -> None:
    request = request_for("Claim", fleet=guarded.fleets["here"], session="bob-1")
    with over_http(guarded) as caller:
        assert caller.call("Claim", request, header=guarded.headers["alice"])[1]["message"] == (
            "credential 'alice' may not act as session 'bob-1'; its sessions: alice-*"
        )
        for who in INVALID:
            status, body = caller.call("Claim", request, header=guarded.headers[who])
            assert (status, body["message"]) == (401, "the call carries no valid credential")
        for path in ("/healthz", "/readyz", "/openapi.json", "/", "/metrics"):
            assert caller.send(path, None, method="GET")[0] == 200
        # With TLS it is the certificate that says who is reached, so that any name may lead here.
        assert caller.send("/openapi.json", None, {"Host": "any.example"}, method="GET")[0] == 200
        assert caller.send("/openapi.json", None, {"Origin": "https://evil.example"}, method="GET")[0] == 403


def test_without_a_credential_a_body_is_not_waited_for(guarded: Guarded) -> None:
    with over_http(guarded) as caller:
        connection = caller._connection
        connection.putrequest("POST", f"/{SERVICE.full_name}/Claim")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "200000")
        connection.endheaders()
        assert connection.getresponse().status == 401


@pytest.mark.parametrize("who", [*GRANTS, *INVALID])
@pytest.mark.parametrize("like", ["Revoke", "Acknowledge"])
async def test_a_withdrawal_without_a_session_needs_what_its_requests_did(
    guarded: Guarded, opened: grpc.aio.Channel, who: str, like: str
) -> None:
    for fleet in guarded.fleets:
        item = pb.WithdrawItem(work_key="task:nothing", request_id="r")
        acknowledgements = like == "Acknowledge"
        request = pb.WithdrawRequest(fleet=guarded.fleets[fleet], items=[item], acknowledgements=acknowledgements)
        code, message = await code_of(opened, "Withdraw", request, header=guarded.headers[who])
        assert code == (expected(who, like, "", fleet) or "OK"), (fleet, message)


async def test_a_withdrawal_of_a_session_is_no_operators_by_what_it_calls_itself(
    guarded: Guarded, opened: grpc.aio.Channel
) -> None:
    item = pb.WithdrawItem(work_key="task:nothing", request_id="r")
    for acknowledgements in (True, False):
        request = pb.WithdrawRequest(
            fleet=guarded.fleets["here"], session="bob-1", items=[item], acknowledgements=acknowledgements
        )
        code, _ = await code_of(opened, "Withdraw", request, header=guarded.headers["operator"])
        assert code == FORBIDDEN


async def test_calls_without_a_valid_credential_get_the_same_answer(guarded: Guarded, opened: grpc.aio.Channel) -> None:
    request = request_for("Status", fleet=guarded.fleets["here"], session="")
    answered = {await code_of(opened, "Status", request, header=guarded.headers[who]) for who in INVALID}
    assert answered == {(UNKNOWN, "the call carries no valid credential")}


@pytest.mark.parametrize(
    "method", sorted(ACTING - {"Claim", "ClaimMany", "ClaimNext", "RenewMany", "Submit", "Withdraw"})
)
@pytest.mark.parametrize("session", ["alice-1", "bob-1"])
async def test_no_credential_touches_the_claim_of_another(
    guarded: Guarded, opened: grpc.aio.Channel, method: str, session: str
) -> None:
    """Alice does not reach Bob's claim, neither as herself nor as Bob, not even with its fencing token."""
    fleet, key = guarded.fleets["here"], f"task:{method}-{session}".lower()
    claim = pb.ClaimRequest(fleet=fleet, session="bob-1", work_key=key, note="Bob's")
    assert await code_of(opened, "Claim", claim, header=guarded.headers["bob"]) == ("OK", "")
    before = await details(guarded, opened, key)

    request = request_for(method, fleet=fleet, session=session, key=key)
    request.fencing_token = before.claim.fencing_token
    code, _ = await code_of(opened, method, request, header=guarded.headers["alice"])

    assert code == ("FAILED_PRECONDITION" if session == "alice-1" else FORBIDDEN)
    after = await details(guarded, opened, key)
    assert (after.claim.session, after.claim.note, after.claim.expires_at) == (
        "bob-1",
        "Bob's",
        before.claim.expires_at,
    )
    assert not after.history


async def details(guarded: Guarded, opened: grpc.aio.Channel, key: str) -> Any:
    call = opened.unary_unary(
        "/coordinator.v1.CoordinatorService/Get",
        request_serializer=pb.GetRequest.SerializeToString,
        response_deserializer=pb.GetResponse.FromString,
    )
    request = pb.GetRequest(fleet=guarded.fleets["here"], work_key=key)
    metadata = (("authorization", guarded.headers["root"] or ""),)
    return await call(request, metadata=metadata, timeout=20)


async def test_an_operator_takes_a_claim_away_and_an_agent_does_not(guarded: Guarded, opened: grpc.aio.Channel) -> None:
    fleet, key = guarded.fleets["here"], "task:to-be-revoked"
    claim = pb.ClaimRequest(fleet=fleet, session="alice-1", work_key=key)
    assert (await code_of(opened, "Claim", claim, header=guarded.headers["alice"]))[0] == "OK"
    revoke = pb.RevokeRequest(fleet=fleet, work_key=key, reason="no", at_once=True)
    code, message = await code_of(opened, "Revoke", revoke, header=guarded.headers["alice"])
    assert (code, message) == (FORBIDDEN, "Revoke is for operators; credential 'alice' is an agent's")
    assert (await details(guarded, opened, key)).claim.session == "alice-1"
    assert (await code_of(opened, "Revoke", revoke, header=guarded.headers["operator"]))[0] == "OK"
    assert not (await details(guarded, opened, key)).HasField("claim")


async def test_a_refusal_names_what_is_not_allowed_and_what_is(guarded: Guarded, opened: grpc.aio.Channel) -> None:
    here = guarded.fleets["here"]
    claim = pb.ClaimRequest(fleet=here, session="bob-1", work_key="task:x")
    assert await code_of(opened, "Claim", claim, header=guarded.headers["alice"]) == (
        FORBIDDEN,
        "credential 'alice' may not act as session 'bob-1'; its sessions: alice-*",
    )
    assert await code_of(opened, "Get", pb.GetRequest(work_key="task:x"), header=guarded.headers["alice"]) == (
        FORBIDDEN,
        f"credential 'alice' may not use the fleet 'default'; its fleets: {here}",
    )


async def test_health_is_open(opened: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_is_for_those_with_a_credential(guarded: Guarded, opened: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(opened)
    wanted = reflection_pb2.ServerReflectionRequest(list_services="")

    async def answer(who: str) -> str:
        header = guarded.headers[who]
        call = stub.ServerReflectionInfo(timeout=20, metadata=() if header is None else (("authorization", header),))
        try:
            if who not in INVALID:
                await call.write(wanted)
            services = [service.name for service in (await call.read()).list_services_response.service]
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK" if SERVICE.full_name in services else "?"

    assert [await answer(who) for who in (*INVALID, "reader")] == [UNKNOWN] * len(INVALID) + ["OK"]


async def test_8_a_caller_sees_the_fleets_that_its_credential_grants(
    guarded: Guarded, opened: grpc.aio.Channel
) -> None:
    for name in guarded.fleets.values():
        request = request_for("Claim", fleet=name, session="bob-1", key=f"task:{name}")
        assert (await code_of(opened, "Claim", request, header=guarded.headers["bob"]))[0] == "OK"

    async def seen(caller: str, fleet: str) -> set[str]:
        request = request_for("ListFleets", fleet=guarded.fleets[fleet], session="")
        metadata = (("authorization", guarded.headers[caller] or ""),)
        answer = await CoordinatorServiceStub(opened).ListFleets(request, timeout=20, metadata=metadata)
        return {use.name for use in answer.fleets}

    here, there = guarded.fleets["here"], guarded.fleets["there"]
    assert await seen("alice", "here") == await seen("reader", "here") == {here}
    assert await seen("stranger", "there") == {there}
    assert await seen("bob", "here") == {here, there}
    assert await seen("root", "there") >= {here, there}
