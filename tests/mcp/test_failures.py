"""What an agent reads when something does not work: what happened, whether something may have, what to do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import types

from coordinator import AsyncClient
from coordinator.errors import (
    ClaimLost,
    Contended,
    CoordinatorError,
    InternalError,
    LimitExceeded,
    NotHolder,
    OutcomeUnknown,
    PermissionDenied,
    Unavailable,
)
from coordinator.mcp import server
from coordinator.mcp.desk import Desk
from coordinator.mcp.failures import describe_failure
from coordinator.process.new_files import new_files
from coordinator.security.new_tokens import add_credential
from coordinator.security.tokens_file import Wanted
from tests.cli.test_doctor import fill
from tests.conftest import RunCoordinator, RunningEtcd


class _Call:
    """What a handler looks at of a call."""

    request_id = 1


async def call(client: AsyncClient, tool: str, **arguments: Any) -> str:
    """Return the text of a tool's error."""
    desk = Desk(client, "s", "", 600)
    handlers = server.Handlers(server.seat_at(desk, named=False))
    parameters = types.CallToolRequestParams(name=tool, arguments=arguments)
    found = await handlers.call_tool(cast(Any, _Call()), parameters)
    await desk.close()
    assert found.is_error
    assert found.structured_content is None
    (content,) = found.content
    assert isinstance(content, types.TextContent)
    text, _, session = content.text.rpartition("\n")
    assert session == "your session is s"
    return text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OutcomeUnknown("no answer"),
            "It may have taken effect. To find out, call claim again with the same arguments",
        ),
        (Unavailable("etcd has no quorum", retry_after_seconds=2.4), "Nothing was changed. Try again in 2 s; without"),
        (Contended(), "Nothing was changed. Try again in a few seconds"),
        (LimitExceeded("the store is nearly full"), "Nothing was changed. Start no new work; try again"),
        (PermissionDenied("not as s", hint="ask x"), "Start no work; a person has to change this. Hint: ask x"),
        (ClaimLost("it expired"), "it expired. The claim is lost: stop this work and do not push"),
        (NotHolder("held by t"), "Your session does not hold it: stop, unless you have finished it yourself."),
        (InternalError("oops"), "Whether it has taken effect is not known."),
        (CoordinatorError("?"), "look says how it stands."),
    ],
)
def test_each_error_says_what_to_do(error: CoordinatorError, said: str) -> None:
    assert said in describe_failure(error, "claim")


def test_where_nothing_can_have_changed_nothing_is_said_of_it() -> None:
    assert describe_failure(OutcomeUnknown("no answer"), "look", reads=True) == (
        "no answer. Try again in a few seconds; without an answer start no work that others may do too."
    )


def test_a_text_of_others_stays_bounded_and_on_its_line() -> None:
    found = describe_failure(NotHolder("a\nb\u202e" + "x" * 5_000), "note")
    assert (len(found) < 700, "\n" in found, "\u202e" in found) == (True, False, False)


async def test_no_coordinator_answers() -> None:
    text = await call(AsyncClient("127.0.0.1:1", timeout=2), "claim", keys=["task:a"])
    assert "127.0.0.1:1" in text
    assert "Nothing was changed. Try again in a few seconds; without an answer start no work that others may do" in text


async def test_a_coordinator_hangs() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        text = await call(AsyncClient(endpoint, timeout=0.5), "finish", key="task:a", outcome="released", reason="r")
    assert "Nothing was changed" in text or "It may have taken effect" in text


async def test_the_token_is_refused(run_coordinator: RunCoordinator, etcd: RunningEtcd, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    with new_files(), contextlib.suppress(OSError):
        add_credential(tokens, Wanted("t", fleets=("default",), sessions=("t",)), tmp_path / "t.token")
    with run_coordinator("serve", "--etcd", etcd.endpoint, "--tokens", str(tokens)) as running:
        no_token = await call(AsyncClient(running.endpoint), "claim", keys=["task:a"])
        as_other = await call(AsyncClient(running.endpoint, token_file=tmp_path / "t.token"), "claim", keys=["task:a"])
    for text in (no_token, as_other):
        assert "Nothing was changed. Start no work; a person has to change this." in text
    assert "t.token" not in no_token


async def test_the_store_is_full(run_coordinator: RunCoordinator, tmp_path: Path) -> None:
    with run_coordinator("up", "--data-dir", str(tmp_path), "--etcd-quota-bytes", str(16 * 1024**2)) as running:
        await asyncio.to_thread(fill, running.etcd)
        text = await call(AsyncClient(running.endpoint), "claim", keys=["task:a"])
    assert "Nothing was changed. Start no new work; try again in" in text


async def test_a_fault_of_the_server_itself_tells_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_arguments: object) -> object:
        raise ValueError("secret")

    monkeypatch.setattr(Desk, "look", fail)
    text = await call(AsyncClient("127.0.0.1:1"), "look", key="task:a")
    assert text.startswith("the tool failed because of an internal error: ValueError. Whether it has taken effect")


async def test_no_tool_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(*_arguments: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(Desk, "claim", wait)
    monkeypatch.setattr(server, "LONGEST_WAIT_SECONDS", 0.05)
    text = await call(AsyncClient("127.0.0.1:1"), "claim", keys=["task:a"])
    assert text == "no answer came in time. It may have taken effect: call claim again."
    assert server.LONGEST_WAIT_SECONDS <= 45
