"""Clients with several endpoints, while coordinators are stopped, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from coordinator import AsyncClient, Claim, Client, Denial, NotHolder, OutcomeUnknown, Unavailable
from coordinator.store.etcd.client import EtcdChannel
from tests.cluster.claim_watching import PUT, watching_claims
from tests.conftest import RunningCoordinator, RunningEtcd
from tests.freezing import freeze
from tests.lossy_proxy import losing_answers

SESSIONS = 64
TIMEOUT = 20.0


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def two(etcd: RunningEtcd, run_coordinator: RunCoordinator) -> Iterator[list[RunningCoordinator]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(run_coordinator("serve", "--etcd", etcd.endpoint)) for _ in range(2)]


@contextlib.asynccontextmanager
async def client_of(kind: str, endpoints: str | list[str], fleet: str, timeout: float) -> Any:  # noqa: ASYNC109  # the client's
    """Yield what calls a client of either sort."""
    if kind == "async":
        async with AsyncClient(endpoints, fleet=fleet, timeout=timeout) as client:
            yield lambda method, *arguments, **more: getattr(client, method)(*arguments, **more)
        return
    with Client(endpoints, fleet=fleet, timeout=timeout) as synchronous:
        yield lambda method, *arguments, **more: asyncio.to_thread(getattr(synchronous, method), *arguments, **more)


@pytest.mark.long_but_for("sync")
@pytest.mark.alone
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_stopped_coordinator_takes_a_share_of_the_time_and_its_late_copies_do_nothing(
    two: list[RunningCoordinator], fleet: str, kind: str
) -> None:
    stopped, other = two
    async with client_of(kind, [stopped.endpoint, other.endpoint], fleet, TIMEOUT) as ask:
        await ask("get", "task:warm-up")  # so that there is a connection
        freeze(stopped.process.pid)
        try:
            started = time.monotonic()
            claim = await ask("claim", "session-1", "task:x")
            assert time.monotonic() - started < TIMEOUT / 2
            await ask("release", "session-1", "task:x", token=claim.fencing_token)
            # It stays with the one that answers.
            started = time.monotonic()
            for number in range(20):
                await ask("claim", "session-1", f"task:{number}")
            assert time.monotonic() - started < TIMEOUT / 2
        finally:
            os.kill(stopped.process.pid, signal.SIGCONT)
        async with AsyncClient(stopped.endpoint, fleet=fleet, timeout=TIMEOUT) as direct:
            await direct.status()  # it has taken up what came while it was stopped
            details = await direct.get("task:x")
    assert (claim.attempt, details.record.state.value, details.claim, len(details.history)) == (1, "abandoned", None, 1)


@pytest.mark.long_but_for("sync")
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_coordinator_that_has_answered_before_is_waited_for(
    etcd: RunningEtcd, run_coordinator: RunCoordinator, fleet: str, kind: str
) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(run_coordinator("serve", "--etcd", etcd.endpoint))
        # The proxy is where the coordinator was and will be.
        target = [first.endpoint]
        async with relaying(target) as endpoint, client_of(kind, endpoint, fleet, TIMEOUT) as ask:
            await ask("claim", "session-1", "task:x")
            target.clear()
            waiting = asyncio.ensure_future(ask("claim", "session-1", "task:y"))
            # Longer than a client goes on knocking that has never reached a coordinator.
            done, _ = await asyncio.wait([waiting], timeout=1.5)
            assert not done
            target.append(first.endpoint)
            assert (await waiting).attempt == 1


async def test_the_error_at_the_end_says_whether_anything_may_have_been_done(
    two: list[RunningCoordinator], fleet: str
) -> None:
    async with (
        losing_answers(two[0].endpoint, lambda path, *_: "silence" if path.endswith("/Complete") else None) as proxy,
        client_of("async", proxy.endpoint, fleet, 1.0) as ask,
    ):
        await ask("claim", "session-1", "task:x")
        with pytest.raises(OutcomeUnknown) as unknown:
            await ask("complete", "session-1", "task:x")
    assert unknown.value.request_id is not None
    assert "--request-id" in (unknown.value.hint or "") and unknown.value.request_id in (unknown.value.hint or "")
    async with client_of("async", two[1].endpoint, fleet, TIMEOUT) as ask:
        record = await ask("complete", "session-1", "task:x", request_id=unknown.value.request_id)
        assert record.state.value == "completed"
        with pytest.raises(NotHolder):
            await ask("complete", "session-1", "task:x")
    async with relaying([]) as nowhere, client_of("async", nowhere, fleet, 1.0) as ask:
        with pytest.raises(Unavailable):
            await ask("get", "task:x")


@pytest.mark.long_but_for("2")
@pytest.mark.parametrize("rounds", [2, 8])
async def test_one_of_sixty_four_wins_while_a_coordinator_is_killed_amid_the_race(
    etcd: RunningEtcd,
    etcd_channel: EtcdChannel,
    run_coordinator: RunCoordinator,
    fleet: str,
    record_property: Any,
    rounds: int,
) -> None:
    with contextlib.ExitStack() as processes:
        survivor = processes.enter_context(run_coordinator("serve", "--etcd", etcd.endpoint))
        async with watching_claims(etcd_channel, fleet) as watch:
            outcomes: Counter[str] = Counter()
            winners: dict[str, Claim] = {}
            for number in range(rounds):
                key = f"task:race-{number}"
                with run_coordinator("serve", "--etcd", etcd.endpoint) as victim:
                    winners[key] = await race(key, [victim, survivor], fleet, outcomes, kill=victim)
            events = await watch.all_so_far()
    # Each key was made once and by its winner; nothing was deleted, so that no other claim has ever been. A winner
    # whose answer was lost asked the survivor, which put the claim again, under a lease of its own.
    assert {event.type for event in events} == {PUT}
    tokens = {key: claim.fencing_token for key, claim in winners.items()}
    assert Counter(event.work_key for event in events if event.revision == event.created) == dict.fromkeys(tokens, 1)
    assert {(event.work_key, event.created) for event in events} == {*tokens.items()}
    assert outcomes == {"granted": rounds, "denied": rounds * (SESSIONS - 1)}
    record_property("rounds", rounds)
    sys.stdout.write(f"\n{rounds} races of {SESSIONS} sessions, each with a coordinator killed amid it: {outcomes}\n")


async def race(
    key: str, coordinators: list[RunningCoordinator], fleet: str, outcomes: Counter[str], kill: RunningCoordinator
) -> Claim:
    """Have all sessions claim one key, kill a coordinator when the first has been answered, and return who won."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for first in itertools.islice(itertools.cycle((0, 1)), SESSIONS):
            endpoints = [coordinators[first].endpoint, coordinators[1 - first].endpoint]
            clients.append(await stack.enter_async_context(AsyncClient(endpoints, fleet=fleet, timeout=60)))
        await asyncio.gather(*(client.get("task:warm-up") for client in clients))
        asked = [
            asyncio.ensure_future(client.try_claim(f"session-{number}", key)) for number, client in enumerate(clients)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        os.kill(kill.process.pid, signal.SIGKILL)
        answers = await asyncio.gather(*asked)
        (winner,) = [answer for answer in answers if isinstance(answer, Claim)]
        denials = [answer for answer in answers if isinstance(answer, Denial)]
        assert {denial.holder for denial in denials} == {winner.session}
        details = await clients[1].get(key)
        assert details.claim is not None
        assert (details.claim.session, details.claim.fencing_token) == (winner.session, winner.fencing_token)
        assert (winner.attempt, details.history) == (1, ())
    outcomes.update(granted=1, denied=len(denials))
    return winner


@contextlib.asynccontextmanager
async def relaying(target: list[str]) -> Any:
    """Carry bytes to the endpoint in ``target``; refuse while there is none, and break what there was."""
    connections: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while target and (chunk := await reader.read(65536)) and target:
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not target:
            writer.transport.abort()
            return
        host, _, port = target[0].rpartition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        connections.update((writer, inner_writer))
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        for end in (writer, inner_writer):
            end.transport.abort()
            connections.discard(end)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for end in connections:
            end.transport.abort()
        await asyncio.sleep(0)
