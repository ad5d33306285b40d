"""Forks beside the calls of other threads; ``python -m tests.unit.forking CASE [CALLERS]`` fails if one goes wrong.

It runs in a process of its own: the tests' process may have threads of gRPC's, which a fork does not bear.
"""

from __future__ import annotations

import os
import sys
import threading

from coordinator.client import _forks
from coordinator.client._forks import PerProcess, in_grpc


def fork(forked: threading.Event) -> None:
    """Fork a process that ends at once."""
    child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    forked.set()


def beside_calls(callers: int) -> None:
    """A fork waits until the calls of other threads have ended."""
    _forks._PATIENCE_SECONDS = 60.0  # longer than the test
    entered, ending, forked = threading.Barrier(callers + 1), threading.Event(), threading.Event()
    early: list[bool] = []

    def call() -> None:
        with in_grpc():
            entered.wait(30)
            ending.wait(30)
            early.append(forked.is_set())

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    entered.wait(30)
    forking = threading.Thread(target=fork, args=(forked,))
    forking.start()
    assert not forked.wait(0.2)
    ending.set()
    for thread in [*threads, forking]:
        thread.join(30)
    assert forked.is_set()
    assert early == [False] * callers


def not_for_ever(_: int) -> None:
    """A fork waits for its own thread's calls not at all, and for those of others only so long."""
    forked = threading.Event()
    _forks._PATIENCE_SECONDS = 60.0  # longer than the test
    with in_grpc(), in_grpc():
        fork(forked)
    _forks._PATIENCE_SECONDS = 0.05  # shorter than the call
    forked.clear()
    with in_grpc():
        forking = threading.Thread(target=fork, args=(forked,))
        forking.start()
        assert forked.wait(30)
        forking.join(30)
    with in_grpc():
        pass


def made_once(_: int) -> None:
    """What a process has of its own is made once, however many threads ask for it."""
    made: list[object] = []

    def make(parents: object) -> object:
        made.append(parents)
        return object()

    own = PerProcess(make)
    first = own.mine
    child = os.fork()
    if not child:
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.append(own.mine)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0 if made == [None, first] and len(set(map(id, found))) == 1 and found[0] is not first else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own.mine is first


if __name__ == "__main__":
    CASES = {case.__name__: case for case in (beside_calls, not_for_ever, made_once)}
    CASES[sys.argv[1]](int(sys.argv[2]))
