"""How a coordinator that ends takes up the calls that have arrived.

Invariant: a call that had arrived is answered, or refused as one that was not begun; gRPC would cancel those that it
still keeps when it stops, and their callers could not know what became of them. That gRPC keeps none is only seen from
outside: none is taken up any more, and the process has nothing else to do.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["drain"]

#: Calls are taken up until none has come for the first figure, in seconds: answered for the second, then refused, and
#: for the third at most. Clients that watch our health need a moment to leave.
_QUIET_SECONDS, _ANSWERING_SECONDS, _LONGEST_SECONDS = 0.25, 2.5, 10.0
#: What a coordinator that has nothing to do uses of the processor in that time at most, in seconds: measured was 0.005.
_IDLE_SECONDS = 0.02
_TURNS = 5


class TakingUp(Protocol):
    """What takes calls up: how many so far, and whether those that come from now on are refused."""

    taken_up: int
    refuses: bool


async def drain(calls: TakingUp) -> None:
    """Take up the calls that have arrived. On a busy machine that takes longer than any fixed pause.

    The last of many are refused, which takes less time than an answer.
    """
    begun = time.monotonic()
    while True:
        calls.refuses = time.monotonic() - begun > _ANSWERING_SECONDS
        if await _was_quiet(calls) or time.monotonic() - begun > _LONGEST_SECONDS:
            return


async def _was_quiet(calls: TakingUp) -> bool:
    """Wait for a moment; return whether no call was taken up in it, and this process was neither busy nor held up."""
    taken_up, used, begun = calls.taken_up, time.process_time(), time.monotonic()
    await asyncio.sleep(_QUIET_SECONDS)
    for _ in range(_TURNS):
        # What gRPC has received while this process had no processor is taken up in the next turns of the loop.
        await asyncio.sleep(0)
    idle = time.process_time() - used < _IDLE_SECONDS
    in_time = time.monotonic() - begun < 2 * _QUIET_SECONDS
    return calls.taken_up == taken_up and idle and in_time
