"""Any other agent: a section in AGENTS.md, and hooks in the shape of Claude Code's for those that have such.

Source: https://agents.md, read in 2026: a file at the top of a project that most agents read.
"""

from __future__ import annotations

from coordinator.agents.claude import EVENTS, context, notice, refusal, reminder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.agents.places import Piece, Places

__all__ = ["EVENTS", "NAME", "SHOWS_SESSION", "context", "notice", "pieces", "refusal", "reminder"]

NAME = "generic"
SHOWS_SESSION = ""


def pieces(places: Places, guard: list[str]) -> list[Piece]:  # noqa: ARG001  # there is nothing to guard with
    """Return what is installed."""
    return [places.section(places.root / "AGENTS.md")]
