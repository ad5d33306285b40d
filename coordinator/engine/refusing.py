"""The sentences for sessions that do not hold what they believe they hold."""

from __future__ import annotations

from coordinator.engine.documents import StoredRecord
from coordinator.engine.reading import Found, LiveClaim
from coordinator.errors import NotFound, NotHolder, Refused
from coordinator.keys import WorkKey
from coordinator.model import Cause, State, format_time

__all__ = ["refuse"]


def refuse(work_key: WorkKey, found: Found, session: str, token: int, verb: str) -> Refused:
    """Say why ``session``, which named ``token`` (0: none), may not ``verb`` the work key as it was found."""
    if found.claim is not None:
        return _held(work_key, found.claim, session, token, verb)
    if found.record is None:
        if found.record_revision == 0:
            return NotFound(
                f"nobody has ever claimed {work_key}, so there is nothing to {verb}",
                hint="check the spelling, or claim it first",
            )
        return NotHolder(f"what is stored of {work_key} cannot be read, so it cannot be told who held it")
    return _not_held(work_key, found.record, session, token)


def _held(work_key: WorkKey, live: LiveClaim, session: str, token: int, verb: str) -> Refused:
    held = live.stored
    if held is None:
        return NotHolder(f"the claim on {work_key} cannot be read, so it cannot be told who holds it")
    until = f"(expires {format_time(held.expires_at)})"
    if held.session != session:
        return NotHolder(
            f"{work_key} is held by {held.session} {until}, not by {session}",
            hint="choose other work",
            holder=held.session,
        )
    if token and token != live.token:
        return NotHolder(
            f"the live claim on {work_key} is another one: its fencing token is {live.token}, not {token}",
            hint=f"your claim has ended; stop, and do not {verb} what is somebody else's by now",
            holder=held.session,
        )
    return NotHolder(
        f"{work_key} is held by another process of your own session {held.session} {until}",
        hint=f"if it is yours after all, {verb} it with its fencing token, {live.token}",
        holder=held.session,
    )


def _not_held(work_key: WorkKey, record: StoredRecord, session: str, token: int) -> Refused:
    when = record.ended_at or record.expires_at
    at = f" at {format_time(when)}" if when is not None else ""
    if record.state is State.COMPLETED:
        return NotHolder(f"{work_key} was already completed by {record.session}{at}")
    if token and record.session == session and token != record.fencing_token:
        return NotHolder(
            f"the latest claim on {work_key} had fencing token {record.fencing_token}, not {token}, and has ended",
            hint="claim it again",
        )
    how = {Cause.RELEASED: "was handed back", Cause.REVOKED: "was revoked"}.get(
        record.cause or Cause.EXPIRED, "expired"
    )
    if record.session == session:
        return NotHolder(f"the claim of {session} on {work_key} {how}{at}", hint="claim it again")
    return NotHolder(
        f"{session} does not hold {work_key}: nobody does; the last claim, by {record.session}, {how}{at}",
        hint="claim it first",
    )
