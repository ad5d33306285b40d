"""Calls over HTTP: the Connect protocol with JSON, against the coordinator that the tests share."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format

from coordinator import Client
from coordinator.server_limits import MAX_REQUEST_BYTES, MAX_SMALL_REQUEST_BYTES
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types
from tests.conftest import RunningCoordinator
from tests.web.calling import SERVICE_PATH, HttpCaller
from tests.web.serving import answer_on, is_ended

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def caller(coordinator: RunningCoordinator) -> Iterator[HttpCaller]:
    with HttpCaller(coordinator.http_url) as found:
        yield found


@pytest.fixture
def client(coordinator: RunningCoordinator, fleet: str) -> Iterator[Client]:
    with Client(coordinator.endpoint, fleet=fleet) as found:
        yield found


def test_a_claim_is_granted_denied_and_completed(caller: HttpCaller, client: Client, fleet: str) -> None:
    claim = {"fleet": fleet, "session": "alice-1", "workKey": "acme/web#7", "ttl": "60s", "note": "näher ☃"}
    status, granted = caller.call("Claim", claim)
    assert (status, granted["outcome"], granted["workKey"]) == (200, "OUTCOME_GRANTED", "github:acme/web#7")
    # 64-bit numbers are strings, as JavaScript's numbers are not exact.
    assert isinstance(granted["claim"]["fencingToken"], str)
    assert client.get("acme/web#7").record.note == "näher ☃"

    status, denied = caller.call("Claim", claim | {"session": "bob-1"})
    assert (status, denied["outcome"], denied["denial"]["holder"]) == (200, "OUTCOME_DENIED", "alice-1")

    # Its numbers may be numbers or strings, its names those of the .proto files.
    complete = {"fleet": fleet, "session": "alice-1", "work_key": "acme/web#7"}
    complete["fencing_token"] = granted["claim"]["fencingToken"]
    status, completed = caller.call("Complete", complete)
    assert (status, completed["record"]["state"]) == (200, "STATE_COMPLETED")


def test_what_is_unknown_is_ignored_and_an_empty_body_is_an_empty_request(caller: HttpCaller, fleet: str) -> None:
    request = {"fleet": fleet, "later": {"much": [1]}, "states": ["STATE_LATER"]}
    assert caller.call("List", request) == (200, {"revision": caller.call("List", request)[1]["revision"]})
    assert caller.send(SERVICE_PATH + "ListFleets", b"", JSON)[0] == 200


def error_of(body: dict[str, Any]) -> types.ErrorDetail:
    """Check an error as the protocol has it, and return what it says."""
    (detail,) = body["details"]
    assert detail["type"] == "coordinator.v1.ErrorDetail"
    assert not detail["value"].endswith("=")
    found = types.ErrorDetail.FromString(base64.b64decode(detail["value"] + "=="))
    assert json_format.ParseDict(detail["debug"], types.ErrorDetail()) == found
    assert (found.code.lower(), found.message) == (body["code"], body["message"])
    return found


@pytest.mark.parametrize(
    ("method", "request_", "status", "code", "says"),
    [
        ("Claim", {"session": "a b", "workKey": "task:x"}, 400, "INVALID_ARGUMENT", "session"),
        ("Claim", {"session": "a", "workKey": "task:x", "ttl": "1s"}, 400, "INVALID_ARGUMENT", "a ttl of 1 s is out"),
        ("Get", {"workKey": ""}, 400, "INVALID_ARGUMENT", "work key"),
        ("Renew", {"session": "a", "workKey": "task:never"}, 404, "NOT_FOUND", "task:never"),
        ("Complete", {"session": "a", "workKey": "task:never"}, 404, "NOT_FOUND", "task:never"),
        ("List", {"pageToken": "x"}, 400, "INVALID_ARGUMENT", "page"),
    ],
)
def test_an_error_has_the_sentence_and_detail_that_it_has_over_grpc(
    caller: HttpCaller, fleet: str, method: str, request_: dict[str, Any], status: int, code: str, says: str
) -> None:
    found, body = caller.call(method, {"fleet": fleet} | request_)
    assert found == status, body
    error = error_of(body)
    assert error.code == code
    assert says in error.message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"\xff",
        b"\x00",
        b'{"session": 7}',
        b'{"session": "\\ud800"}',
        b'{"session": ["a"]}',
        b'{"ttl": "soon"}',
        b'{"ttl": "1e999s"}',
        b'{"ttl": {"seconds": 5}}',
        b'{"ttl": "999999999999999999999s"}',
        b'{"fencingToken": "12345678901234567890"}',
        b'{"fencingToken": 1.5}',
        b'{"fencingToken": NaN}',
        b'{"fencingToken": ' + b"9" * 5_000 + b"}",
        b'{"session": "a", "session": {}}',
        b"[" * 100_000,
        b'{"a":' * 30_000,
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(caller: HttpCaller, body: bytes) -> None:
    status, _, answer = caller.send(SERVICE_PATH + "Claim", body, JSON)
    error = error_of(json.loads(answer))
    assert (status, error.code) == (400, "INVALID_ARGUMENT"), error
    assert error.message.startswith("the body is not a valid ClaimRequest in JSON: ")
    assert len(error.message) < 400


def test_a_request_that_is_too_large_is_refused_before_it_is_read(
    coordinator: RunningCoordinator, caller: HttpCaller
) -> None:
    for method, most in (("Claim", MAX_SMALL_REQUEST_BYTES), ("ClaimMany", MAX_REQUEST_BYTES)):
        head = f"POST {SERVICE_PATH}{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with connect(coordinator) as connection:
            connection.sendall(f"{head}Content-Length: {most + 1}\r\n\r\n".encode())
            answer = answer_on(connection)
        assert answer.startswith(b"HTTP/1.1 429")
        assert f"a {method}Request may have {most} bytes".encode() in answer
        body = b'{"note": "' + b"x" * most
        with connect(coordinator) as connection:
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:most], body[most:]))
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
            assert f"may have {most} bytes".encode() in answer_on(connection)
    padded = b" " * (MAX_SMALL_REQUEST_BYTES - 2) + b"{}"
    assert caller.send(SERVICE_PATH + "ListFleets", padded, JSON)[0] == 200


def connect(coordinator: RunningCoordinator) -> socket.socket:
    host, _, port = coordinator.http_url.rpartition("/")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_only_json_is_read_and_what_is_wanted_is_said(caller: HttpCaller) -> None:
    path = SERVICE_PATH + "Status"
    for content_type in ("text/plain", "application/proto", "application/connect+json", "", "application/jsonx",
                         "application/json; charset=latin-1", "application/x-www-form-urlencoded"):  # fmt: skip
        status, headers, _ = caller.send(path, b"{}", {"Content-Type": content_type})
        assert (status, headers["Accept-Post"]) == (415, "application/json"), content_type
    for content_type in ("application/json", "Application/JSON;charset=utf-8", 'application/json; charset="UTF-8"'):
        assert caller.send(path, b"{}", {"Content-Type": content_type})[0] == 200, content_type
    status, headers, _ = caller.send(path, None, method="GET")
    assert (status, headers["Allow"]) == (405, "POST")


def test_paths_that_are_no_calls_are_not_found(caller: HttpCaller) -> None:
    for path in (SERVICE_PATH, SERVICE_PATH + "Nothing", SERVICE_PATH + "Watch", SERVICE_PATH + "__init__",
                 "/coordinator.v1.Other/Status", SERVICE_PATH + "Status/"):  # fmt: skip
        status, _, body = caller.send(path, b"{}", JSON)
        assert (status, json.loads(body)["code"]) == (404, "unimplemented"), path


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Connect-Protocol-Version", "2", 400),
        ("Connect-Timeout-Ms", "soon", 400),
        ("Connect-Timeout-Ms", "-1", 400),
        ("Connect-Timeout-Ms", "12345678901", 400),
        ("Connect-Timeout-Ms", "٣", 400),
        ("Content-Encoding", "gzip", 501),
        ("Connect-Protocol-Version", "1", 200),
        ("Connect-Timeout-Ms", "9999999999", 200),
        ("Content-Encoding", "identity", 200),
    ],
)
def test_headers_of_the_protocol(caller: HttpCaller, header: str, value: str, status: int) -> None:
    found, _, body = caller.send(SERVICE_PATH + "Status", b"{}", JSON | {header: value.encode().decode("latin-1")})
    assert found == status
    if status != 200:
        assert header.lower() in error_of(json.loads(body)).message or "compress" in error_of(json.loads(body)).hint


def test_a_deadline_that_is_over_is_kept(caller: HttpCaller, fleet: str) -> None:
    claim = {"fleet": fleet, "session": "a", "workKey": "task:late", "requestId": "r-1"}
    status, body = caller.call("Claim", claim, Connect_Timeout_Ms="0")
    # Or nothing was sent to etcd any more.
    assert (status, body["code"]) in {(504, "deadline_exceeded"), (503, "unavailable")}
    assert error_of(body).request_id == "r-1"
    assert caller.call("Claim", claim)[1]["outcome"] in {"OUTCOME_GRANTED", "OUTCOME_RENEWED"}


def test_a_retry_with_the_same_request_id_gets_the_first_outcome(caller: HttpCaller, fleet: str) -> None:
    claim = {"fleet": fleet, "session": "a", "workKey": "task:again", "requestId": "r-1"}
    first, second = caller.call("Claim", claim)[1], caller.call("Claim", claim)[1]
    assert first["claim"]["fencingToken"] == second["claim"]["fencingToken"]
    assert second["outcome"] == "OUTCOME_GRANTED"


def test_a_claim_that_waits_is_granted_when_the_work_is_free(caller: HttpCaller, client: Client, fleet: str) -> None:
    held = client.claim("alice-1", "task:wanted", ttl=600)
    answers: list[dict[str, Any]] = []
    request = {"fleet": fleet, "session": "bob-1", "workKey": "task:wanted", "wait": "40s"}
    waiting = threading.Thread(
        target=lambda: answers.append(caller.call("Claim", request, Connect_Timeout_Ms="50000")[1])
    )
    waiting.start()
    assert held.fencing_token
    client.release("alice-1", "task:wanted", reason="for Bob")
    waiting.join(50)
    assert answers[0]["outcome"] == "OUTCOME_GRANTED"


def test_a_waiting_caller_that_goes_away_leaves_no_claim(
    coordinator: RunningCoordinator, client: Client, fleet: str
) -> None:
    client.claim("alice-1", "task:left", ttl=600)
    before = waiters(coordinator)
    body = json.dumps({"fleet": fleet, "session": "bob-1", "workKey": "task:left", "wait": "40s"})
    with connect(coordinator) as connection:
        head = f"POST {SERVICE_PATH}Claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Connect-Timeout-Ms: 50000\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        until(lambda: waiters(coordinator) > before)
    until(lambda: waiters(coordinator) <= before)
    client.release("alice-1", "task:left", reason="done")
    found = client.get("task:left")
    assert found.claim is None
    assert not found.contenders or found.record.session == "alice-1"


def waiters(coordinator: RunningCoordinator) -> float:
    with HttpCaller(coordinator.http_url) as caller:
        page = caller.send("/metrics", None, method="GET")[2].decode()
    found = re.search(r"^coordination_waiters ([0-9.]+)$", page, re.MULTILINE)
    assert found
    return float(found[1])


def until(happens: Any) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_calls_are_counted_and_timed_as_those_over_grpc(
    coordinator: RunningCoordinator, caller: HttpCaller, fleet: str
) -> None:
    def counted() -> float:
        page = caller.send("/metrics", None, method="GET")[2].decode()
        found = re.search(
            r'^coordination_rpc_seconds_count\{code="NOT_FOUND",method="Acknowledge"\} (\S+)$', page, re.MULTILINE
        )
        return 0.0 if found is None else float(found[1])

    before = counted()
    assert caller.call("Acknowledge", {"fleet": fleet, "workKey": "task:never"})[0] == 404
    assert counted() == before + 1


def test_a_page_of_another_site_reaches_nothing(caller: HttpCaller, fleet: str) -> None:
    claim = json.dumps({"fleet": fleet, "session": "a", "workKey": "task:stolen"}).encode()
    for more in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
        {"Host": "evil.example:7421", "Origin": "http://evil.example:7421", "Sec-Fetch-Site": "same-origin"},
    ):
        status, headers, body = caller.send(SERVICE_PATH + "Claim", claim, JSON | more)
        assert (status, json.loads(body)["code"]) == (403, "permission_denied"), more
        assert "Access-Control-Allow-Origin" not in headers
    # A form can be sent without asking; asking is not answered.
    assert caller.send(SERVICE_PATH + "Claim", claim, {"Content-Type": "text/plain"})[0] == 415
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = caller.send(SERVICE_PATH + "Claim", None, preflight, method="OPTIONS")
    assert status == 403
    assert not any(name.lower().startswith("access-control") for name in headers)
    assert caller.call("Get", {"fleet": fleet, "workKey": "task:stolen"})[1].get("claim") is None


def test_probes_need_no_name(caller: HttpCaller) -> None:
    for path in ("/healthz", "/readyz"):
        assert caller.send(path, None, {"Host": "pod.example"}, method="GET")[0] == 200
    assert caller.send("/metrics", None, {"Host": "evil.example"}, method="GET")[0] == 403


def test_the_description_has_every_call_that_is_served(caller: HttpCaller) -> None:
    status, headers, body = caller.send("/openapi.json", None, method="GET")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    described = json.loads(body)
    calls = [path for path in described["paths"] if path.startswith(SERVICE_PATH)]
    service = pb.DESCRIPTOR.services_by_name["CoordinatorService"]
    assert {*calls} == {f"{SERVICE_PATH}{method.name}" for method in service.methods if not method.server_streaming}
    for path in calls:
        assert caller.send(path, b"no json", JSON)[0] == 400
    # Events have no end.
    for path in {*described["paths"]} - {*calls, "/events"}:
        assert caller.send(path, None, method="GET")[0] == 200, path
    schemas = described["components"]["schemas"]
    assert {*re.findall(r"#/components/schemas/([\w.]+)", body.decode())} <= {*schemas}


def test_a_slow_body_is_cut_off_and_others_are_answered(coordinator: RunningCoordinator, caller: HttpCaller) -> None:
    """What cannot be cut off sooner is bounded elsewhere; here one that goes away holds nothing."""
    with connect(coordinator) as connection:
        head = f"POST {SERVICE_PATH}Claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f'{head}Content-Length: 100\r\n\r\n{{"a"'.encode())
        assert caller.call("Status", {})[0] == 200
        connection.shutdown(socket.SHUT_WR)
        assert is_ended(connection)
