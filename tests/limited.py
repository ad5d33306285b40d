"""Commands under limits of the shell, set without forking a test's own process, which has threads of gRPC."""

from __future__ import annotations

__all__ = ["limited"]


def limited(option: str, value: int) -> list[str]:
    """Return what runs the command behind it under a limit, as ``ulimit -OPTION VALUE`` sets it."""
    return ["sh", "-c", f'ulimit -{option} {value}; exec "$@"', "sh"]
