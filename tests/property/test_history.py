"""Random histories, run against a real etcd and against a model, agree.

COORDINATION_EXAMPLES sets how many histories are run. What they did is printed at the end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from coordinator.engine import attempt_end, grant, reap, renew
from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.documents import StoredRecord
from coordinator.engine.layout import WorkPaths
from coordinator.engine.snapshot import Snapshot
from coordinator.engine.steps import Operation, commit
from coordinator.engine.transaction import (
    Compare,
    Delete,
    Relation,
    Target,
    Txn,
    TxnReply,
    created_at,
    is_absent,
    unchanged,
)
from coordinator.model import State
from tests.conftest import RunningEtcd
from tests.property.history_machine import HistoryMachine, RacingMachine
from tests.property.history_store import Disagreement
from tests.property.history_world import World

EXAMPLES = int(os.environ.get("COORDINATION_EXAMPLES", "30"))
COMMON = settings(stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)


@pytest.fixture(scope="module")
def shared_world(etcd: RunningEtcd) -> Iterator[World]:
    world = World(etcd.endpoint)
    yield world
    world.close()


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.tally.clear()
    shared_world.disagreements.clear()
    HistoryMachine.world = shared_world
    return shared_world


@pytest.mark.timeout(180 + 3 * EXAMPLES)
def test_random_histories_agree_with_the_model(world: World, pytestconfig: pytest.Config) -> None:
    # What cannot be run again cannot be shrunk.
    chosen = settings(COMMON, max_examples=EXAMPLES, database=None, phases=[Phase.generate])
    try:
        run_state_machine_as_test(RacingMachine, settings=chosen)
    except Flaky:
        if not world.disagreements:
            raise
        raise world.disagreements[0] from None
    finally:
        _print_tally(world, pytestconfig)


def _holds(compare: Compare) -> Compare:
    """A comparison that lets everything through."""
    return Compare(compare.key, Target.CREATE, Relation.GREATER, -1)


def _grants_over_any_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grant, "unchanged", lambda key, revision: _holds(unchanged(key, revision)))


def _grants_over_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    _grants_over_any_record(monkeypatch)
    monkeypatch.setattr(grant, "is_absent", lambda key: _holds(is_absent(key)) if b"/claim/" in key else is_absent(key))


def _ends_whatever_claim_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_end, "created_at", lambda key, revision: _holds(created_at(key, revision)))


def _renews_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renew, "unchanged", lambda key, revision: _holds(unchanged(key, revision)))


def _ends_without_forgetting_contenders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkPaths, "delete_contenders", lambda paths: Delete(paths.contender("nobody")))


def _reaps_claims_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Snapshot, "expired", property(lambda found: found.record and _if_claimed(found.record)))
    monkeypatch.setattr(reap, "is_absent", lambda key: _holds(is_absent(key)))


def _counts_grants_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimCommand, "made_in_this_run", _made_by_request)
    monkeypatch.setattr(grant, "commit", _in_doubt)


def _in_doubt(txn: Txn) -> Operation[TxnReply]:
    return (yield from commit(txn))._replace(resent=True)


def _made_by_request(command: ClaimCommand, met: Snapshot) -> bool:
    held = met.claim.stored if met.claim else None
    return held is not None and (held.session, held.request_id) == (command.session, command.request_id)


def _if_claimed(record: StoredRecord) -> StoredRecord | None:
    return record if record.state is State.CLAIMED else None


@pytest.mark.long_but_for("_grants_over_claims")
@pytest.mark.parametrize(
    "break_engine",
    [
        _grants_over_any_record,
        _grants_over_claims,
        _ends_whatever_claim_is_there,
        _renews_what_has_changed,
        _ends_without_forgetting_contenders,
        _reaps_claims_that_are_there,
        _counts_grants_of_copies,
    ],
)
def test_a_broken_engine_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch, break_engine: Callable[[pytest.MonkeyPatch], None]
) -> None:
    break_engine(monkeypatch)
    chosen = settings(
        COMMON, max_examples=200, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False
    )
    with pytest.raises(Disagreement):
        run_state_machine_as_test(HistoryMachine, settings=chosen)


def _print_tally(world: World, config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        print("\nhistories:", ", ".join(f"{what} {number}" for what, number in sorted(world.tally.items())))  # noqa: T201
