"""Clients in forked processes: each process is an instance of its own, with connections of its own.

This is number 12 of issue 12: "a forked worker shares its parent's instance: four workers of a ``fork`` pool all hold
one claim". What happens in each case is in ``forked_clients.py``.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator import AsyncClient, Client, InvalidInput
from tests.conftest import RunningCoordinator

DENIED = "denied, own session"
MOVED = "InvalidInput: a watch is read in the process, and by the event loop, where it began; this is another"
NO_ASYNCIO = (
    "InvalidInput: this process was forked while an AsyncClient, or other gRPC of asyncio, had connections; "
    "asyncio's gRPC does not work in it"
)
LEFT = "ClaimLost: this process was forked while task:one was held, which its parent goes on holding"
#: What the processes of each case answer.
POOLS: dict[str, list[Any]] = {
    "pool": [DENIED] * 3 + ["granted"],
    "used_pool": [DENIED] * 3 + ["granted"],
    "preloading": [DENIED] * 4 + ["granted"],
    "named_instance": [DENIED] * 2 + ["granted"],
}
ASYNCIO: dict[str, list[Any]] = {
    "asyncio_unused": [DENIED] * 3 + ["granted"],
    "asyncio_in_use": [NO_ASYNCIO, NO_ASYNCIO, NO_ASYNCIO, "granted", True],
    "asyncio_closed": [DENIED, "granted"],
}
CASES: dict[str, list[Any]] = {
    "parents_claim": ["granted", DENIED, "granted", "renewed", "renewed"],
    "under_way": [DENIED] * 5 + ["granted"],
    "in_a_thread": [DENIED] * 2 + ["granted"],
    "locks_held": [DENIED, "granted"],
    "threads_of_a_child": ["granted"] + ["renewed"] * 7,
    "no_instance": ["granted", "renewed"],
    "tokens": [0, True],
    "closed": ["InvalidInput: this client is closed"],
    "closing_in_the_child": ["InvalidInput: this client is closed", "gone", "granted", 1],
    "iterators": [["task:b", "task:c"], MOVED, ["task:b", "task:c"], True],
    "without_the_hook": [DENIED, "granted"],
    "held": [[True, 0.0, LEFT], None, False, "claimed", "completed", "completed"],
}


@pytest.mark.parametrize("case", POOLS)
def test_of_forked_workers_that_claim_one_key_exactly_one_is_granted(
    coordinator: RunningCoordinator, fleet: str, case: str
) -> None:
    assert _run(case, coordinator.endpoint, fleet) == POOLS[case]


@pytest.mark.parametrize("case", ASYNCIO)
def test_an_async_client_in_a_forked_process_works_or_says_that_it_cannot(
    coordinator: RunningCoordinator, fleet: str, case: str
) -> None:
    assert _run(case, coordinator.endpoint, fleet) == ASYNCIO[case]


@pytest.mark.parametrize("case", CASES)
def test_a_forked_process_is_another_instance_with_connections_of_its_own(
    coordinator: RunningCoordinator, fleet: str, case: str
) -> None:
    assert _run(case, coordinator.endpoint, fleet) == CASES[case]


def test_a_call_in_whose_middle_a_process_is_forked_is_its_parents(coordinator: RunningCoordinator, fleet: str) -> None:
    in_child, in_parent = _run("in_a_handler", coordinator.endpoint, fleet)
    assert in_child == "InvalidInput: this process was forked in the middle of a call, which its parent continues"
    assert in_parent.startswith(("Unavailable: the coordinator at 127", "OutcomeUnknown: the coordinator at 127"))


COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy-inside": lambda client: copy.deepcopy({"client": [client]}),
    **{f"pickle-{number}": partial(pickle.dumps, protocol=number) for number in (0, 2, 5)},
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("sort", [Client, AsyncClient])
def test_a_client_is_not_copied(sort: type[Client | AsyncClient], copied: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidInput, match=r"^a client cannot be copied or pickled: ") as raised:
        copied(sort())
    assert raised.value.hint == "make a client in each process that needs one"


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("read", ["list", "watch"])
@pytest.mark.parametrize("sort", [Client, AsyncClient])
def test_what_is_being_read_is_not_copied(
    sort: type[Client | AsyncClient], read: str, copied: Callable[[Any], object]
) -> None:
    results = getattr(sort("127.0.0.1:1"), read)()
    with pytest.raises(InvalidInput, match=r"^what is being read cannot be copied or pickled: "):
        copied(results)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_client_that_is_sent_to_a_process_is_refused_at_once(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with pytest.raises(InvalidInput, match=r"^a client cannot be copied or pickled: "):
        context.Process(target=print, args=(Client(),)).start()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        sent = executor.submit(print, Client())
        with pytest.raises(InvalidInput, match=r"^a client cannot be copied or pickled: "):
            sent.result(30)


def _run(case: str, endpoint: str, fleet: str) -> list[Any]:
    script = str(Path(__file__).with_name("forked_clients.py"))
    ran = subprocess.run(
        [sys.executable, script, case, endpoint, fleet], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    answers: list[Any] = json.loads(ran.stdout)
    return answers
