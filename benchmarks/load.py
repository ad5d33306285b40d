"""Callers that wait for each answer before they ask again, all in one process on one channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count

__all__ = ["Measured", "measure"]

Call = Callable[[int, int], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """``rate`` is calls a second, times are in milliseconds."""

    rate: float
    p50: float
    p99: float


async def measure(call: Call, *, callers: int, seconds: float, warmup_calls: int = 50) -> Measured:
    """Let ``callers`` make calls for so long; ``call`` is given the caller's number and a number of its own."""
    numbers = count()
    for number in range(-warmup_calls, 0):
        await call(0, number)
    times: list[float] = []
    started = time.perf_counter()
    ends = started + seconds
    await asyncio.gather(*(_caller(call, caller, numbers, ends, times) for caller in range(callers)))
    elapsed = time.perf_counter() - started
    times.sort()
    return Measured(
        rate=len(times) / elapsed,
        p50=times[len(times) // 2] * 1000,
        p99=times[min(len(times) - 1, len(times) * 99 // 100)] * 1000,
    )


async def _caller(call: Call, caller: int, numbers: Iterator[int], ends: float, times: list[float]) -> None:
    while (began := time.perf_counter()) < ends:
        await call(caller, next(numbers))
        times.append(time.perf_counter() - began)
