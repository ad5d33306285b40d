"""``python -m benchmarks.metrics_cost [--rounds N] [--seconds S]``: what counting costs the claims that are counted.

Two coordinators run beside one etcd, one that counts for Prometheus and one that counts nothing. They are measured in
turn, in each round both and in every second round the other way round, so that a machine that is slow for a while is
slow for both. What a claim costs the coordinator in processor time is least touched by what else the machine does.
Then a million requests with random kinds are recorded in this process, and the series are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import grpc.aio
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

import coordinator.server
from benchmarks.load import Measured, measure
from benchmarks.subjects import ServiceSubjects
from coordinator.metrics import PrometheusRecorder
from coordinator.metrics.prometheus import MAX_KINDS
from coordinator.model import Cause, DenialReason, Outcome, SkipReason, State
from coordinator.recorder import EndedAttempt, NullRecorder, Place, SimilarAnswer
from coordinator.server_settings import ServerSettings
from coordinator.store.embedded import EmbeddedEtcd, find_etcd

__all__ = ["SERIES_OF_KINDS", "kind_samples", "record_random_kinds"]

_CALLERS = 64
_MILLION = 1_000_000
#: Series that one kind can have in what is recorded: claims by 3 outcomes, denials by 5 reasons, placements by 3
#: places, skips by 9 reasons, similar topics by 5 answers, completions late or not, abandonments by 3 causes, and 2
#: histograms of 15. All kinds but ``MAX_KINDS`` share one.
SERIES_OF_KINDS = (3 + 5 + 3 + 9 + 5 + 2 + 3 + 2 * 15) * (MAX_KINDS + 1)


def main() -> int:
    """Measure, and print what was found."""
    options = argparse.ArgumentParser(prog="benchmarks.metrics_cost", description=__doc__)
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--seconds", type=float, default=2.0, help="how long each is measured in each round")
    options.add_argument("--serve", nargs=2, metavar=("RECORDER", "ETCD"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        return asyncio.run(_serve(*chosen.serve))
    with ExitStack() as stack:
        etcd = stack.enter_context(_etcd())
        endpoints = {name: stack.enter_context(_coordinator(name, etcd)) for name in ("counting", "not counting")}
        found = asyncio.run(_measure(endpoints, chosen.rounds, chosen.seconds))
    _report_cost(found)
    _report_recording()
    _report_series()
    return 0


def record_random_kinds(recorder: PrometheusRecorder, requests: int) -> None:
    """Record so many requests, each of a kind that was made up for it, with every outcome and end that there is."""
    numbers = random.Random(1)  # noqa: S311  # not a secret
    outcomes: tuple[tuple[Outcome, DenialReason | None], ...] = (
        (Outcome.GRANTED, None),
        (Outcome.RENEWED, None),
        *((Outcome.DENIED, reason) for reason in DenialReason),
    )
    ends: tuple[tuple[State, Cause | None, bool], ...] = (
        (State.COMPLETED, None, False),
        (State.COMPLETED, None, True),
        *((State.ABANDONED, cause, False) for cause in Cause),
    )
    for number in range(requests):
        kind = f"k{numbers.getrandbits(64):x}"
        if number < 2_000:
            # Often enough for each of the first to have every series that it can have.
            kind = f"k{number % (MAX_KINDS + 1)}"
        outcome, reason = outcomes[number // (MAX_KINDS + 1) % len(outcomes)]
        recorder.claim_answered("default", kind, outcome, reason)
        reasons = tuple(SkipReason)
        place, skipped = tuple(Place)[number % len(Place)], reasons[number // (MAX_KINDS + 1) % len(reasons)]
        recorder.placed("default", kind, place, {(kind, skipped): 1})
        recorder.similar_found(kind, tuple(SimilarAnswer)[number // (MAX_KINDS + 1) % len(SimilarAnswer)])
        ended, cause, late = ends[number // (MAX_KINDS + 1) % len(ends)]
        recorder.attempt_ended(
            EndedAttempt(kind, ended, cause, late=late, contenders=number % 7, held_seconds=60.0, overdue_seconds=None)
        )


def kind_samples(registry: CollectorRegistry) -> Iterator[Sample]:
    """Yield the samples that have a kind, but for the gauges."""
    for family in registry.collect():
        if family.type != "gauge":
            yield from (sample for sample in family.samples if "kind" in sample.labels)


class _Served(NamedTuple):
    endpoint: str
    pid: int


def _report_cost(found: dict[str, list[Measured]]) -> None:
    rates = {name: [each.rate for each in rounds] for name, rounds in found.items()}
    ratios = [counted / uncounted for counted, uncounted in zip(rates["counting"], rates["not counting"], strict=True)]
    for name, rounds in found.items():
        print(
            f"{name:>13}: {median(rates[name]):8,.0f} claims/s, "
            f"p50 {median(each.p50 for each in rounds):6.2f} ms, p99 {median(each.p99 for each in rounds):6.2f} ms, "
            f"{median(each.server_us for each in rounds):4.0f} µs of the coordinator's processor time a claim "
            f"(medians of {len(rounds)} rounds, {_CALLERS} callers)"
        )
    low, high = min(ratios), max(ratios)
    print(f"claims/s counting over not counting: {median(ratios):.3f} (median; {low:.3f} to {high:.3f})")
    spent = zip(found["counting"], found["not counting"], strict=True)
    extra = [counted.server_us - uncounted.server_us for counted, uncounted in spent]
    print(f"processor time more: {median(extra):.0f} µs a claim (median; {min(extra):.0f} to {max(extra):.0f})")


def _report_recording() -> None:
    """Time what is recorded of one claim that is granted, alone in its batch, in processor time."""
    recorder = PrometheusRecorder(CollectorRegistry())
    claims = 200_000
    began = time.process_time()
    for _ in range(claims):
        recorder.claim_answered("default", "task", Outcome.GRANTED, None)
        recorder.batch_sent(1)
        recorder.transaction_done(0.001)
        recorder.call_done("Claim", "OK", 0.002)
    took = time.process_time() - began
    print(f"what is recorded of one claim, by itself: {took / claims * 1e6:.1f} µs of processor time")


def _report_series() -> None:
    registry = CollectorRegistry()
    recorder = PrometheusRecorder(registry)
    began = time.process_time()
    record_random_kinds(recorder, _MILLION)
    took = time.process_time() - began
    series = sum(1 for _ in kind_samples(registry))
    every = sum(len(family.samples) for family in registry.collect())
    print(
        f"{_MILLION:,} requests with random kinds: {series:,} series by kind (bound {SERIES_OF_KINDS:,}), {every:,} in "
        f"all; {took / _MILLION * 1e6:.2f} µs each, the claim and its end together"
    )


async def _measure(served: dict[str, _Served], rounds: int, seconds: float) -> dict[str, list[Measured]]:
    channels = {name: grpc.aio.insecure_channel(each.endpoint) for name, each in served.items()}
    subjects = {name: ServiceSubjects(channel) for name, channel in channels.items()}
    found: dict[str, list[Measured]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name in subjects if number % 2 == 0 else reversed(subjects):
            subjects[name].again()
            found[name].append(
                await measure(subjects[name].claim, server=served[name].pid, callers=_CALLERS, seconds=seconds)
            )
    for channel in channels.values():
        await channel.close()
    return found


async def _serve(recorder: str, etcd: str) -> int:
    """Run a coordinator, as another process, until standard input ends."""
    if recorder == "not counting":
        vars(coordinator.server)["PrometheusRecorder"] = lambda _registry: NullRecorder()
    server = coordinator.server.Server(
        ServerSettings(etcd=(etcd,), listen="127.0.0.1:0", metrics_listen="127.0.0.1:0", reaper=None)
    )
    await server.start()
    print(server.endpoint, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    return 0


@contextmanager
def _coordinator(name: str, etcd: str) -> Iterator[_Served]:
    command = [sys.executable, "-m", "benchmarks.metrics_cost", "--serve", name, etcd]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield _Served(process.stdout.readline().strip(), process.pid)
        process.stdin.close()
        process.wait(timeout=30)


@contextmanager
def _etcd() -> Iterator[str]:
    """Run an etcd for as long as the block runs, watched over by a loop of its own."""
    with tempfile.TemporaryDirectory() as data, asyncio.Runner() as runner:
        etcd = EmbeddedEtcd(Path(data), find_etcd())
        runner.run(etcd.__aenter__())
        try:
            yield etcd.endpoint
        finally:
            runner.run(etcd.__aexit__(None, None, None))


if __name__ == "__main__":
    sys.exit(main())
