"""Limits of open files, in processes of their own (47)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from coordinator.server_limits import MAX_CONNECTIONS, RESERVED_FILES

_PROGRAM = """
import json, resource, sys
from coordinator.process.open_files import allowed_connections, examine_limit, raise_limit
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
raise_limit()
finding = examine_limit()
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE)[0], allowed_connections(), finding.severity]))
"""


def with_limits(soft: int, hard: int) -> tuple[int, int, str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(soft), str(hard)], capture_output=True, text=True, check=True, timeout=60
    )
    limit, allowed, severity = json.loads(done.stdout)
    return limit, allowed, severity


@pytest.mark.parametrize(("soft", "hard"), [(64, 64), (100, 1024), (1024, 4096), (4096, 4096)])
def test_47_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int) -> None:
    assert with_limits(soft, hard)[0] == hard


@pytest.mark.parametrize("hard", [96, 130, 200, 1024, 1500, 4096])
def test_47_callers_never_get_the_last_descriptors(hard: int) -> None:
    limit, allowed, severity = with_limits(hard, hard)
    assert 0 < allowed <= MAX_CONNECTIONS
    assert limit - allowed >= min(RESERVED_FILES, max(64, hard // 2))
    assert severity == ("warning" if hard < MAX_CONNECTIONS + RESERVED_FILES else "ok")
