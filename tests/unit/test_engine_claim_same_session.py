"""Claims of one session by several of its processes, and the marks of those that were denied, answer by answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.engine.claim import claim
from coordinator.engine.documents import Contender
from coordinator.engine.shared_reply import answer_from
from coordinator.engine.steps import Trailing
from coordinator.engine.transaction import Delete, Put, Txn, created_at, is_absent, is_present, unchanged
from coordinator.model import Denial, Outcome
from tests.unit.claim_driving import COMMAND, OWN, granted, refused
from tests.unit.engine_driving import (
    HOLDER,
    HOUR,
    LEASE,
    MODIFIED,
    NOW,
    OTHER,
    PATHS,
    TOKEN,
    a_claim,
    a_record,
    answered,
    committed,
    denied,
    kv,
    ranged,
    run,
)


def test_without_instances_the_same_session_renews() -> None:
    done = run(claim(OWN, PATHS), LEASE, denied(a_claim(), a_record()), LEASE, committed())
    assert (granted(done).outcome, granted(done).fencing_token) == (Outcome.RENEWED, TOKEN)


@pytest.mark.parametrize(
    ("called_by", "held_by", "token", "renews"),
    [
        ("", "", 0, True),
        ("a", "a", 0, True),
        ("a", "b", 0, False),
        ("a", "", 0, False),
        ("", "a", 0, False),
        ("a", "b", TOKEN, True),
        ("", "a", TOKEN, True),
        ("a", "b", TOKEN - 1, False),
        ("a", "a", TOKEN - 1, True),
    ],
)
def test_the_same_session_renews_if_it_is_the_same_process_or_names_the_token(
    called_by: str, held_by: str, token: int, renews: bool
) -> None:
    answers = (LEASE, denied(a_claim(instance=held_by), a_record()), *((LEASE,) if renews else ()), committed())
    done = run(claim(replace(OWN, instance=called_by, token=token), PATHS), *answers)
    assert (isinstance(done.result, Denial) and done.result.own_session) is not renews


def test_another_session_is_denied_whatever_token_it_names() -> None:
    done = run(claim(replace(COMMAND, token=TOKEN), PATHS), LEASE, denied(a_claim(), a_record()))
    assert refused(done).own_session is False


def test_the_mark_of_ones_own_renewal_is_taken_back_by_the_renewal() -> None:
    done = run(claim(OWN, PATHS), LEASE, denied(a_claim(), a_record(), revision=60), LEASE, committed())
    contender = PATHS.contender(HOLDER)
    assert done.txns[-1].success[-1] == Txn((unchanged(contender, 60),), (Delete(contender),))


def test_the_mark_of_another_process_of_the_session_stays() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW, request_id="of-another-process"), created=50)
    found = denied(a_claim(), a_record(), marked=False)
    done = run(claim(OWN, PATHS), LEASE, found, answered(ranged(mark)), LEASE, committed())
    assert all(isinstance(operation, Put) for operation in done.txns[-1].success)


def test_the_mark_of_an_earlier_try_whose_answer_was_lost_is_taken_back() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW, request_id="claim-2"), created=45, modified=45)
    found = denied(a_claim(), a_record(), marked=False)
    done = run(claim(OWN, PATHS), LEASE, found, answered(ranged(mark)), LEASE, committed())
    assert Txn((unchanged(mark.key, 45),), (Delete(mark.key),)) in done.txns[-1].success


@pytest.mark.parametrize("tries", [1, 2])
def test_41_a_denied_process_of_the_holder_takes_its_mark_back(tries: int) -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW, request_id="claim-2"), created=45, modified=45)
    found = denied(a_claim(instance="a"), a_record(), revision=60, marked=tries == 1)
    answers = (committed(),) if tries == 1 else (answered(ranged(mark)), committed())
    done = run(claim(replace(OWN, instance="b"), PATHS), LEASE, found, *answers)
    assert refused(done).own_session is True
    made_at = 60 if tries == 1 else 45
    assert done.txns[-1].success == (Txn((unchanged(mark.key, made_at),), (Delete(mark.key),)),)


def test_41_the_mark_of_another_process_is_its_own_to_take_back() -> None:
    mark = kv(PATHS.contender(HOLDER), Contender(denied_at=NOW - HOUR, request_id="of-another"))
    found = denied(a_claim(instance="a"), a_record(), marked=False)
    done = run(claim(replace(OWN, instance="b"), PATHS), LEASE, found, answered(ranged(mark)))
    assert len(done.txns) == 2


def test_41_no_mark_of_the_holder_trails() -> None:
    noting = Txn((is_present(PATHS.claim), is_absent(PATHS.contender(HOLDER))), ())
    shared = denied(a_claim(instance="a"), a_record(), marked=False)._replace(deferred=(noting,))
    done = run(claim(replace(OWN, instance="b"), PATHS), LEASE, shared, answered(ranged()))
    assert [step for step in done.steps if isinstance(step, Trailing)] == []


def test_a_mark_that_trails_is_made_only_while_the_claim_that_was_met_is_there() -> None:
    noting = Txn((is_present(PATHS.claim), is_absent(PATHS.contender(OTHER))), ())
    shared = denied(a_claim(), a_record(), marked=False)._replace(deferred=(noting,))
    done = run(claim(COMMAND, PATHS), LEASE, shared)
    (trailing,) = [step for step in done.steps if isinstance(step, Trailing)]
    assert trailing.txn.compares[0] == created_at(PATHS.claim, TOKEN)


def test_no_claim_is_shown_to_others_by_a_renewal_that_does_not_know_its_token() -> None:
    (grant,) = run(claim(COMMAND, PATHS), LEASE, committed()).txns
    puts = (Put(PATHS.claim, a_claim().encode(), LEASE.id), Put(PATHS.record, a_record().encode()))
    renewal = Txn((unchanged(PATHS.claim, MODIFIED),), puts)
    assert answer_from(renewal, committed(), grant) is None
