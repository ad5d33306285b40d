"""How far a watch has come, so that it can continue elsewhere without repeating or skipping an event."""

from __future__ import annotations

from coordinator import model
from coordinator.client._answers import claim_event_from
from coordinator.v1 import service_pb2 as pb

__all__ = ["Position"]


class Position:
    """All events before ``revision`` were seen, and some of ``revision`` itself; 0 means from now on."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self._seen: set[tuple[int, str, str]] = set()

    def take(self, response: pb.WatchResponse) -> model.ClaimEvent | None:
        """Return the event of a response; None for nothing new."""
        if response.event == pb.WatchResponse.EVENT_UNSPECIFIED:
            self._advance(response.revision + 1)
            return None
        self._advance(response.revision)
        # No two events of one revision are of the same sort, work key and contender.
        event = (response.event, response.record.work_key, response.contender)
        if response.revision < self.revision or event in self._seen:
            return None
        self._seen.add(event)
        return claim_event_from(response)

    def _advance(self, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
            self._seen.clear()
