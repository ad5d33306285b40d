"""A claim that an operator revokes is renewed no more; it ends when its holder has stopped, or at its deadline."""

from __future__ import annotations

import subprocess
import time

import pytest

from coordinator.errors import ClaimLost, NotHolder
from coordinator.model import Cause, Claim, Denial, State
from tests.conftest import COMMAND
from tests.run.running import World

KEY = "task:a"
_LIMIT_SECONDS = 60.0


@pytest.fixture
def revoked(world: World) -> Claim:
    claim = world.client.claim("holder", KEY, 60, note="half done")
    record = world.client.revoke(KEY, reason="wrong branch")
    assert (record.state, record.cause, record.reason) == (State.CLAIMED, Cause.REVOKED, "wrong branch")
    assert (record.session, record.fencing_token) == ("holder", claim.fencing_token)
    return claim


@pytest.mark.usefixtures("revoked")
class TestMarked:
    def test_it_is_held_and_renewed_no_more(self, world: World) -> None:
        answer = world.client.try_claim("another", KEY)
        assert isinstance(answer, Denial)
        assert answer.holder == "holder"
        for renewal in (world.client.renew, world.client.claim):
            with pytest.raises(ClaimLost, match=r'being revoked by an operator \("wrong branch"\)'):
                renewal("holder", KEY, 3600)
        assert world.client.get(KEY).claim is not None

    def test_its_holder_releases_it_and_the_operators_reason_is_kept(self, world: World) -> None:
        record = world.client.release("holder", KEY, reason="I have stopped")
        assert (record.state, record.cause, record.reason) == (State.ABANDONED, Cause.REVOKED, "wrong branch")
        (entry,) = world.client.get(KEY).history
        assert (entry.cause, entry.reason, entry.note) == (Cause.REVOKED, "wrong branch", "half done")
        successor = world.client.claim("another", KEY)
        assert successor.previous is not None
        assert (successor.previous.cause, successor.previous.reason) == (Cause.REVOKED, "wrong branch")

    def test_work_that_is_done_all_the_same_is_completed(self, world: World) -> None:
        record = world.client.complete("holder", KEY, result="merged")
        assert (record.state, record.cause, record.reason, record.result) == (State.COMPLETED, None, None, "merged")

    def test_revoking_it_again_changes_nothing_and_at_once_ends_it(self, world: World) -> None:
        again = world.client.revoke(KEY, reason="another reason")
        assert (again.state, again.reason) == (State.CLAIMED, "wrong branch")
        record = world.client.revoke(KEY, reason="now", at_once=True)
        assert (record.state, record.cause, record.reason) == (State.ABANDONED, Cause.REVOKED, "now")
        assert isinstance(world.client.try_claim("another", KEY), Claim)


def test_at_its_deadline_it_has_been_revoked_and_is_not_completed_late(world: World) -> None:
    claim = world.client.claim("holder", KEY, 5)
    world.client.revoke(KEY, reason="wrong branch")
    until = time.monotonic() + _LIMIT_SECONDS
    while world.client.get(KEY).claim is not None:
        assert time.monotonic() < until
        time.sleep(0.1)
    shown = world.client.get(KEY).record
    assert (shown.state, shown.cause, shown.reason) == (State.ABANDONED, Cause.REVOKED, "wrong branch")
    with pytest.raises(NotHolder):
        world.client.complete("holder", KEY, token=claim.fencing_token)
    successor = world.client.claim("another", KEY)
    assert successor.previous is not None
    assert (successor.previous.cause, successor.previous.reason) == (Cause.REVOKED, "wrong branch")


def test_a_deadline_does_not_move_back_when_a_claim_is_revoked(world: World) -> None:
    claim = world.client.claim("holder", KEY, 60)
    world.client.revoke(KEY)
    found = world.client.get(KEY).claim
    assert found is not None
    assert found.expires_at >= claim.expires_at


def test_run_ends_its_command_and_frees_the_work_at_once(world: World) -> None:
    program = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"stopping\\n"), sys.exit(0)))
os.write(1, b"up\\n")
while True:
    time.sleep(0.1)  # a signal that comes right before pause() would only be noticed with the next one
"""
    with world.start("--ttl", "1h", KEY, *world.python(program)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "up\n"
        said = subprocess.run(
            [COMMAND, "work-revoke", KEY, "--reason", "wrong branch"],
            env=world.environment, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip
        assert said.startswith("revoking task:a: it is free when ")
        assert process.stdout.readline() == "stopping\n"
        assert process.wait(60) == 124
        assert process.stderr.read() == (
            'LOST: the claim on task:a, so the command was ended: revoked by an operator ("wrong branch")\n'
        )
    record = world.client.get(KEY).record
    assert (record.state, record.cause, record.reason) == (State.ABANDONED, Cause.REVOKED, "wrong branch")
