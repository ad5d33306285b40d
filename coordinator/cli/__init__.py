"""The command line: ``coordination``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process."""
    try:
        import typer  # noqa: F401  # to tell what is missing before anything else needs it
    except ModuleNotFoundError:
        sys.stderr.write(
            "error: the command line needs typer, which is not installed.\n"
            "hint: pip install 'coordinator[cli]', or 'coordinator[embedded]' to run a coordinator too\n"
        )
        raise SystemExit(70) from None
    try:
        from coordinator.cli.entry import run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run(sys.argv[1:])
