"""The clock of a coordinator goes on evenly, whatever happens to the wall clock of its host."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from coordinator import clock


@pytest.mark.parametrize("hour", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch, hour: float) -> None:
    read, before = time.time, clock.now()
    monkeypatch.setattr(time, "time", lambda: read() + hour)
    assert timedelta(0) <= clock.now() - before < timedelta(minutes=1)
    assert clock.drift_seconds() == pytest.approx(hour, abs=60)
