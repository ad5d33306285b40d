"""Reads what the board shows of a fleet, in the form in which its script reads it over HTTP.

Invariant: only calls that change nothing are made, with the credential and the settings of the command. Events are a
help: where the store does not remember them, or a caller may not watch, the rest is shown all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from coordinator.client import AsyncClient
from coordinator.errors import CoordinatorError, HistoryGone
from coordinator.limits import MAX_PAGE_SIZE
from coordinator.model import ClaimEvent, Event
from coordinator.v1 import service_pb2 as pb
from coordinator.v1 import types_pb2 as types

__all__ = ["read_snapshot"]

#: As many as the board itself reads, in board.js.
_MOST_HELD, _MOST_OTHERS, _MOST_POOLED, _MOST_HOT, _MOST_DENIALS = 20_000, 1_000, 200, 100, 100
#: So many revisions back events are read, if the store has them, and of so many seconds they are kept.
_LOOK_BACK, _KEPT_SECONDS = (3000, 300, 30, 10), 30 * 60
#: How long events are waited for at most; and how long when those are there that must be, in seconds.
_EVENTS_SECONDS, _QUIET_SECONDS = 5.0, 0.4
_POOLED = (pb.PoolEntry.STATE_AVAILABLE, pb.PoolEntry.STATE_BLOCKED, pb.PoolEntry.STATE_RETURNED)

Found = dict[str, Any]


async def read_snapshot(client: AsyncClient, fleet: str) -> Found:
    """Return a fleet as the board shows it; raises ``CoordinatorError`` for what cannot be read."""
    held, revision, more_held = await _records(client, fleet, types.STATE_CLAIMED, _MOST_HELD)
    status = await _call(client, "Status", pb.StatusRequest(fleet=fleet, progress=True))
    loose, _, more_loose = await _records(client, fleet, types.STATE_ABANDONED, _MOST_OTHERS)
    hot = await _call(client, "Hot", pb.HotRequest(fleet=fleet, limit=_MOST_HOT))
    pool = pb.ListPoolRequest(fleet=fleet, page_size=_MOST_POOLED, states=_POOLED)
    failed = pb.ListPoolRequest(fleet=fleet, page_size=_MOST_POOLED, states=[pb.PoolEntry.STATE_FAILED])
    # What is held was granted at the revision that is its fencing token.
    granted = max((int(record.get("fencingToken", 0)) for record in held), default=0)
    events = await _events(client, revision, granted)
    denials = [each for each in reversed(events) if each.event is Event.DENIED][:_MOST_DENIALS]
    return {
        "fleet": fleet,
        "fleets": [],
        "at": round(time.time() * 1000),
        "status": status,
        "held": held,
        "loose": [record for record in loose if "acknowledgedAt" not in record],
        "more": {"held": more_held, "loose": more_loose},
        "pool": await _call(client, "ListPool", pool),
        "failed": (await _call(client, "ListPool", failed)).get("entries", []),
        "wantedBy": [[each["workKey"], each.get("contenders", 0)] for each in hot.get("entries", [])],
        "denials": [_denial(each) for each in denials],
        "counted": [{"event": f"EVENT_{each.event.name}", "at": _moment(each.at)} for each in events],
    }


async def _call(client: AsyncClient, method: str, request: Any) -> Found:
    calls = client._calls  # noqa: SLF001  # of this package; the board wants messages, not what the client makes of them
    found: Found = MessageToDict(await calls.call(method, request))
    return found


async def _records(client: AsyncClient, fleet: str, state: types.State, most: int) -> tuple[list[Found], int, bool]:
    """Return records of a state, the revision of the first page, and whether there are more."""
    found: list[Found] = []
    revision, token = 0, ""
    while True:
        request = pb.ListRequest(fleet=fleet, states=[state], page_size=MAX_PAGE_SIZE, page_token=token)
        page = await _call(client, "List", request)
        found += page.get("records", [])
        revision = revision or int(page.get("revision", 0))
        token = page.get("nextPageToken", "")
        if not token or len(found) >= most:
            return found, revision, bool(token)


async def _events(client: AsyncClient, revision: int, least: int) -> list[ClaimEvent]:
    """Return grants and denials up to ``revision``, oldest first, as far as they come; all up to ``least`` should."""
    for back in _LOOK_BACK:
        found: list[ClaimEvent] = []
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVENTS_SECONDS):
                    await _follow(client, max(1, revision + 1 - back), least, found)
        except HistoryGone:
            continue
        except CoordinatorError:
            break
        begin = datetime.now(UTC).timestamp() - _KEPT_SECONDS
        return [each for each in found if each.at is not None and each.at.timestamp() >= begin]
    return []


async def _follow(client: AsyncClient, start: int, least: int, found: list[ClaimEvent]) -> None:
    watching = client.watch(start_revision=start)
    seen = 0
    while True:
        async with asyncio.timeout(_QUIET_SECONDS if seen >= least else None):
            each = await anext(watching)
        seen = each.revision
        if each.event in (Event.GRANTED, Event.DENIED):
            found.append(each)


def _denial(each: ClaimEvent) -> Found:
    key, kind = each.record.work_key, each.record.kind
    return {"key": key, "kind": kind, "who": each.contender, "holder": each.holder, "at": _moment(each.at)}


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
