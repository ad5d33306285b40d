"""Where a coordinator listens, and is looked for, if nobody says otherwise."""

from __future__ import annotations

__all__ = ["DEFAULT_LISTEN", "DEFAULT_METRICS_LISTEN"]

DEFAULT_LISTEN = "127.0.0.1:7420"
DEFAULT_METRICS_LISTEN = "127.0.0.1:7421"
