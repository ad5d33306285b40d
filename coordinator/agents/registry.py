"""The agents by their names; one is loaded when it is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from coordinator.agents.places import Piece, Places

    class Agent(Protocol):
        """What a module of an agent has."""

        NAME: str
        EVENTS: dict[str, str]
        SHOWS_SESSION: str

        def context(self, text: str) -> dict[str, Any]:
            """Return the answer that gives facts at the start of a session."""
            ...

        def refusal(self, reason: str) -> dict[str, Any]:
            """Return the answer that denies the use of a tool."""
            ...

        def reminder(self, text: str) -> dict[str, Any]:
            """Return the answer by which the agent goes on for once."""
            ...

        def notice(self, text: str) -> dict[str, Any]:
            """Return the answer that shows the user something and changes nothing."""
            ...

        def pieces(self, places: Places, guard: list[str]) -> list[Piece]:
            """Return what is installed."""
            ...


__all__ = ["AGENTS", "load_agent"]

AGENTS = ("claude", "codex", "gemini", "cursor", "generic")


def load_agent(name: str) -> Agent:
    """Return an agent, one of ``AGENTS``."""
    # Loading importlib takes longer than loading the module.
    agent: Agent = __import__(f"coordinator.agents.{name}", fromlist=["NAME"])
    return agent
