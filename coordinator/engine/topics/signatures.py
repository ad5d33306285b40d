"""Similar topics: which others a topic may be the same work as, compared and written with its claim.

A signature is what topics of one kind that have the same words have in common. ``signature/<hash>`` lists them.

Invariants:
- Of two topics that have the same words, the second is granted only if it was said that it is different work: each
  grant compares that the list is as it was seen, and puts the topic on it. Both write the same key, which etcd refuses
  within one batch. There is no key that all topics write: with one, the coordinators kept one another waiting.
- A list has the last ``MOST_LISTED`` topics. A topic is on it for as long as its record is there: what forgets the
  record, or takes a claim back, takes the topic off the list (``off_the_list``).
- That two topics are different work is kept with the grant of the claim that said so, under a key that is the same for
  both, and until the one that sorts first is forgotten. No session is asked about them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import Distinct, StoredRecord, StoredSignature, StoredTopic
from coordinator.engine.layout import FleetPaths, WorkPaths, encode_segment, read_work_key
from coordinator.engine.snapshot import Snapshot, decode_record, show_record
from coordinator.engine.steps import Operation, commit, decode
from coordinator.engine.transaction import Compare, Delete, KeyValue, Put, Range, Txn, in_turn, unchanged
from coordinator.model import Denial, DenialReason, SimilarTopic, State

__all__ = [
    "MOST_LISTED",
    "SeenTopic",
    "as_listed",
    "deny_namesake",
    "listed_along",
    "off_the_list",
    "read_signature",
    "see_topics",
]

#: How many topics with the same words are listed, the latest ones.
MOST_LISTED = 16
_READS = 3


class SeenTopic(NamedTuple):
    """A topic as it was read: ``distinct`` says whether it is known to be different work from the one that asks.

    ``token`` is the fencing token of its latest claim, 0 where that is not known.
    """

    work_key: str
    state: State
    session: str
    token: int
    distinct: bool
    topic: SimilarTopic


def as_listed(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> tuple[Compare, ...]:
    """Return what compares that the topics with the same words are those that were seen."""
    if not command.signature:
        return ()
    return (unchanged(paths.signature(command.signature), found.signature_revision),)


def listed_along(command: ClaimCommand, paths: WorkPaths, found: Snapshot) -> tuple[Put, ...]:
    """Return what puts a topic on the list of those with the same words, and keeps from which others it is distinct."""
    if not command.signature:
        return ()
    decided = Distinct(session=command.session, decided_at=command.now).encode()
    marks = tuple(Put(paths.distinct(each), decided) for each in command.distinct_from)
    work_key = str(paths.work_key)
    others = () if found.signature is None else found.signature.work_keys
    if work_key in others and found.record_revision:
        return marks
    listed = (*(each for each in others if each != work_key), work_key)[-MOST_LISTED:]
    return (
        Put(paths.signature(command.signature), StoredSignature(work_keys=listed).encode()),
        Put(paths.topic, StoredTopic(signature=command.signature).encode()),
        *marks,
    )


def read_signature(found: Snapshot, kvs: Sequence[KeyValue]) -> Operation[Snapshot]:
    """Return what was found with the list of topics that have the same words."""
    if not kvs:
        return found
    stored = yield from decode(StoredSignature, kvs[0])
    return replace(found, signature=stored or StoredSignature(work_keys=()), signature_revision=kvs[0].mod_revision)


def deny_namesake(command: ClaimCommand, paths: WorkPaths, met: Snapshot) -> Operation[Denial | None]:
    """Deny a topic that has the same words as others, unless it is known to be different work."""
    named = {str(each.work_key) for each in command.distinct_from} | {str(paths.work_key)}
    listed = () if met.signature is None else met.signature.work_keys
    others = [each for each in listed if each not in named]
    if not others:
        return None
    seen = yield from see_topics(paths, others_of(paths, others))
    similar = tuple(each.topic for each in seen if not each.distinct)
    return Denial(str(paths.work_key), DenialReason.SIMILAR, similar=similar) if similar else None


def others_of(paths: WorkPaths, work_keys: Iterable[str]) -> list[WorkPaths]:
    """Return the paths of other topics of a fleet, by their canonical work keys."""
    keys = (read_work_key(encode_segment(each)) for each in work_keys)
    return [FleetPaths(paths.fleet).of(each) for each in keys if each is not None]


def see_topics(
    paths: WorkPaths, others: Sequence[WorkPaths], scores: Sequence[float] = ()
) -> Operation[list[SeenTopic]]:
    """Read how topics are, and which are known to be different work from the one of ``paths``; at most 40.

    Those of which nothing is stored, or whose one claim was taken back, are left out. ``scores`` is how similar each
    is; without it they have the same words.
    """
    if not others:
        return []
    reads = [
        operation
        for each in others
        for operation in (Range(each.claim, count_only=True), Range(each.record), Range(paths.distinct(each)))
    ]
    reply = yield from commit(Txn((in_turn(paths.claim),), tuple(reads)))
    found = []
    for number, each in enumerate(others):
        records = reply.range(_READS * number + 1).kvs
        record = (yield from decode_record(records[0])) if records else None
        live = bool(reply.range(_READS * number).total)
        if record is None or record.withdrawn:
            continue
        distinct = bool(reply.range(_READS * number + 2).kvs)
        found.append(_seen(each, record, scores[number] if scores else 1.0, live=live, distinct=distinct))
    return found


def _seen(paths: WorkPaths, stored: StoredRecord, score: float, *, live: bool, distinct: bool) -> SeenTopic:
    record = show_record(paths.work_key, stored, live=live)
    session = record.session or ""
    since = record.claimed_at if record.state is State.CLAIMED else record.ended_at
    topic = SimilarTopic(str(paths.work_key), record.state, session, score, since)
    return SeenTopic(topic.work_key, record.state, session, record.fencing_token or 0, distinct, topic)


def off_the_list(paths: WorkPaths) -> Operation[tuple[tuple[Compare, ...], tuple[Put | Delete, ...]]]:
    """Return what takes a topic off the list of those with the same words, and what must hold for that.

    Nothing of both where the work is on no list.
    """
    reply = yield from commit(Txn((), (Range(paths.topic),)))
    topic = (yield from decode(StoredTopic, reply.range(0).kvs[0])) if reply.range(0).kvs else None
    if topic is None:
        return (), ()
    signature = paths.signature(topic.signature)
    reply = yield from commit(Txn((), (Range(signature),)))
    kvs = reply.range(0).kvs
    stored = (yield from decode(StoredSignature, kvs[0])) if kvs else None
    others = tuple(each for each in stored.work_keys if each != str(paths.work_key)) if stored is not None else ()
    rest = Put(signature, StoredSignature(work_keys=others).encode()) if others else Delete(signature)
    as_read = unchanged(signature, kvs[0].mod_revision if kvs else 0)
    return (as_read,), (Delete(paths.topic), paths.delete_distinct(), rest)
