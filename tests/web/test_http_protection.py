"""What protects the HTTP port as it protects that of gRPC: client certificates, withdrawn credentials, pauses.

The coordinators run in this process, so that a pause can be had without stopping one.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.clock import boot_seconds
from coordinator.diagnosis import tls
from coordinator.process.pauses import LONGEST_SECONDS
from coordinator.security.settings import SecuritySettings
from tests.conftest import RunningEtcd
from tests.faces.world import World as Running
from tests.integration.security_world import SOON, World, make_world
from tests.web.calling import HttpCaller

JSON = {"Content-Type": "application/json"}
LOOK = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {"key": "x"}}}
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An authority, and the certificates of Alice, who has a credential by it, and of Bob, who has none."""
    world = make_world(tmp_path_factory.mktemp("files") / "certs", "alice", "bob")
    world.add("root", sessions=("*",), fleets=("*",), role="operator")
    world.add("leaving", sessions=("leaving-*",), fleets=("*",))
    with world.tokens.open("a") as file:
        file.write('[[credential]]\nname = "Alice"\ncertificate = "alice"\nsessions = ["alice-*"]\nfleets = ["*"]\n')
    return world


@contextlib.contextmanager
def running(etcd: RunningEtcd, directory: Path, **security: Any) -> Iterator[Running]:
    found = Running(directory, etcd.endpoint)
    found.start(SecuritySettings(**security))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def mutual(etcd: RunningEtcd, files: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A coordinator that asks for certificates."""
    certificates = {"tls_cert": files.file("server.crt"), "tls_key": files.file("server.key"), "client_ca": files.ca}
    with running(etcd, tmp_path_factory.mktemp("mutual"), tokens=files.tokens, **certificates) as found:
        yield found


@pytest.fixture(scope="module")
def plain(etcd: RunningEtcd, files: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One without TLS, at which nothing else happens."""
    with running(etcd, tmp_path_factory.mktemp("plain"), tokens=files.tokens) as found:
        yield found


def shown(files: World, name: str | None) -> ssl.SSLContext:
    """How a caller connects that shows a certificate, or none."""
    context = ssl.create_default_context(cafile=files.ca)
    if name is not None:
        context.load_cert_chain(files.file(f"{name}.crt"), files.file(f"{name}.key"))
    return context


def bearer(files: World, name: str) -> str:
    return f"Bearer {files.file(f'{name}.token').read_text().strip()}"


class TestMutualTls:
    def test_without_a_certificate_nothing_is_answered(self, mutual: Running, files: World) -> None:
        # In TLS 1.3 the refusal may come only when something is read.
        with HttpCaller(mutual.http_url, tls=shown(files, None)) as caller, pytest.raises(OSError):
            caller.send("/healthz", None, method="GET")

    def test_one_of_another_authority_is_refused(self, mutual: Running, files: World, tmp_path: Path) -> None:
        others = make_world(tmp_path / "certs", "alice")
        context = shown(files, None)
        context.load_cert_chain(others.file("alice.crt"), others.file("alice.key"))
        with HttpCaller(mutual.http_url, tls=context) as caller, pytest.raises(OSError):
            caller.send("/healthz", None, method="GET")

    def test_it_says_who_calls(self, mutual: Running, files: World, fleet: str) -> None:
        claim = {"fleet": fleet, "session": "alice-1", "workKey": "task:x"}
        with HttpCaller(mutual.http_url, tls=shown(files, "alice")) as caller:
            assert caller.call("Claim", claim)[0] == 200
            status, body = caller.call("Claim", claim | {"session": "bob-1"})
            assert (status, body["code"]) == (403, "permission_denied")
            assert body["message"] == "credential 'Alice' may not act as session 'bob-1'; its sessions: alice-*"
            # A token counts before a certificate.
            assert caller.call("Claim", claim, header="Bearer unknown")[0] == 401
            assert caller.call("Claim", claim | {"session": "bob-1"}, header=bearer(files, "root"))[0] == 200
            assert next(caller.events(f"fleet={fleet}"))["event"] == "progress"
        with HttpCaller(mutual.http_url, tls=shown(files, "bob")) as caller:
            assert caller.call("Claim", claim)[0] == 401
            assert caller.call("Claim", claim, header=bearer(files, "root"))[0] == 200

    def test_an_agent_at_mcp_is_known_by_it_too(self, mutual: Running, files: World, fleet: str) -> None:
        named = JSON | {"Accept": "application/json", "MCP-Protocol-Version": "2025-11-25", "Coordination-Fleet": fleet}
        with HttpCaller(mutual.http_url, tls=shown(files, "alice")) as caller:
            status, _, body = caller.send("/mcp", LOOK.encode(), named | {"Coordination-Session": "alice-1"})
            assert (status, json.loads(body)["result"].get("isError", False)) == (200, False)
        with HttpCaller(mutual.http_url, tls=shown(files, "bob")) as caller:
            assert caller.send("/mcp", LOOK.encode(), named | {"Coordination-Session": "bob-1"})[0] == 401


def test_a_reader_of_events_whose_credential_is_withdrawn_is_cut_off(plain: Running, files: World, fleet: str) -> None:
    with HttpCaller(plain.http_url) as caller:
        events = caller.events(f"fleet={fleet}", {"Authorization": bearer(files, "leaving")})
        assert next(events)["event"] == "progress"
        entries = files.tokens.read_text()
        head, *each = entries.split("[[credential]]")
        files.tokens.write_text("[[credential]]".join([head, *(one for one in each if '"leaving"' not in one)]))
        end = next(event for event in events if event.get("event") == "end")
        assert end["data"]["code"] == "unauthenticated"
        assert next(events, None) is None


class TestPauses:
    def test_what_came_before_a_pause_is_refused_and_what_comes_after_is_not(
        self, plain: Running, files: World, fleet: str
    ) -> None:
        claim = {"fleet": fleet, "session": "session-1", "workKey": "task:late"}
        token = bearer(files, "root")
        with HttpCaller(plain.http_url) as before, HttpCaller(plain.http_url) as reader:
            assert before.call("Get", {"fleet": fleet, "workKey": "task:late"}, header=token)[0] == 200
            events = reader.events(f"fleet={fleet}", {"Authorization": token})
            assert next(events)["event"] == "progress"
            pause(plain)
            assert self._refused(before, "/coordinator.v1.CoordinatorService/Claim", json.dumps(claim), token)
            # Its connection is older than the pause: it is closed.
            with contextlib.suppress(OSError):
                assert all(event.get("event") in ("progress", "end") for event in events)
        await_service(plain, token)
        with HttpCaller(plain.http_url) as after:
            status, found = after.call("Get", {"fleet": fleet, "workKey": "task:late"}, header=token)
            assert (status, found.get("claim")) == (200, None)
            assert after.call("Claim", claim, header=token)[1]["outcome"] == "OUTCOME_GRANTED"

    def test_so_is_what_an_agent_has_sent(self, plain: Running, files: World) -> None:
        token = bearer(files, "root")
        with HttpCaller(plain.http_url) as before:
            assert before.send("/healthz", None, method="GET")[0] == 200
            pause(plain)
            assert self._refused(before, "/mcp", LOOK, token)
        await_service(plain, token)

    def _refused(self, caller: HttpCaller, path: str, body: str, token: str) -> bool:
        """Send a request over a connection from before the pause, and return whether it is not carried out."""
        connection = caller._connection
        connection.auto_open = 0
        try:
            status, _, answer = caller.send(path, body.encode(), JSON | {"Authorization": token})
        except OSError:
            return True  # closed already
        return status == 503 and json.loads(answer)["code"] == "unavailable"


def pause(coordinator: Running) -> None:
    """Have the coordinator find that its process stood still until now."""
    pauses = coordinator._server._connections.pauses

    async def stand_still() -> None:
        pauses._beat = boot_seconds() - LONGEST_SECONDS - 60
        assert pauses.count

    coordinator.run(stand_still())


def await_service(coordinator: Running, token: str) -> None:
    """Wait until new connections are answered: until it has closed all others, they are not."""
    until = time.monotonic() + SOON
    while True:
        with HttpCaller(coordinator.http_url) as caller, contextlib.suppress(OSError):
            if caller.call("Status", {}, header=token)[0] == 200:
                return
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("users", [True, False])
def test_doctor_reports_tokens_that_come_in_clear_over_http(
    plain: Running, mutual: Running, files: World, fleet: str, users: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "has_other_users", lambda: users)
    for running_, context in ((plain, None), (mutual, shown(files, "alice"))):
        with HttpCaller(running_.http_url, tls=context) as caller:
            status, found = caller.call("Diagnose", {"fleet": fleet}, header=bearer(files, "root"))
        assert status == 200
        said = [each["message"] for each in found["findings"] if each["check"] == "token-in-clear"]
        where = running_.http_url.rpartition("/")[2]
        expected = f"tokens are sent in clear text over HTTP to {where}, which another user of this host could take"
        assert said == ([expected] if users and running_ is plain else [])
