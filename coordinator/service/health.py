"""The health service: `grpc.health.v1`, with watchers that delay neither each other nor a shutdown.

Invariants:
- It needs no credential, so all it holds is bounded: so many watchers in all, and some of one connection.
- Without a credential no caller keeps others out. When all places are taken, a caller from an address that has at
  least two fewer gets the latest of the address that has most; between equals the one that has had its place longest
  gives way, if it has had it for some time. So each has its turn, and gets an answer when the turn is over.
- None of them holds what another needs: one that does not read its answer waits alone. (The servicer of grpcio-health
  writes to each while it holds the lock that all others, and every change of the status, wait for.)
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.service.admission.fair_shares import Owner, first_to_yield
from coordinator.service.connections.callers import address_of, caller_of

__all__ = ["Health"]

#: Watchers at a time, and of one connection. Load balancers have one each.
_MOST, _MOST_OF_CONNECTION = 64, 4
#: How long a watcher has its place at least where those who want one have as few, in seconds.
_TURN_SECONDS = 10.0
_SERVING, _NOT_SERVING, _UNKNOWN = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
)
_Context = grpc.aio.ServicerContext[Any, Any]


class _Place:
    """What one watch has."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.given_up = False
        #: Set when there is something new for its watch.
        self.news = asyncio.Event()

    def give_up(self) -> None:
        self.given_up = True
        self.news.set()


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package publishes no types
    """Reports whether the coordinator serves. When it stops, its watchers get that status, and their calls end.

    ``clock`` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._statuses: dict[str, int] = {"": _SERVING}
        self._stopping = self._stopped = False
        #: Those with a place, in the order in which they came.
        self._watching: dict[_Place, Owner] = {}
        #: Calls that have not ended, with a place or without.
        self._of_connection: Counter[str] = Counter()

    async def Check(  # noqa: N802  # its name in the API
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of a service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802  # likewise
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream each change, until the coordinator stops."""
        connection = caller_of(context)
        place = self._take_place((address_of(context), connection))
        if place is None:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"health is watched {_MOST} times, or {_MOST_OF_CONNECTION} times on this connection; use Check",
            )
        self._of_connection[connection] += 1
        sent = None
        try:
            while not self._stopped and not place.given_up:
                place.news.clear()
                status = self._statuses.get(request.service, _UNKNOWN)
                if status != sent:
                    yield health_pb2.HealthCheckResponse(status=status)
                    sent = status
                else:
                    await place.news.wait()
        finally:
            self._watching.pop(place, None)
            self._of_connection[connection] -= 1
            if not self._of_connection[connection]:
                del self._of_connection[connection]
        if place.given_up:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"all {_MOST} places are taken, and this one went to another caller; watch again, or use Check",
            )

    def serves(self, service: str) -> None:
        """Report that a service is served, unless the coordinator stops."""
        if not self._stopping:
            self._statuses[service] = _SERVING
            self._change()

    def stop_serving(self) -> None:
        """Report that no service is served, from now on."""
        self._stopping = True
        self._statuses = dict.fromkeys(self._statuses, _NOT_SERVING)
        self._change()

    def let_go(self) -> None:
        """End all watches, now and from now on."""
        self._stopped = True
        self._change()

    def _change(self) -> None:
        for place in self._watching:
            place.news.set()

    def _take_place(self, owner: Owner) -> _Place | None:
        """Return a place for a watch, None if there is none for it."""
        if self._of_connection[owner[-1]] >= _MOST_OF_CONNECTION:
            return None
        if len(self._watching) >= _MOST:
            yielding = self._first_to_yield(owner)
            if yielding is None:
                return None
            del self._watching[yielding]
            yielding.give_up()
        place = _Place(self._clock())
        self._watching[place] = owner
        return place

    def _first_to_yield(self, owner: Owner) -> _Place | None:
        yielding = first_to_yield(((whose, place) for place, whose in self._watching.items()), owner)
        if yielding is not None:
            return yielding
        # No address has two more. Those with most take turns; one with fewer keeps its places.
        held = Counter(address for address, _ in self._watching.values())
        most = max(held.values())
        oldest = next(place for place, (address, _) in self._watching.items() if held[address] == most)
        return oldest if self._clock() - oldest.since >= _TURN_SECONDS else None
