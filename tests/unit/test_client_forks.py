"""Forks wait for the calls of other threads, and what a process has is made once (number 12 of issue 12)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from coordinator.client import _forks
from coordinator.client._forks import in_grpc


def _fork(done: threading.Event) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    done.set()


@pytest.mark.parametrize("callers", [1, 2, 5])
def test_a_fork_waits_until_the_calls_of_other_threads_have_ended(
    monkeypatch: pytest.MonkeyPatch, callers: int
) -> None:
    monkeypatch.setattr(_forks, "_PATIENCE_SECONDS", 60.0)
    entered, ending, forked = threading.Barrier(callers + 1), threading.Event(), threading.Event()

    def call() -> None:
        with in_grpc():
            entered.wait(30)
            ending.wait(30)
            assert not forked.is_set()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    entered.wait(30)
    forking = threading.Thread(target=_fork, args=(forked,))
    forking.start()
    assert not forked.wait(0.2)
    ending.set()
    for thread in [*threads, forking]:
        thread.join(30)
    assert forked.is_set()


def test_a_fork_does_not_wait_for_ever_nor_for_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    forked = threading.Event()
    monkeypatch.setattr(_forks, "_PATIENCE_SECONDS", 60.0)
    with in_grpc(), in_grpc():
        _fork(forked)
    monkeypatch.setattr(_forks, "_PATIENCE_SECONDS", 0.05)
    forked.clear()
    with in_grpc():
        forking = threading.Thread(target=_fork, args=(forked,))
        forking.start()
        assert forked.wait(30)
        forking.join(30)
    with in_grpc():
        pass


#: Forks a process that has no threads of gRPC's, which this one may have from other tests.
_ASKED_BY_THREADS = """
import os, threading
from coordinator.client._forks import PerProcess

made = []

def make(parents):
    made.append(parents)
    return object()

own = PerProcess(make)
first = own.mine
child = os.fork()
if not child:
    found = []
    threads = [threading.Thread(target=lambda: found.append(own.mine)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0 if made == [None, first] and len(set(map(id, found))) == 1 and found[0] is not first else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert own.mine is first
"""


def test_what_a_process_has_is_made_once_whichever_threads_ask() -> None:
    subprocess.run([sys.executable, "-c", _ASKED_BY_THREADS], check=True, timeout=60)
