"""Callers that wait for each answer before they ask again, all in one process on one channel."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

__all__ = ["Measured", "measure", "processor_seconds"]

Call = Callable[[int, int], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """``rate`` is calls a second, times are in milliseconds.

    ``server_us`` and ``caller_us`` are the processor time that a call took there and here, in microseconds.
    """

    rate: float
    p50: float
    p99: float
    server_us: float
    caller_us: float


async def measure(call: Call, *, server: int, callers: int, seconds: float, warmup_calls: int = 50) -> Measured:
    """Let ``callers`` make calls for so long; ``call`` is given the caller's number and a number of its own.

    ``server`` is the process that they are made to.
    """
    numbers = count()
    for number in range(-warmup_calls, 0):
        await call(0, number)
    times: list[float] = []
    before, here = processor_seconds(server), time.process_time()
    started = time.perf_counter()
    ends = started + seconds
    await asyncio.gather(*(_caller(call, caller, numbers, ends, times) for caller in range(callers)))
    elapsed = time.perf_counter() - started
    times.sort()
    return Measured(
        rate=len(times) / elapsed,
        p50=times[len(times) // 2] * 1000,
        p99=times[min(len(times) - 1, len(times) * 99 // 100)] * 1000,
        server_us=(processor_seconds(server) - before) / len(times) * 1e6,
        caller_us=(time.process_time() - here) / len(times) * 1e6,
    )


def processor_seconds(process: int) -> float:
    """Return how much processor time a process has used so far, as Linux reports it."""
    # After the name, which is in brackets and may hold anything; see proc(5) for the numbers.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _caller(call: Call, caller: int, numbers: Iterator[int], ends: float, times: list[float]) -> None:
    while (began := time.perf_counter()) < ends:
        await call(caller, next(numbers))
        times.append(time.perf_counter() - began)
