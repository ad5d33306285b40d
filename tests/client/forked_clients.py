"""Clients in processes that are forked; ``python forked_clients.py CASE ENDPOINT FLEET`` prints what each saw, as JSON.

It runs in a process of its own, because what a fork does to gRPC must not reach the tests' process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from coordinator import AsyncClient, Claim, Client, CoordinatorError, Denial

KEY = "task:one"
#: What a pool finds in its workers, as they are forked.
PRELOADED: list[Client] = []
Answers = list[Any]


def outcome_of(ask: Callable[[], Any]) -> str:
    """Return what a call comes to, in a word."""
    try:
        answer = ask()
    except CoordinatorError as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(answer, Denial):
        return "denied, own session" if answer.own_session else "denied"
    return answer.outcome.value if isinstance(answer, Claim) else str(answer)


def claimed(client: Client, key: str = KEY) -> str:
    """Claim the one key."""
    return outcome_of(lambda: client.try_claim("s", key))


def in_child(work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns in a process that is forked for it; "hung" if it does not end."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(30)
        try:
            found = work()
        except BaseException as error:  # noqa: BLE001  # for the parent to report
            found = f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as read:
        written = read.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(written) if written else f"ended by {status}"


def pool(client: Client) -> Answers:
    """Four workers of a pool that was forked."""
    PRELOADED.append(client)
    with multiprocessing.get_context("fork").Pool(4) as workers:
        return sorted(workers.map(_claim_preloaded, range(4), chunksize=1))


def used_pool(client: Client) -> Answers:
    """The same where the parent has used its client."""
    client.status()
    return pool(client)


def _claim_preloaded(_number: int) -> str:
    BARRIER.wait(30)
    return claimed(PRELOADED[0])


def preloading(client: Client) -> Answers:
    """Workers that a server forks after it has loaded, and workers that those fork."""
    claimed(client, "task:other")

    def work() -> Answers:
        return [claimed(client), in_child(lambda: [claimed(client)])[0]]

    return sorted([*in_child(work), *in_child(work), claimed(client)])


def parents_claim(client: Client) -> Answers:
    """A child is denied what its parent holds, and the parent renews it."""
    first = claimed(client)
    return [
        first,
        *in_child(lambda: [claimed(client), claimed(client, "task:two"), claimed(client, "task:two")]),
        claimed(client),
    ]


def under_way(client: Client) -> Answers:
    """A fork while threads are in calls, several times."""
    stopping = threading.Event()

    def asking() -> None:
        while not stopping.is_set():
            client.get(KEY)

    threads = [threading.Thread(target=asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    answers = [in_child(lambda: claimed(client)) for _ in range(5)]
    stopping.set()
    for thread in threads:
        thread.join()
    return sorted([*answers, claimed(client)])


def in_a_thread(client: Client) -> Answers:
    """A fork by another thread than the first."""
    client.status()
    answers: Answers = []
    threads = [threading.Thread(target=lambda: answers.append(in_child(lambda: claimed(client)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)


def locks_held(client: Client) -> Answers:
    """A fork while other threads hold the client's locks."""
    client.status()
    own = client._process.mine
    locks = [own.tokens._lock, own.calls._connections._opening, own.calls._endpoints._lock]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    answers = [in_child(lambda: claimed(client)), in_child(lambda: claimed(client))]
    done.set()
    thread.join()
    return sorted(answers)


def threads_of_a_child(client: Client) -> Answers:
    """Threads of a child are one process."""
    client.status()

    def work() -> Answers:
        answers: Answers = []
        threads = [threading.Thread(target=lambda: answers.append(claimed(client))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(answers)

    return list(in_child(work))


def named_instance(_client: Client) -> Answers:
    """An instance that was given is the parent's."""
    client = Client(*WHERE, fleet=FLEET, instance="worker")
    return sorted([claimed(client), in_child(lambda: claimed(client)), in_child(lambda: claimed(client))])


def no_instance(_client: Client) -> Answers:
    """Without an instance the session's name counts, as on the command line."""
    client = Client(*WHERE, fleet=FLEET, instance="")
    return [claimed(client), in_child(lambda: claimed(client))]


def tokens(client: Client) -> Answers:
    """A child does not name its parent's claim, which ends here, as its own."""
    client.claim("s", KEY)

    def work() -> int:
        return client._token("s", KEY, None)

    return [in_child(work), client._token("s", KEY, None) > 0]


def closed(client: Client) -> Answers:
    """What was closed before the fork stays so."""
    client.status()
    client.close()
    return [in_child(lambda: claimed(client))]


def closing_in_the_child(client: Client) -> Answers:
    """A child that closes, and one that lets go of it, leave the parent its connections."""
    client.status()
    lives = client._process.mine.calls._connections._channels

    def close() -> str:
        with client:
            pass
        return claimed(client)

    def let_go() -> str:
        nonlocal client
        del client
        gc.collect()
        return "gone"

    return [in_child(close), in_child(let_go), claimed(client), len(lives)]


def iterators(client: Client) -> Answers:
    """Lists go on in a child; a watch says that it does not."""
    begun = client.get(KEY).revision
    for key in ("task:a", "task:b", "task:c"):
        client.claim("s", key)
    listing, watching = client.list(), client.watch(start_revision=begun)
    next(listing)
    next(watching)
    ends = outcome_of(lambda: next(watching))
    return [
        in_child(lambda: [record.work_key for record in listing]),
        in_child(lambda: outcome_of(lambda: next(watching))),
        [record.work_key for record in listing],
        ends.startswith("ClaimEvent"),
    ]


def without_the_hook(client: Client) -> Answers:
    """A library that forks without Python's knowing."""
    import ctypes

    client.status()
    fork, own = os.fork, ctypes.CDLL(None).fork
    os.fork = own
    try:
        return sorted([in_child(lambda: claimed(client)), in_child(lambda: claimed(client))])
    finally:
        os.fork = fork


def in_a_handler(_client: Client) -> Answers:
    """A fork in the middle of a call, by the handler of a signal: the call is the parent's."""
    import socket

    found: Answers = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"127.0.0.1:{silent.getsockname()[1]}", fleet=FLEET, timeout=8)

        def fork(*_: object) -> None:
            reading, writing = os.pipe()
            if os.fork():
                found.append(reading)
            else:
                found.append(-writing)

        signal.signal(signal.SIGUSR1, fork)

        def interrupt() -> None:
            silent.accept()
            os.kill(os.getpid(), signal.SIGUSR1)

        threading.Thread(target=interrupt).start()
        answer = outcome_of(lambda: client.claim("s", KEY, request_id="r"))
        if found[0] < 0:
            os.write(-found[0], answer.encode())
            os._exit(0)
        return [os.read(found[0], 1000).decode(), answer]


def held(client: Client) -> Answers:
    """A child of a block in which work is held: it holds nothing, ends nothing, and may hold other work."""
    answers: Answers = []

    def leave_block() -> Any:
        with client.hold("s", "task:own"):
            pass
        return [block.lost.is_set(), block.remaining(), outcome_of(lambda: hold.__exit__(None, None, None))]

    def fail_in_block() -> Any:
        error = ValueError("in the child")
        hold.__exit__(ValueError, error, None)
        return getattr(error, "__notes__", None)

    hold = client.hold("s", KEY, 60)
    with hold as block:
        answers += [in_child(leave_block), in_child(fail_in_block)]
        answers += [block.lost.is_set(), client.get(KEY).record.state.value]
    return [*answers, client.get(KEY).record.state.value, client.get("task:own").record.state.value]


async def _claim(client: AsyncClient) -> Claim | Denial:
    return await client.try_claim("s", KEY)


def asyncio_unused(_client: Client) -> Answers:
    """An AsyncClient that was made before the fork, and used after it only."""
    client = AsyncClient(*WHERE, fleet=FLEET)
    answers = [in_child(lambda: outcome_of(lambda: asyncio.run(_claim(client)))) for _ in range(3)]
    return sorted([*answers, outcome_of(lambda: asyncio.run(_claim(client)))])


def asyncio_in_use(client: Client) -> Answers:
    """One whose connections are open: asyncio's gRPC cannot be used in the child, and says so; Client can."""
    used = AsyncClient(*WHERE, fleet=FLEET)

    def work() -> Answers:
        asyncio.events._set_running_loop(None)
        again = AsyncClient(*WHERE, fleet=FLEET)
        found = [outcome_of(lambda: asyncio.run(_claim(used))), outcome_of(lambda: asyncio.run(_claim(again)))]
        return [*found, in_child(lambda: outcome_of(lambda: asyncio.run(_claim(used)))), claimed(client)]

    async def fork() -> Answers:
        await used.status()
        return [*await asyncio.to_thread(lambda: in_child(work)), (await used.status()).healthy]

    return asyncio.run(fork())


def asyncio_closed(_client: Client) -> Answers:
    """One that was closed before the fork."""

    async def use() -> None:
        async with AsyncClient(*WHERE, fleet=FLEET) as used:
            await used.status()

    asyncio.run(use())
    gc.collect()
    again = AsyncClient(*WHERE, fleet=FLEET)
    return sorted(
        [
            in_child(lambda: outcome_of(lambda: asyncio.run(_claim(again)))),
            outcome_of(lambda: asyncio.run(_claim(again))),
        ]
    )


CASES = {
    case.__name__: case
    for case in (
        pool, used_pool, preloading, parents_claim, under_way, in_a_thread, locks_held, threads_of_a_child,
        named_instance, no_instance, tokens, closed, closing_in_the_child, iterators, without_the_hook, in_a_handler,
        held, asyncio_unused, asyncio_in_use, asyncio_closed,
    )
}  # fmt: skip
BARRIER = multiprocessing.get_context("fork").Barrier(4)

if __name__ == "__main__":
    WHERE, FLEET = sys.argv[2:3], sys.argv[3]
    signal.alarm(110)
    found = CASES[sys.argv[1]](Client(*WHERE, fleet=FLEET))
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)
