"""The tools over HTTP, at ``/mcp``: by the SDK's own client, and by requests that no client of it sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import mcp
import pytest
from mcp import types
from mcp.client.streamable_http import streamable_http_client

from coordinator import Client, Outcome, Unauthenticated
from coordinator.mcp.tools import INSTRUCTIONS, TOOLS
from coordinator.security.credential_grants import Grant
from coordinator.server_limits import MAX_REQUEST_BYTES
from coordinator.web.mcp import endpoint
from coordinator.web.mcp.sessions import invent
from tests.conftest import RunningEtcd
from tests.faces.table import ME
from tests.faces.world import FLEETS, World, running_world
from tests.mcp.agents import Said
from tests.web.calling import HttpCaller

JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
VERSIONS = ("2025-11-25", "2026-07-28")


@pytest.fixture(scope="module")
def world(etcd: RunningEtcd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("world")
        with running_world(
            directory, etcd.endpoint, lambda name, new: patch.setattr(f"coordinator.server.{name}", new)
        ) as running:
            yield running


@pytest.fixture
def fleet() -> str:
    return f"{FLEETS}{uuid.uuid4().hex[:12]}"


@pytest.fixture
def others(world: World, fleet: str) -> Iterator[Client]:
    with Client(world.endpoint, fleet=fleet, token_file=world.token_file("all")) as client:
        yield client


def headers(world: World, fleet: str, bearing: str = "all", session: str | None = ME) -> dict[str, str]:
    """What an agent has in its settings."""
    path = world.token_file(bearing)
    found = {"Coordination-Fleet": fleet, "Coordination-Repo": "acme/web"}
    found |= {} if path is None else {"Authorization": f"Bearer {path.read_text().strip()}"}
    return found | ({} if session is None else {"Coordination-Session": session})


@contextlib.asynccontextmanager
async def an_agent(world: World, version: str, settings: dict[str, str]) -> AsyncIterator[mcp.Client]:
    """An agent with the SDK's client, which says hello as agents did until 2025, or needs not, as since then."""
    async with httpx2.AsyncClient(headers=settings, timeout=60) as http:
        transport = streamable_http_client(f"{world.http_url}/mcp", http_client=http)
        async with mcp.Client(transport, mode="legacy" if version < "2026" else "auto") as client:
            yield client


async def call(client: mcp.Client, tool: str, **arguments: Any) -> Said:
    found = await client.call_tool(tool, arguments)
    assert isinstance(found, types.CallToolResult)
    (content,) = found.content
    assert isinstance(content, types.TextContent)
    return Said(content.text, found.structured_content or {}, bool(found.is_error))


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_tools_are_those_of_the_command(world: World, fleet: str, others: Client, version: str) -> None:
    await asyncio.to_thread(others.claim, "session-b", "acme/web#7", ttl=600)
    async with an_agent(world, version, headers(world, fleet)) as client:
        assert client.protocol_version == version
        assert client.instructions == INSTRUCTIONS
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == [*TOOLS]
        denied = await call(client, "claim", keys=["#7"])
        assert denied.text.startswith("DENIED github:acme/web#7: held by session-b for at most 10 min\n")
        granted = await call(client, "claim", keys=["#7", "#8"], note="about to begin")
        assert granted.text == "claimed github:acme/web#8 for 10 min; renewed while you work\npassed over: 1 held"
        assert (await call(client, "note", key="#8", note="half done")).text == "renewed github:acme/web#8 for 10 min"
        claim = (await asyncio.to_thread(others.get, "acme/web#8")).claim
        assert claim is not None
        assert (claim.session, claim.note) == (ME, "half done")
        assert (await call(client, "submit", key="#9", brief="later")).text == "submitted github:acme/web#9"
        assert "github:acme/web#8 is held by your session" in (await call(client, "look", key="#8")).text
        assert "You hold" in (await call(client, "briefing")).text
        done = await call(client, "finish", key="#8", outcome="completed", result="PR 9")
        assert done.fields == {"work_key": "github:acme/web#8", "state": "completed"}
        wrong = await call(client, "look", keys="#8")
        assert wrong.failed
        assert "look: key is missing" in wrong.text


async def test_an_agent_without_a_session_gets_one_when_it_says_hello(world: World, fleet: str, others: Client) -> None:
    async with an_agent(world, VERSIONS[0], headers(world, fleet, session=None)) as client:
        first = await call(client, "claim", keys=["task:x"])
        session = first.fields["session"]
        assert session.startswith("mcp-")
        assert first.text.endswith(f"\nyour session is {session}")
        assert "by your session" in (await call(client, "look", key="task:x")).text
        claim = (await asyncio.to_thread(others.get, "task:x")).claim
        assert claim is not None
        assert claim.session == session
    async with an_agent(world, VERSIONS[0], headers(world, fleet, session=None)) as other:
        assert (await call(other, "claim", keys=["task:x"])).fields["why"].startswith(f"held by {session}")
    async with an_agent(world, VERSIONS[1], headers(world, fleet, session=None)) as modern:
        refused = await call(modern, "claim", keys=["task:y"])
        assert refused.failed
        assert refused.text == (
            "the call names no session. Nothing was changed. Hint: name the agent's session in its settings, by the "
            "header Coordination-Session"
        )


async def test_the_credential_says_for_which_session_it_is(world: World, fleet: str) -> None:
    assert Grant("a", sessions=("alice",)).sessions.only_name == "alice"
    assert Grant("a", sessions=("alice", "bob")).sessions.only_name == ""
    invented = invent({}, Grant("a", sessions=("alice-*",)))
    assert Grant("a", sessions=("alice-*",)).sessions.match(invented)
    async with an_agent(world, VERSIONS[1], headers(world, fleet, "narrow")) as client:
        refused = await call(client, "claim", keys=["task:x"])
        assert refused.failed
        assert refused.text.startswith(f"credential 'narrow' may not act as session '{ME}'; its sessions: {ME}-*. ")
    async with an_agent(world, VERSIONS[0], headers(world, fleet, "narrow", session=None)) as client:
        assert (await call(client, "claim", keys=["task:x"])).fields["session"].startswith(f"{ME}-mcp-")


class TestRequests:
    """Requests that no client of the SDK sends."""

    @pytest.fixture
    def caller(self, world: World) -> Iterator[HttpCaller]:
        with HttpCaller(world.http_url) as caller:
            yield caller

    @pytest.mark.parametrize(
        ("method", "more", "status"),
        [
            ("GET", {}, 405),
            ("PUT", {}, 405),
            ("POST", {"Content-Type": "text/plain"}, 415),
            ("POST", {"Content-Encoding": "gzip"}, 501),
            ("POST", {"Origin": "http://evil.example"}, 403),
            ("POST", {"Sec-Fetch-Site": "same-site"}, 403),
            ("POST", {"Host": "evil.example"}, 403),
            ("POST", {"Authorization": "Bearer unknown"}, 401),
            ("POST", {"MCP-Protocol-Version": "1999-01-01"}, 400),
            ("POST", {"Coordination-Fleet": "A B"}, 200),
        ],
    )
    def test_what_is_refused(
        self, world: World, fleet: str, caller: HttpCaller, method: str, more: dict[str, str], status: int
    ) -> None:
        sent = JSON | {"MCP-Protocol-Version": VERSIONS[0]} | headers(world, fleet) | more
        found, _, body = caller.send("/mcp", request("look", key="task:x"), sent, method=method)
        assert found == status, body
        if status == 200:
            assert json.loads(body)["result"]["isError"]
            assert "'A B' is not a fleet" in body.decode()

    def test_without_a_credential_a_body_is_not_waited_for(self, caller: HttpCaller) -> None:
        connection = caller._connection
        connection.putrequest("POST", "/mcp")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "200000")
        connection.endheaders()
        assert connection.getresponse().status == 401

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 90_000, b'{"jsonrpc":"2.0","id":1}'])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_what_is_no_message(self, world: World, fleet: str, caller: HttpCaller, body: bytes, version: str) -> None:
        sent = JSON | {"MCP-Protocol-Version": version} | headers(world, fleet)
        status, _, answer = caller.send("/mcp", body, sent)
        assert (status, "error" in json.loads(answer)) == (400, True), answer
        assert len(answer) < 2_000

    def test_one_that_is_too_large(self, world: World, fleet: str, caller: HttpCaller) -> None:
        connection = caller._connection
        connection.putrequest("POST", "/mcp")
        for name, value in {**JSON, **headers(world, fleet), "Content-Length": str(MAX_REQUEST_BYTES + 1)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (429, "resource_exhausted")

    def test_a_session_is_ended(self, world: World, fleet: str, caller: HttpCaller, others: Client) -> None:
        sent = JSON | {"MCP-Protocol-Version": VERSIONS[0]} | headers(world, fleet)
        assert caller.send("/mcp", request("claim", keys=["task:x"]), sent)[0] == 200
        assert caller.send("/mcp", None, sent, method="DELETE")[0] == 200
        assert others.get("task:x").claim is not None

    def test_an_agent_that_goes_away_leaves_no_claim(self, world: World, fleet: str, others: Client) -> None:
        others.claim("session-b", "task:x", ttl=600)
        body = request("claim", keys=["task:x"], wait_seconds=40)
        sent = {**JSON, **headers(world, fleet), "MCP-Protocol-Version": VERSIONS[0], "Host": "localhost"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        host, _, port = world.http_url.rpartition("/")[2].partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(f"POST /mcp HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: bool(others.get("task:x").contenders))
        others.release("session-b", "task:x", reason="for whom it may concern")
        assert others.try_claim("session-c", "task:x").work_key == "task:x"
        until(lambda: (claim := others.get("task:x").claim) is None or claim.session == "session-c")


async def test_what_it_holds_is_renewed_with_the_credential_of_the_agent(
    world: World, fleet: str, others: Client
) -> None:
    async with an_agent(world, VERSIONS[1], headers(world, fleet)) as client:
        await call(client, "claim", keys=["task:x"])
    ((_, whose), place) = next(each for each in agents_of(world)._places.items() if each[0][1].fleet == fleet)
    assert (whose.session, place.desk.keeping.work_keys) == (ME, ["task:x"])
    keeper, held = place.client._process.mine.keeper, place.desk.keeping._held["task:x"]

    def renewed() -> Any:
        return world.run(keeper._renew([held], 20.0))[0]

    before = others.get("task:x").claim
    again = await asyncio.to_thread(renewed)
    assert before is not None
    assert (again.fencing_token, again.outcome) == (before.fencing_token, Outcome.RENEWED)
    place.client.caller = place.client.caller._replace(metadata=(("authorization", "Bearer withdrawn"),))
    assert isinstance(await asyncio.to_thread(renewed), Unauthenticated)


async def test_credentials_do_not_share_a_desk(world: World, fleet: str) -> None:
    session = f"{ME}-1"
    for bearing in ("all", "narrow"):
        async with an_agent(world, VERSIONS[1], headers(world, fleet, bearing, session)) as client:
            found = await call(client, "claim", keys=[f"task:{bearing}"])
            assert found.fields["outcome"] == "granted"
    held = {
        key[0]: each.desk.keeping.work_keys for key, each in agents_of(world)._places.items() if key[1].fleet == fleet
    }
    assert held == {"all": ["task:all"], "narrow": ["task:narrow"]}


def agents_of(world: World) -> Any:
    endpoint = world._server._web._mcp
    assert endpoint is not None
    return endpoint._agents


def test_without_the_sdk_it_says_what_is_missing(world: World, fleet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> object:
        raise ImportError

    monkeypatch.setattr(endpoint, "import_module", missing)
    monkeypatch.setattr(world._server._web._mcp, "_agents", None)
    with HttpCaller(world.http_url) as caller:
        status, _, answer = caller.send("/mcp", request("look", key="task:x"), JSON | headers(world, fleet))
    assert (status, json.loads(answer)["code"]) == (501, "unimplemented")
    assert "pip install 'coordinator[mcp]'" in answer.decode()


def request(tool: str, **arguments: Any) -> bytes:
    parameters = {"name": tool, "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}).encode()


def until(happens: Any) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
