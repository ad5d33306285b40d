"""What the tests of claims share: requests, records, and how a run of the engine is read."""

from __future__ import annotations

from dataclasses import replace

from coordinator.engine.claim_request import ClaimCommand
from coordinator.engine.transaction import is_absent
from coordinator.model import Cause, Claim, Denial, State
from tests.unit.engine_driving import HOLDER, NOW, OTHER, PATHS, Run, a_record

COMMAND = ClaimCommand(session=OTHER, request_id="claim-2", now=NOW, note="mine")
OWN = replace(COMMAND, session=HOLDER)
WANTED = is_absent(PATHS.request(OTHER, "claim-2"))
COMPLETED = a_record(State.COMPLETED)
RELEASED = replace(a_record(State.ABANDONED), cause=Cause.RELEASED, reason="too hard")


def granted(done: Run[Claim | Denial]) -> Claim:
    assert isinstance(done.result, Claim), done
    return done.result


def refused(done: Run[Claim | Denial]) -> Denial:
    assert isinstance(done.result, Denial), done
    return done.result
