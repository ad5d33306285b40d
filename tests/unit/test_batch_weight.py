"""What a transaction takes of etcd's limits, and what may travel as a read."""

from __future__ import annotations

import pytest

from coordinator.engine.transaction import Delete, Operation, Put, Range, Txn, is_absent, is_present
from coordinator.store.batches.weight import MAX_BATCH_BYTES, MAX_OPERATIONS, has_put, is_small_read, weigh
from coordinator.store.etcd.codec import encode_txn

KEY = b"/coordination/v1/default/claim/task:db-migration"
PUT, RANGE, DELETE = Put(KEY, b"value"), Range(KEY), Delete(KEY)
NOTE = Txn((is_present(KEY), is_absent(KEY)), (PUT,))


@pytest.mark.parametrize(
    ("txn", "operations"),
    [
        (Txn((is_absent(KEY),), ()), 1),
        (Txn((is_absent(KEY),), (PUT,), (RANGE,)), 1),
        (Txn((is_absent(KEY),) * 4, (PUT,), (RANGE, RANGE)), 4),
        (Txn((is_absent(KEY),), (PUT,) * 3, (RANGE, RANGE)), 3),
        (Txn((is_absent(KEY),), (PUT,), (RANGE,) * 5), 5),
        (Txn((is_absent(KEY),), (PUT,), (RANGE, RANGE, NOTE)), 3 + 2),
        (Txn((is_absent(KEY),), (NOTE, Txn((), (NOTE,) * 7))), 2 + 7 + 2),
    ],
)
def test_a_transaction_takes_its_longest_list_and_its_deepest_child(txn: Txn, operations: int) -> None:
    assert weigh(txn).operations == operations


@pytest.mark.parametrize("operations", [(), (PUT,), (RANGE,), (DELETE,), (NOTE,), (PUT, RANGE, DELETE, NOTE)])
@pytest.mark.parametrize("value", [b"", b"x" * 1000, b"x" * 500_000])
def test_the_size_is_about_what_travels(operations: tuple[Operation, ...], value: bytes) -> None:
    txn = Txn((is_absent(KEY),), (Put(KEY, value, lease=(1 << 62) + 1), *operations), operations)
    travels = encode_txn(txn).ByteSize()
    assert 0.8 * travels < weigh(txn).size < 1.5 * travels


def test_a_full_batch_stays_below_what_etcd_takes() -> None:
    assert MAX_OPERATIONS == 128
    assert MAX_BATCH_BYTES / 0.8 < 1.5 * 1024 * 1024


@pytest.mark.parametrize(
    ("operation", "small"),
    [
        (RANGE, True),
        (Range(KEY, KEY + b"0", count_only=True), True),
        (Range(KEY, KEY + b"0", limit=10), True),
        (Range(KEY, KEY + b"0", limit=11), False),
        (Range(KEY, KEY + b"0"), False),
        (PUT, False),
        (DELETE, False),
        (Txn((), (RANGE,)), False),
    ],
)
def test_only_what_reads_little_is_a_small_read(operation: Operation, small: bool) -> None:
    assert is_small_read(Txn((), (RANGE, operation))) is small


def test_what_compares_is_no_read() -> None:
    assert not is_small_read(Txn((is_absent(KEY),), (RANGE,)))


@pytest.mark.parametrize(
    ("txn", "puts"),
    [
        (Txn((is_absent(KEY),), (DELETE, RANGE), (RANGE,)), False),
        (Txn((is_absent(KEY),), (DELETE,), (PUT,)), True),
        (Txn((is_absent(KEY),), (DELETE, Txn((), (DELETE,), (NOTE,)))), True),
        (Txn((is_absent(KEY),), (Txn((), (DELETE,), (RANGE,)),)), False),
    ],
)
def test_a_put_is_found_in_whatever_branch_it_stands(txn: Txn, puts: bool) -> None:
    assert has_put(txn) is puts
