"""What the tools answer for programs. The text for people and language models, which says the same, is ``answer_text``.

Invariants:
- Some agents show a model only this, and some only the text: each of the two says all that matters.
- Fields for which there is nothing to say are left out, because each costs an agent room.
- What other sessions have written stands in ``said`` and in the ``text`` of a briefing only, quoted, bounded, and with
  its writer.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["Answer", "BriefingAnswer", "ClaimAnswer", "FinishAnswer", "LookAnswer", "NoteAnswer", "SubmitAnswer"]


class Answer(BaseModel):
    """What every answer has: the session where the agent has named none, and news of claims that are held."""

    session: str = ""
    notices: list[str] = []

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON without what is empty."""
        return self.model_dump(mode="json", exclude_defaults=True)


class ClaimAnswer(Answer):
    """Which work is claimed, or why none is."""

    outcome: Literal["granted", "denied"]
    work_key: str = ""
    fencing_token: int = 0
    expires_in_seconds: int = 0
    attempt: int = 0
    previous: str = ""
    said: list[str] = []
    blocked_by: list[str] = []
    why: str = ""
    do: str = ""
    skipped: dict[str, int] = {}
    also_held: list[str] = []
    similar: list[str] = []


class NoteAnswer(Answer):
    """Until when the claim lasts."""

    work_key: str
    expires_in_seconds: int


class FinishAnswer(Answer):
    """What became of the work."""

    work_key: str
    state: str
    late: bool = False


class SubmitAnswer(Answer):
    """What became of submitted work, and of which of its dependencies nothing is known."""

    work_key: str
    outcome: str
    unknown: list[str] = []


class LookAnswer(Answer):
    """What is known of a work key."""

    work_key: str
    state: str
    holder: str = ""
    yours: bool = False
    expires_in_seconds: int = 0
    attempt: int = 0
    ended: str = ""
    said: list[str] = []
    denied: int = 0
    earlier: list[str] = []
    similar: list[str] = []


class BriefingAnswer(Answer):
    """What a session should know before it chooses its work, as the coordinator writes it, in Markdown."""

    text: str
