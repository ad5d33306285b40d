"""What a fleet's keys in etcd amount to, read past the coordinator, and what must hold of them whatever happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from coordinator.engine.documents import (
    Contender,
    Ended,
    LooseEnd,
    StoredClaim,
    StoredHistory,
    StoredRecord,
    StoredRequest,
)
from coordinator.engine.layout import ROOT, decode_segment, format_stamp
from coordinator.engine.transaction import KeyValue
from coordinator.model import State
from coordinator.store.leases.pool import LEASE_ID_PREFIX
from tests.property.history_state import End, Held, Known, Work

T = TypeVar("T")


class Disagreement(AssertionError):
    """Etcd holds, or the engine answered, what it must not."""


@dataclass
class Stored:
    """The keys of one work key."""

    claim: tuple[KeyValue, StoredClaim] | None = None
    record: StoredRecord | None = None
    history: dict[int, StoredHistory] = field(default_factory=dict)
    ended: dict[tuple[str, int], Ended] = field(default_factory=dict)
    loose: LooseEnd | None = None
    contenders: set[str] = field(default_factory=set)

    @property
    def held(self) -> Held | None:
        """The claim in the model's words."""
        if self.claim is None:
            return None
        _, claim = self.claim
        return Held(
            session=claim.session,
            instance=claim.instance,
            request_id=claim.request_id,
            attempt=claim.attempt,
            note=claim.note,
            ttl=claim.ttl,
            claimed_at=claim.claimed_at,
            renewed=claim.renewed,
        )

    @property
    def known(self) -> Known | None:
        """The record in the model's words."""
        return None if self.record is None else _known(self.record)

    @property
    def ends(self) -> tuple[End, ...]:
        """The history in the model's words."""
        return tuple(_end(self.history[attempt]) for attempt in sorted(self.history))

    @property
    def tokens(self) -> dict[int, int]:
        """The fencing tokens by attempt; raises ``Disagreement`` where one place says otherwise than another."""
        found: dict[int, int] = {}
        reported = [(attempt, entry.fencing_token) for attempt, entry in self.history.items()]
        if self.record is not None:
            reported.append((self.record.attempt, _present(self.record.fencing_token)))
        if self.claim is not None:
            reported.append((self.claim[1].attempt, self.claim[0].create_revision))
        for attempt, token in reported:
            if found.setdefault(attempt, token) != token:
                raise Disagreement(f"attempt {attempt} has the tokens {found[attempt]} and {token}")
        return found

    @property
    def deadlines(self) -> dict[int, datetime]:
        """The deadlines by attempt."""
        found = {attempt: _present(entry.expires_at) for attempt, entry in self.history.items()}
        if self.record is not None:
            found[self.record.attempt] = _present(self.record.expires_at)
        return found


def read_fleet(fleet: str, kvs: Iterable[KeyValue]) -> dict[str, Stored]:
    """Sort the keys of a fleet by work key; raises where a key or a value is none that a coordinator writes."""
    works: dict[str, Stored] = {}
    withdrawals = f"{ROOT}{fleet}/request/".encode()
    for kv in kvs:
        if kv.key.startswith(withdrawals):
            _check_withdrawal(kv)
            continue
        table, *rest = kv.key.decode().removeprefix(f"{ROOT}{fleet}/").split("/")
        moment = rest.pop(0) if table == "ended" else ""
        stored = works.setdefault(decode_segment(rest[0]), Stored())
        _expect(bool(kv.lease) == (table == "claim"), f"{kv.key!r} is bound to lease {kv.lease:x}")
        match table, rest[1:]:
            case "claim", []:
                if kv.lease >> 48 != LEASE_ID_PREFIX:
                    raise Disagreement(f"{kv.key!r} is bound to the lease {kv.lease:x}, which is not of a pool")
                stored.claim = (kv, StoredClaim.decode(kv.value))
            case "record", []:
                stored.record = StoredRecord.decode(kv.value).with_token(kv.mod_revision)
            case "history", [attempt]:
                stored.history[int(attempt)] = StoredHistory.decode(kv.value)
            case "ended", [attempt]:
                stored.ended[moment, int(attempt)] = Ended.decode(kv.value)
            case "loose", []:
                stored.loose = LooseEnd.decode(kv.value)
            case "contender", [session]:
                Contender.decode(kv.value)
                stored.contenders.add(decode_segment(session))
            case _:
                raise Disagreement(f"{kv.key!r} lies where nothing should")
    return works


def _check_withdrawal(kv: KeyValue) -> None:
    if kv.lease >> 48 != LEASE_ID_PREFIX:
        raise Disagreement(f"{kv.key!r} is bound to the lease {kv.lease:x}, which is not of a pool")
    StoredRequest.decode(kv.value)


def check(stored: Stored, seen: Mapping[int, int]) -> None:
    """Raise ``Disagreement`` if an invariant does not hold; ``seen`` are the tokens known before, by attempt."""
    record, claim = stored.record, stored.claim[1] if stored.claim else None
    if record is None:
        raise Disagreement("something is there without a record")
    attempts = sorted(stored.history)
    ended = record.attempts - (record.state is State.CLAIMED)
    _expect(attempts == list(range(1, ended + 1)), f"{record.attempts} attempts, but history of {attempts}")
    _expect(all(entry.attempt == attempt for attempt, entry in stored.history.items()), "history under a wrong number")
    index = {(format_stamp(entry.ended_at), attempt) for attempt, entry in stored.history.items()}
    _expect(index == set(stored.ended), f"time index {sorted(stored.ended)} of history {sorted(index)}")
    for (_, attempt), entry in stored.ended.items():
        end = stored.history[attempt]
        _expect((entry.session, entry.ended, entry.cause) == (end.session, end.ended, end.cause), f"{entry} of {end}")
    abandoned = record.state is State.ABANDONED and record.acknowledged_at is None
    _expect((stored.loose is not None) == abandoned, f"loose end {stored.loose} of a record {record.state}")
    if stored.loose is not None:
        reported = (stored.loose.session, stored.loose.attempt, stored.loose.cause, stored.loose.ended_at)
        _expect(
            reported == (record.session, record.attempt, record.cause, record.ended_at), f"{stored.loose} of {record}"
        )
    if claim is not None:
        reported_of = (State.CLAIMED, claim.session, claim.attempt, claim.note, claim.expires_at, claim.request_id)
        claimed = (record.state, record.session, record.attempt, record.note, record.expires_at, record.request_id)
        _expect(reported_of == claimed and record.attempts == claim.attempt, f"{claim} and {record} disagree")
    _expect(not stored.contenders or record.state is State.CLAIMED, f"contenders {stored.contenders} for nothing")
    tokens = stored.tokens
    _expect(all(tokens.get(attempt, token) == token for attempt, token in seen.items()), f"{seen} became {tokens}")
    grown = [token for _, token in sorted({**seen, **tokens}.items())]
    _expect(grown == sorted(set(grown)), f"tokens do not grow: {grown}")


def differences(work: Work, stored: Stored) -> list[str]:
    """Report where the store is not what the model expects."""
    pairs = {
        "claim": (work.held, stored.held),
        "record": (work.known, stored.known),
        "history": (work.history, stored.ends),
        "contenders": (work.contenders, frozenset(stored.contenders)),
    }
    return [f"{what}: expected {want}, found {have}" for what, (want, have) in pairs.items() if want != have]


def _known(record: StoredRecord) -> Known:
    return Known(
        state=record.state,
        session=record.session,
        attempt=record.attempt,
        attempts=record.attempts,
        request_id=record.request_id,
        claimed_at=_present(record.claimed_at),
        note=record.note,
        cause=record.cause,
        reason=record.reason,
        result=record.result,
        ended_at=record.ended_at,
        late=record.late,
        withdrawn=record.withdrawn,
        completion=None if record.completion is None else _known(record.completion),
    )


def _end(entry: StoredHistory) -> End:
    return End(
        session=entry.session,
        attempt=entry.attempt,
        ended=entry.ended,
        ended_at=entry.ended_at,
        claimed_at=_present(entry.claimed_at),
        note=entry.note,
        cause=entry.cause,
        reason=entry.reason,
        result=entry.result,
        late=entry.late,
        contenders=entry.contenders,
        request_id=entry.request_id,
        withdrawn=entry.withdrawn,
    )


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise Disagreement(message)


def _present(value: T | None) -> T:
    if value is None:
        raise Disagreement("a member that every coordinator writes is missing")
    return value
