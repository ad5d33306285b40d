"""Many sessions, in several processes, claim the same work at the same moment from two coordinators on one etcd."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coordinator.store.etcd.client import EtcdChannel
from tests.cluster.claim_watching import PUT, watching_claims
from tests.conftest import RunningCoordinator, RunningEtcd

PROCESSES = 4

_RACERS = str(Path(__file__).with_name("racing_sessions.py"))


RunCoordinator = Callable[..., AbstractContextManager[RunningCoordinator]]
Process = subprocess.Popen[str]


@contextlib.contextmanager
def racing(endpoints: list[str], fleet: str, each: int) -> Iterator[list[Process]]:
    """Run the client processes, spread over the endpoints, and yield when all their sessions are connected."""
    with contextlib.ExitStack() as stack:
        processes = []
        for index in range(PROCESSES):
            endpoint = endpoints[index % len(endpoints)]
            command = [sys.executable, _RACERS, endpoint, fleet, str(index * each), str(each)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=30) == 0


def race(processes: list[Process], work_key: str) -> list[dict[str, Any]]:
    """Release all sessions on one work key; return what each was answered."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{work_key}\n")
        process.stdin.flush()
    answers: list[dict[str, Any]] = []
    for process in processes:
        assert process.stdout is not None
        answers += json.loads(process.stdout.readline())
    return answers


@pytest.mark.long_but_for("64-12")
@pytest.mark.parametrize(("sessions", "rounds"), [(64, 12), (200, 50)])
async def test_of_many_sessions_one_gets_the_work_and_all_others_are_denied_with_its_name(
    etcd: RunningEtcd,
    etcd_channel: EtcdChannel,
    run_coordinator: RunCoordinator,
    fleet: str,
    record_property: Any,
    sessions: int,
    rounds: int,
) -> None:
    keys = [f"task:race-{number:02d}" for number in range(rounds)]
    each = sessions // PROCESSES
    winners: dict[str, dict[str, Any]] = {}
    denials = 0
    with contextlib.ExitStack() as stack:
        endpoints = [stack.enter_context(run_coordinator("serve", "--etcd", etcd.endpoint)).endpoint for _ in range(2)]
        async with watching_claims(etcd_channel, fleet) as watch:
            with racing(endpoints, fleet, each) as processes:
                started = time.monotonic()
                for key in keys:
                    answers = race(processes, key)
                    assert {answer["session"] for answer in answers} == {f"session-{n:03d}" for n in range(sessions)}
                    granted = [answer for answer in answers if "token" in answer]
                    denied = [answer for answer in answers if "denied" in answer]
                    assert len(granted) == 1, f"{key} was granted to {granted}"
                    assert Counter((answer["denied"], answer["holder"]) for answer in denied) == {
                        ("held", granted[0]["session"]): sessions - 1
                    }
                    winners[key] = granted[0]
                    denials += len(denied)
                seconds = time.monotonic() - started
            events = await watch.all_so_far()

    assert len(winners) == rounds
    assert denials == rounds * (sessions - 1)
    assert {winner["attempt"] for winner in winners.values()} == {1}
    # One put of each key and nothing else; the token that its winner was given is the revision of that put.
    assert [event.type for event in events] == [PUT] * rounds
    assert {event.work_key: event.revision for event in events} == {
        key: winner["token"] for key, winner in winners.items()
    }

    figures = {"rounds": rounds, "sessions": sessions, "grants": len(winners), "denials": denials}
    figures |= {"puts_seen": len(events), "claims_per_second": round(rounds * sessions / seconds)}
    # By client process: how evenly they were released.
    won = Counter(int(winner["session"][-3:]) // each for winner in winners.values())
    figures |= {f"won_by_process_{index}": won[index] for index in range(PROCESSES)}
    for name, value in figures.items():
        record_property(name, value)
    sys.stdout.write(f"\nrace in {seconds:.1f} s: {figures}\n")
