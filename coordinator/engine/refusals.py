"""The error messages for sessions that do not hold the claim that they name.

Invariant: a session that held the claim that it means, and lost it, gets ``ClaimLost``: its attempt has expired or was
revoked, as far as the latest attempts say. A session that never held it, or has ended it itself, gets ``NotHolder``.
"""

from __future__ import annotations

import re

from coordinator.engine.documents import StoredClaim, StoredHistory, StoredRecord
from coordinator.engine.snapshot import LiveClaim, Snapshot
from coordinator.errors import ClaimLost, NotFound, NotHolder, Refused
from coordinator.keys import WorkKey
from coordinator.model import Cause, State
from coordinator.quotation import key, name, quoted
from coordinator.time_text import format_time

__all__ = ["refuse", "refuse_placed", "refuse_repeated", "refuse_revoked", "refuse_withdrawn"]


#: How much of a reason is repeated, in characters: the whole can be looked up, and a status has to fit into a header.
_REASON_CHARACTERS = 200
#: How an attempt ends without its session's doing. What was withdrawn was no session's.
_LOST = (Cause.EXPIRED, Cause.REVOKED)
_DIGITS = re.compile("[0-9]+")


def refuse(
    work_key: WorkKey, found: Snapshot, session: str, token: int, verb: str, own: StoredHistory | None = None
) -> Refused:
    """Say why ``session``, which named ``token`` (0: none), may not ``verb`` the work key as it was found.

    ``own`` is how the attempt of the session ended that it can have meant, if that is known. One that an operator has
    ended is always reported: its session cannot know.
    """
    refusal = _refusal(work_key, found, session, token, verb, own)
    if isinstance(refusal, NotHolder) and _has_lost(found, session, token, own):
        return ClaimLost.instead_of(refusal)
    return refusal


def _has_lost(found: Snapshot, session: str, token: int, own: StoredHistory | None) -> bool:
    """Return whether the session has lost the claim that it means: its latest one, or that of ``token``."""
    record, live = found.record, found.claim
    if live is not None and live.stored is not None and live.stored.session == session and token in (0, live.token):
        return False  # another process of the session holds it
    if record is not None and record.session == session and token in (0, record.fencing_token):
        if found.expired is not None:
            return True
        if live is None and record.attempt == record.attempts:
            return record.cause in _LOST
    return own is not None and own.cause in _LOST


def _refusal(
    work_key: WorkKey, found: Snapshot, session: str, token: int, verb: str, own: StoredHistory | None
) -> Refused:
    if own is not None and _is_news(found, session, token, own):
        return _ended(work_key, found, own)
    if found.claim is not None:
        return _held(work_key, found.claim, session, token, verb)
    if found.record is None:
        if found.record_revision == 0:
            return NotFound(
                f"{key(work_key)} has never been claimed, so there is nothing to {verb}",
                hint="check the spelling, or claim it first",
            )
        return NotHolder(f"what is stored of {key(work_key)} cannot be read, so its holder is unknown")
    return _not_held(work_key, found.record, session, token)


def refuse_repeated(work_key: WorkKey, record: StoredRecord) -> NotHolder:
    """Say that a request to claim was granted before, and that the attempt it was granted as has ended since."""
    lost = record.attempt == record.attempts and (record.state is State.CLAIMED or record.cause in _LOST)
    refusal = NotHolder(
        f"this very request was granted as attempt {record.attempts} of {key(work_key)}, "
        f"which {_what_came_of_it(record)}",
        hint="claim it again with a new request_id",
    )
    return ClaimLost.instead_of(refusal) if lost else refusal


def refuse_placed(work_key: WorkKey) -> NotHolder:
    """Say that a request for one of many was granted this one before, and that its claim has ended since."""
    return NotHolder(
        f"this very request was granted {key(work_key)} before, and that claim has ended since",
        hint="ask again with a new request_id",
    )


def refuse_revoked(work_key: WorkKey, held: StoredClaim) -> ClaimLost:
    """Say that an operator wants a claim to end, which its holder still has until its deadline."""
    why = f" ({quoted(held.reason, _REASON_CHARACTERS)})" if held.reason else ""
    return ClaimLost(
        f"the claim of {name(held.session)} on {key(work_key)} is being revoked by an operator{why} and is not renewed",
        hint="stop, and release it",
        holder=held.session,
    )


def refuse_withdrawn(subject: WorkKey | str) -> Refused:
    """Say that a request came when its caller had been answered, and had withdrawn what was still on its way.

    ``subject`` is the work key or the pattern that it is about.
    """
    return Refused(
        f"this very request about {key(subject)} was withdrawn: its caller has been answered already",
        hint="ask again with a new request_id",
    )


def _what_came_of_it(record: StoredRecord) -> str:
    """Say how the latest attempt ended, which the record may not describe any more."""
    if record.attempts > record.attempt:
        return "has ended since"
    return f"was completed{_at(record)}" if record.state is State.COMPLETED else _how_it_ended(record)


def _is_news(found: Snapshot, session: str, token: int, own: StoredHistory) -> bool:
    """Return whether how the session's attempt ended says more than how the work stands now."""
    held = found.claim.stored if found.claim else None
    if held is not None and held.session == session and token != own.fencing_token:
        return False
    # Where finished work was reopened and released, the record describes the attempt that finished it.
    restored = found.record is not None and own.attempt == found.record.attempts > found.record.attempt
    return own.cause is Cause.REVOKED or (found.claim is None and restored)


def _ended(work_key: WorkKey, found: Snapshot, own: StoredHistory) -> NotHolder:
    how = _how_it_ended(own)
    if own.reason and own.cause is Cause.REVOKED:
        how += f" ({quoted(own.reason, _REASON_CHARACTERS)})"
    since, holder = "", None
    if found.claim is not None and found.claim.stored is not None:
        holder = found.claim.stored.session
        since = f"; {name(holder)} holds it now (expires {format_time(found.claim.stored.expires_at)})"
    elif found.record is not None and found.record.state is State.COMPLETED:
        since = f"; the work is completed, by {name(found.record.session)}"
    return NotHolder(
        f"the claim of {name(own.session)} on {key(work_key)} {how}{since}",
        hint="choose other work" if since else "claim it again, if the reason for which it ended allows it",
        holder=holder,
    )


def _held(work_key: WorkKey, live: LiveClaim, session: str, token: int, verb: str) -> Refused:
    held = live.stored
    if held is None:
        return NotHolder(f"the claim on {key(work_key)} cannot be read, so its holder is unknown")
    until = f"(expires {format_time(held.expires_at)})"
    if held.session != session:
        return NotHolder(
            f"{key(work_key)} is held by {name(held.session)} {until}, not by {name(session)}",
            hint=_another("choose other work", held.session, session),
            holder=held.session,
        )
    if token and token != live.token:
        return NotHolder(
            f"the live claim on {key(work_key)} is another one: its fencing token is {live.token}, not {token}",
            hint=f"your claim has ended; stop, and do not {verb} the claim that is live now",
            holder=held.session,
        )
    return NotHolder(
        f"{key(work_key)} is held by another process of your own session {name(held.session)} {until}",
        hint=f"if it is yours after all, {verb} it with its fencing token, {live.token}",
        holder=held.session,
    )


def _not_held(work_key: WorkKey, record: StoredRecord, session: str, token: int) -> Refused:
    if record.state is State.COMPLETED:
        message = f"{key(work_key)} was already completed by {name(record.session)}{_at(record)}"
        return NotHolder(
            message, hint=None if record.session == session else _another("choose other work", record.session, session)
        )
    if token and record.session == session and token != record.fencing_token:
        return NotHolder(
            f"the latest claim on {key(work_key)} had fencing token {record.fencing_token}, not {token}, and has ended",
            hint="claim it again",
        )
    how = _how_it_ended(record)
    if record.session == session:
        return NotHolder(f"the claim of {name(session)} on {key(work_key)} {how}", hint="claim it again")
    return NotHolder(
        f"{name(session)} does not hold {key(work_key)}: it is not claimed; the last claim, by "
        f"{name(record.session)}, {how}",
        hint=_another("claim it first", record.session, session),
    )


def _another(hint: str, theirs: str, session: str) -> str:
    """Return the hint for a session that has met another; it may be the same one, named by the number of a process."""
    if theirs == session or _DIGITS.sub("0", theirs) != _DIGITS.sub("0", session):
        return hint
    return (
        f"{hint}; if that session is you: $$ in a name changes from shell to shell, so name the session once for all "
        "of them, for example in COORDINATION_SESSION"
    )


def _how_it_ended(record: StoredRecord | StoredHistory) -> str:
    how = {Cause.RELEASED: "was released", Cause.REVOKED: "was revoked by an operator"}
    return f"{how.get(record.cause or Cause.EXPIRED, 'expired')}{_at(record)}"


def _at(record: StoredRecord | StoredHistory) -> str:
    when = record.ended_at or record.expires_at
    return "" if when is None else f" at {format_time(when)}"
