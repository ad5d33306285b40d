"""What callers read while etcd is away, hangs, or has no quorum, and when it has become another store (58)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, CoordinatorError, HistoryGone
from tests.cluster.etcd_cluster import EtcdCluster, run_cluster
from tests.cluster.store_replacing import begin_anew

RunCoordinator = Callable[..., AbstractContextManager[Any]]
#: What says nothing of what is wrong.
EMPTY = ("was over before", "in time, so that", "does not exist yet", "revision 0")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with run_cluster(tmp_path) as cluster:
        yield cluster


def lose_quorum(cluster: EtcdCluster) -> None:
    """Leave one of three: it goes on answering that it has no leader."""
    for member in cluster.members[:2]:
        member.kill()


def lose_all(cluster: EtcdCluster) -> None:
    for member in cluster.members:
        member.kill()


def hang(cluster: EtcdCluster) -> None:
    for member in cluster.members:
        member.stop()


def hang_and_lose(cluster: EtcdCluster) -> None:
    cluster.members[0].kill()
    for member in cluster.members[1:]:
        member.stop()


@pytest.mark.long_but_for("hang-words2")
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lose_quorum, ("no leader", "cannot be reached", "did not answer", "timed out")),
        (lose_all, ("cannot be reached", "did not answer")),
        (hang, ("did not answer",)),
        (hang_and_lose, ("did not answer", "cannot be reached")),
    ],
)
async def test_every_call_says_what_is_wrong_with_etcd_and_what_to_do(
    cluster: EtcdCluster, run_coordinator: RunCoordinator, fault: Callable[[EtcdCluster], None], words: tuple[str, ...]
) -> None:
    with run_coordinator("serve", "--etcd", cluster.etcd) as coordinator:
        async with AsyncClient(coordinator.endpoint, timeout=3.0) as client:
            await client.claim("s", "task:held", 600)
            await asyncio.to_thread(fault, cluster)
            calls: dict[str, Callable[[], Awaitable[Any]]] = {
                "claim": lambda: client.claim("s", "task:new", 600),
                "claim of another length": lambda: client.claim("s", "task:newer", 6000),
                "claim many": lambda: client.claim_many("s", ["task:1", "task:2"]),
                "renew": lambda: client.renew("s", "task:held"),
                "complete": lambda: client.complete("s", "task:held"),
                "get": lambda: client.get("task:held"),
                "list": lambda: client.list_page(),
                "log": lambda: client.log_page("s"),
                "briefing": lambda: client.briefing(),
                "hot": lambda: client.hot(),
                "reap": lambda: client.reap(),
            }

            async def failure(call: Callable[[], Awaitable[Any]]) -> str:
                try:
                    outcome = await call()
                except CoordinatorError as error:
                    return f"{error.message} / {error.hint}"
                # A claim of many is answered one by one.
                return " / ".join(f"{error.message} / {error.hint}" for error in outcome)

            # Twice: at first members are found out, later they are known not to be good.
            for known in (False, True):
                reported = dict(zip(calls, await asyncio.gather(*map(failure, calls.values())), strict=True))
                for name, sentence in reported.items():
                    assert any(word in sentence for word in words), (name, sentence)
                    assert not any(empty in sentence for empty in EMPTY), (name, sentence)
                    assert "None" not in sentence, (name, sentence)
                    if known and fault in (lose_all, hang):
                        assert "no member of etcd can serve" in sentence, (name, sentence)


@pytest.mark.timeout(240)
async def test_a_watch_of_a_store_that_is_not_there_any_more_says_so(
    run_coordinator: RunCoordinator, tmp_path: Path
) -> None:
    with run_cluster(tmp_path, 1) as cluster, run_coordinator("serve", "--etcd", cluster.etcd) as coordinator:
        async with AsyncClient(coordinator.endpoint, timeout=10.0) as client:
            for number in range(5):
                await client.claim("s", f"task:{number}")
            revision = (await client.get("task:4")).revision

            async def watch(start: int) -> None:
                async for _ in client.watch(start_revision=start):
                    pass

            # The first is in place before; the second comes with what the old store had reported.
            watching = asyncio.create_task(watch(revision))
            await asyncio.sleep(1.0)
            await asyncio.to_thread(begin_anew, cluster)
            with pytest.raises(HistoryGone) as there:
                async with asyncio.timeout(60):
                    await watching
            with pytest.raises(HistoryGone) as later:
                async with asyncio.timeout(60):
                    await watch(revision)
    assert "the store that was watched no longer exists" in there.value.message
    assert f"revision {revision} does not exist yet" in later.value.message
    for error in (there.value, later.value):
        assert "restored" in f"{error.message} {error.hint}" or "as it is now" in (error.hint or "")
