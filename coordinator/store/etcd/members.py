"""The members of an etcd, and which of them to ask.

All calls go to one member, the current one, until it fails: a call that it does not answer in time, a connection that
breaks, or word that it has no leader makes it suspect, and the next one that is not becomes current. What was under way
at it is given up, to be sent again. A suspect member is asked in the background, with growing pauses, for a
linearizable read, which it can only answer with a quorum behind it, and is good again when it does.

Invariants:
- A member that hangs costs the calls under way one wait, and no later ones anything.
- A member that is down is asked by its one probe only: at most four times a second while there is no other
  member to turn to, and every few seconds while there is.
- That a call is slow makes no member suspect; that its member cannot even read meanwhile does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio

from coordinator.store.etcd.methods import Method

__all__ = ["Member", "Members"]

#: How long a call may be under way, in seconds, before its member is asked whether it is well.
SLOW_SECONDS = 0.3
#: How long a member may take to answer that, in seconds. An election takes up to two seconds at etcd's defaults.
PROBE_SECONDS = 0.75
#: Pauses between probes of a suspect member, in seconds: the first, the longest while no member is good, the longest
#: while one is.
FIRST_PAUSE_SECONDS = 0.05
URGENT_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0

#: Asks a member for a linearizable read and returns the term of its leader, or why it has not answered.
Probe = Callable[["Member"], Awaitable[int | str]]


class Member:
    """One member: its connection, what is under way at it and whether it is good."""

    __slots__ = ("_calls", "_channel", "asked", "endpoint", "good", "problem", "term", "under_way")

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self.endpoint = endpoint
        self.good = True
        #: What was wrong with it when it was last found not to be good.
        self.problem = ""
        #: The calls under way and when they were sent, the oldest first.
        self.under_way: dict[Any, float] = {}
        #: Whether it is being asked right now, and the term of its leader when it was last asked.
        self.asked = False
        self.term = 0
        self._channel = channel
        self._calls: dict[str, Any] = {}

    def unary(self, method: Method) -> Any:
        """Return what sends requests of ``method`` to this member."""
        call = self._calls.get(method.path)
        if call is None:
            call = self._calls[method.path] = self._channel.unary_unary(
                method.path, request_serializer=_serialize, response_deserializer=method.response.FromString
            )
        return call

    def download(self, method: Method) -> Any:
        """Return what sends a request of ``method`` to this member and streams its answers."""
        return self._channel.unary_stream(
            method.path, request_serializer=_serialize, response_deserializer=method.response.FromString
        )

    def stream(self, method: Method) -> Any:
        """Return what opens streams of ``method`` to this member."""
        return self._channel.stream_stream(
            method.path, request_serializer=_serialize, response_deserializer=method.response.FromString
        )

    def give_up_calls(self, sent_before: float) -> None:
        """Cancel what has been under way since before a time: its caller is to send it again."""
        for call in [call for call, sent in self.under_way.items() if sent <= sent_before]:
            del self.under_way[call]
            call.cancel()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


class Members:
    """The members, of which one is current. ``probe`` asks a member whether it is well."""

    def __init__(self, members: Sequence[Member], probe: Probe) -> None:
        self._members = tuple(members)
        self._probe = probe
        self.current = self._members[0]
        self._some_good = asyncio.Event()
        self._some_good.set()
        self._none_good = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_out: asyncio.TimerHandle | None = None

    def __getitem__(self, index: int) -> Member:
        return self._members[index]

    async def close(self) -> None:
        """End the probes and close all connections."""
        if self._look_out is not None:
            self._look_out.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in self._members:
            await member.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with each of the members, if none of them is good."""
        return () if self._some_good.is_set() else tuple(member.problem for member in self._members)

    def failed(self, member: Member, problem: str) -> None:
        """Take note that a member did not answer, or answered that it cannot serve."""
        member.problem = problem
        if not member.good:
            return
        member.good = False
        member.give_up_calls(time.monotonic())
        self._choose(member)
        self._start(self._readmit(member))

    async def wait_for_good(self, deadline: float) -> bool:
        """Wait until a member is good; returns at ``deadline``, a reading of ``time.monotonic()``, with whether so."""
        if not self._some_good.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._some_good.wait()
        return self._some_good.is_set()

    def look_out(self) -> None:
        """Keep an eye on what is under way, for as long as something is."""
        if self._look_out is None:
            self._look_out = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._look)

    def _look(self) -> None:
        self._look_out = None
        now = time.monotonic()
        for member in self._members:
            if member.under_way:
                self.look_out()
                if not member.asked and now - next(iter(member.under_way.values())) >= SLOW_SECONDS:
                    member.asked = True
                    self._start(self._ask(member, now))

    async def _ask(self, member: Member, asked_at: float) -> None:
        """Ask a member at which a call is slow whether it is well."""
        try:
            term = await self._probe(member)
        finally:
            member.asked = False
        if isinstance(term, str):
            self.failed(member, term)
        elif term != member.term:
            # What was handed to the leader of a former term may be lost.
            member.term = term
            member.give_up_calls(asked_at)

    async def _readmit(self, member: Member) -> None:
        """Probe a suspect member until it is good again."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret
            term = await self._probe(member)
            if isinstance(term, int):
                break
            # A connection that broke says less than why there is no other.
            member.problem = term
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        member.term = term
        member.good = True
        if not self.current.good:
            self.current = member
        self._none_good.clear()
        self._some_good.set()

    async def _rest(self, seconds: float) -> None:
        """Pause before a probe; not for long, once there is no other member to turn to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none_good.wait()
                await asyncio.sleep(URGENT_PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret

    def _choose(self, failed: Member) -> None:
        """Make the next good member after the one that failed current; the next of all if none is good."""
        first = self._members.index(failed) + 1
        others = self._members[first:] + self._members[: first - 1]
        good = [member for member in others if member.good]
        if self.current is failed and others:
            self.current = (good or others)[0]
        if not good:
            self._some_good.clear()
            self._none_good.set()

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _serialize(message: Any) -> bytes:
    serialized: bytes = message.SerializeToString()
    return serialized
