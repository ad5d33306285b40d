"""Stored values: what is written reads back, and what is not ours is ``Undecodable``, never worse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.document_codec import Document, Undecodable
from coordinator.engine.documents import Contender, Ended, LooseEnd, StoredClaim, StoredHistory, StoredRecord
from coordinator.model import Cause, State
from tests.examples import examples

# Text without half surrogate pairs: what gRPC lets through.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
sessions = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
# Stored times have milliseconds.
moments = st.integers(0, 10**12).map(lambda span: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(milliseconds=span))
attempts = st.integers(1, 10**10 - 1)
revisions = st.integers(0, 2**63 - 1)
causes = st.none() | st.sampled_from(Cause)
ends = st.sampled_from([State.COMPLETED, State.ABANDONED])


def records(state: st.SearchStrategy[State], completion: st.SearchStrategy[Any]) -> st.SearchStrategy[StoredRecord]:
    return st.builds(
        StoredRecord,
        state=state,
        session=sessions,
        attempt=attempts,
        attempts=st.just(0) | attempts,
        fencing_token=st.none() | revisions,
        cause=causes,
        reason=texts,
        result=texts,
        note=texts,
        claimed_at=st.none() | moments,
        expires_at=st.none() | moments,
        ended_at=st.none() | moments,
        late=st.booleans(),
        acknowledged_at=st.none() | moments,
        request_id=texts,
        completion=completion,
    )


documents: st.SearchStrategy[Document] = st.one_of(
    st.builds(
        StoredClaim,
        session=sessions,
        attempt=attempts,
        ttl=st.floats(0, 604800.0),
        claimed_at=moments,
        expires_at=moments,
        request_id=texts,
        instance=texts,
        note=texts,
    ),
    records(
        st.sampled_from([State.CLAIMED, State.COMPLETED, State.ABANDONED]),
        st.none() | records(st.just(State.COMPLETED), st.none()),
    ),
    st.builds(
        StoredHistory,
        session=sessions,
        attempt=attempts,
        fencing_token=revisions,
        ended=ends,
        ended_at=moments,
        claimed_at=st.none() | moments,
        expires_at=st.none() | moments,
        cause=causes,
        reason=texts,
        result=texts,
        note=texts,
        late=st.booleans(),
        contenders=st.integers(0, 10**6),
        request_id=texts,
    ),
    st.builds(Ended, session=sessions, ended=ends, cause=causes),
    st.builds(LooseEnd, session=sessions, attempt=attempts, cause=st.sampled_from(Cause), ended_at=moments),
    st.builds(Contender, denied_at=moments, request_id=texts),
)

TYPES = (StoredClaim, StoredRecord, StoredHistory, Ended, LooseEnd, Contender)
MEMBERS = sorted({name for document in TYPES for name in document.__dataclass_fields__})

#: What members hold, right or wrong, and more: JSON of any shape with numbers of any size.
likely = st.sampled_from(
    ["claimed", "completed", "available", "expired", "2026-06-14T02:45:11Z", "0001-01-01T00:00:00+14:00", "\ud800", ""]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 3)
    | st.integers(10**300, 10**301)
    | st.floats()
    | st.text(st.characters(), max_size=10)
    | likely
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)
look_alikes = st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=len(MEMBERS))


def check(document: type[Document], value: bytes) -> None:
    """Whatever is decoded can be written again."""
    try:
        decoded = document.decode(value)
    except Undecodable as error:
        assert str(error)
        return
    decoded.encode()


@given(documents)
@settings(max_examples=examples(150))
def test_what_is_written_reads_back_the_same(written: Document) -> None:
    assert type(written).decode(written.encode()) == written


@given(documents, st.dictionaries(st.text(max_size=8).map("x-{}".format), anything, max_size=4))
@settings(max_examples=examples(60))
def test_members_of_unknown_name_change_nothing(written: Document, unknown: dict[str, Any]) -> None:
    members = {**unknown, **json.loads(written.encode())}
    assert type(written).decode(json.dumps(members).encode()) == written


@given(documents, st.data())
@settings(max_examples=examples(150))
def test_one_wrong_member_is_undecodable_or_harmless(written: Document, data: st.DataObject) -> None:
    members = json.loads(written.encode())
    members[data.draw(st.sampled_from(sorted(type(written).__dataclass_fields__)))] = data.draw(anything)
    check(type(written), json.dumps(members).encode())


@given(anything | look_alikes)
@settings(max_examples=examples(150))
def test_any_json_is_undecodable_or_harmless(value: object) -> None:
    for document in TYPES:
        check(document, json.dumps(value).encode())


@given(st.binary(max_size=200))
@settings(max_examples=examples(150))
def test_any_bytes_are_undecodable_or_harmless(value: bytes) -> None:
    for document in TYPES:
        check(document, value)


@given(documents, st.data())
@settings(max_examples=examples(100))
def test_a_truncated_value_is_undecodable(written: Document, data: st.DataObject) -> None:
    value = written.encode()
    with pytest.raises(Undecodable):
        type(written).decode(value[: data.draw(st.integers(0, len(value) - 1))])
