"""Values that a newer coordinator has written: what is read of each kind of them, and what is kept."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

import pytest

from coordinator.engine.document_codec import FORMAT, Document, OfNewerVersion, Undecodable, _schema
from coordinator.engine.documents import StoredPolicy, StoredRecord, StoredWork
from coordinator.engine.steps import Unfamiliar, decode
from coordinator.engine.transaction import Delete, KeyValue, Put, Txn
from coordinator.engine.unfamiliar import carry_along
from coordinator.errors import NewerFormat
from coordinator.model import Repeat

AT = "2026-06-14T02:00:00.000Z"


def kinds() -> list[type[Document]]:
    import coordinator.engine.documents
    import coordinator.engine.election  # noqa: F401  # it has documents of its own

    return sorted(Document.__subclasses__(), key=lambda kind: kind.__name__)


def a_value(kind: type[Document]) -> dict[str, Any]:
    """The least that a value of a kind has."""
    return {name: _some(types[0]) for name, (types, required) in _schema(kind).items() if required}


def _some(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "completed" if "completed" in list(kind) else next(iter(kind)).value
    if kind is datetime:
        return AT
    return {str: "s", int: 1, float: 1.0}.get(kind, ["task:a"])


def encoded(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize("kind", kinds())
def test_members_of_unknown_name_are_written_again(kind: type[Document]) -> None:
    value = {**a_value(kind), "colour": {"of": ["the", "future", None, "é"]}, "zz": 7}
    read = kind.decode(encoded(value))
    assert read.newer == ""
    assert json.loads(read.encode()) == {**json.loads(kind.decode(encoded(a_value(kind))).encode()), **value}


@pytest.mark.parametrize("kind", kinds())
def test_a_value_of_a_newer_format_is_read_as_far_as_it_is_understood(kind: type[Document]) -> None:
    least = a_value(kind)
    newer = {**{name: {"it": "is new"} for name in _schema(kind)}, **least, "v": 2}
    read = kind.decode(encoded(newer))
    assert "its format is 2, and this coordinator knows formats up to 1" in read.newer
    assert read == kind.decode(encoded(least))
    for name in least:
        with pytest.raises(OfNewerVersion, match="its format is 2"):
            kind.decode(encoded({**newer, name: {}}))


def enumerations() -> list[Any]:
    return [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in kinds()
        for name, (types, _) in _schema(kind).items()
        if isinstance(types[0], type) and issubclass(types[0], StrEnum)
    ]


@pytest.mark.parametrize(("kind", "name"), enumerations())
def test_a_name_that_only_a_newer_coordinator_knows_is_no_damage(kind: type[Document], name: str) -> None:
    value = encoded({**a_value(kind), name: "paused"})
    try:
        assert kind.decode(value).newer == f"its {name} is paused, which this coordinator does not know"
    except OfNewerVersion as error:
        assert str(error) == f"its {name} is paused, which this coordinator does not know"
    with pytest.raises(Undecodable) as damaged:
        kind.decode(encoded({**a_value(kind), name: "Paused!"}))
    assert not isinstance(damaged.value, OfNewerVersion)


def test_what_is_newer_within_a_value_makes_it_newer() -> None:
    completed = a_value(StoredRecord)
    read = StoredRecord.decode(encoded({**completed, "completion": {**completed, "cause": "paused"}}))
    assert read.newer == "its cause is paused, which this coordinator does not know"
    failure = {"session": "s", "attempt": 1, "failed_at": AT, "cause": "expired", "exit": 9}
    work = StoredWork.decode(encoded({**a_value(StoredWork), "latest": [failure]}))
    assert json.loads(work.encode())["latest"] == [failure]
    assert StoredWork.decode(encoded({**a_value(StoredWork), "latest": [{**failure, "cause": "bored"}]})).newer


def test_of_a_newer_policy_counts_what_is_understood() -> None:
    policy = StoredPolicy.decode(encoded({"repeat": "sometimes", "repeat_after": 60.0, "max_live": 0}))
    assert (policy.repeat, policy.repeat_after, policy.max_live) == (None, None, 0)
    assert StoredPolicy.decode(encoded({"repeat": "always", "v": 9, "similar": 3})).repeat is Repeat.ALWAYS


def test_values_without_a_version_are_of_the_first_format() -> None:
    assert FORMAT == 1
    assert all(not kind.decode(encoded(a_value(kind))).newer for kind in kinds())
    assert all(json.loads(kind.decode(encoded(a_value(kind))).encode())["v"] == FORMAT for kind in kinds())


def test_what_is_read_of_a_key_decides_what_may_be_written_there() -> None:
    other = Put(b"/f/record/task:other", b'{"a":1}')
    put, delete = Put(b"/f/record/task:a", b'{"state":"claimed","v":1}'), Delete(b"/f/record/task:a")
    kept = {put.key: Unfamiliar(put.key, '"colour":"red","state":"old"', "")}
    nested = Txn((), (other, Txn((), (put,))), (delete,))
    written = carry_along(nested, kept)
    inner = written.success[1]
    assert isinstance(inner, Txn)
    assert inner.success == (put._replace(value=b'{"state":"claimed","v":1,"colour":"red"}'),)
    assert (written.success[0], written.failure) == (other, (delete,))
    newer = {put.key: Unfamiliar(put.key, "", "its format is 2")}
    for operation in (put, delete, Txn((), (), (put,))):
        with pytest.raises(NewerFormat, match=r"^the record of task:a was .* newer coordinator, .*format is 2$"):
            carry_along(Txn((), (other, operation)), newer)
    assert carry_along(Txn((), (other, Delete(b"/f/record/", b"/f/record0"))), newer)


def test_what_is_damaged_is_not_taken_for_newer() -> None:
    found = KeyValue(b"/f/work/task:a", b'{"v":"2"}', 1, 1, 0)
    (step,) = decode(StoredWork, found)
    assert not isinstance(step, Unfamiliar)
    assert get_args(step) == ()
