"""The attacks of unauthenticated clients, short (42, 43, 46, 47): the coordinator lives, stays small, answers others.

``make campaign-attack`` runs them at full strength and prints figures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack.attacks import ATTACKS, judge
from tests.attack.target import Target, measure, running
from tests.conftest import RunningEtcd

#: Of what is sent at full strength; each attack sends a little at least.
SHARE = 0.05


@pytest.mark.alone
@pytest.mark.long_but_for(
    "tests.attack.silent_tls",
    "tests.attack.compressed",
    "tests.attack.unfinished",
    "tests.attack.idle_connections",
)
@pytest.mark.parametrize("name", list(ATTACKS))
def test_a_coordinator_lives_stays_small_and_answers_others_under(name: str, etcd: RunningEtcd, tmp_path: Path) -> None:
    module = ATTACKS[name]
    with running(tmp_path, etcd.endpoint, module.SETTING) as target:
        outcome = measure(name, target, module.attack, SHARE, quiet_seconds=1.5)
        assert judge(outcome) == [], outcome
        assert logged_bytes(target) < 100_000
        if target.token:
            said = target.log.read_text() + target.audit.read_text()
            assert target.token.removeprefix("coordination-")[:16] not in said
    assert target.process.returncode == 0, "it stops as it should"


def logged_bytes(target: Target) -> int:
    """Return how much of the log is not what the normal client caused, in bytes."""
    lines = target.log.read_bytes().splitlines(keepends=True)
    return sum(len(line) for line in lines if b"session=normal-" not in line)
