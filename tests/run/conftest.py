"""What the tests of ``coordination run`` share."""

from __future__ import annotations

from tests.run.running import world

__all__ = ["world"]
