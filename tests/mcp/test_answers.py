"""How long answers are, and what they say of others.

The sizes in tokens that stand here and in docs/mcp.md were measured with the tokenizer cl100k_base, which is no
dependency; what is tested are the characters of the same answers.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.mcp.answer_text import answer_claim, answer_denial, text_of, with_context
from coordinator.mcp.results import Answer
from coordinator.model import (
    Cause,
    Choice,
    Claim,
    Denial,
    DenialReason,
    NothingFree,
    Previous,
    SkipReason,
)

NOW = datetime(2026, 6, 14, 2, 45, tzinfo=UTC)
SESSION = "build-07-48213-5a1c77de"
NOTE = (
    "Reproduced on main; the failing test is tests/test_pool.py::test_reuse. Branch fix-2841 has a first patch that "
    "holds the lock too long; measure before you merge it."
)
SKIPPED = Choice(place=41, skipped_counts=((SkipReason.HELD, 31), (SkipReason.COMPLETED, 7), (SkipReason.COOLDOWN, 2)))


def sizes(made: tuple[str, Answer]) -> tuple[int, int]:
    """Return how many characters the text and the fields have, as they are sent."""
    text, answer = made
    fields = with_context(answer, SESSION, []).as_object()
    return len(text_of(text, SESSION, [])), len(json.dumps(fields, separators=(",", ":"), ensure_ascii=False))


def a_claim(key: str, session: str = "session-1", **more: Any) -> Claim:
    return Claim(key, key.partition(":")[0], session, 2, 184_467, 600, NOW, NOW + timedelta(minutes=8), 603.5, **more)


def test_a_grant_with_40_candidates_passed_over_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.mcp.answer_text.now", lambda: NOW)
    previous = Previous(1, "session-7f8b", Cause.EXPIRED, None, NOTE, NOW - timedelta(hours=3))
    made = answer_claim(a_claim("github:acme/web#2841", previous=previous, choice=SKIPPED))
    # 105 and 125 tokens.
    text, fields = sizes(made)
    assert (text <= 330, fields <= 400) == (True, True), (text, fields)
    assert "attempt 1 by session-7f8b expired 180 min ago" in made[0]


def test_denials_are_short() -> None:
    choice = Choice(skipped_counts=((SkipReason.HELD, 1),), nothing_free=NothingFree.HELD)
    held = Denial(
        "github:acme/web#2841",
        DenialReason.HELD,
        holder="9b2f6c1e-3c1d-4c0e-9b7a-2f1f0c9d8e7a",
        expires_at=NOW,
        retry_after_seconds=2_100,
        choice=choice,
    )
    many = Denial(
        "github:acme/web#2841",
        DenialReason.HELD,
        holder="session-1",
        retry_after_seconds=2_100,
        choice=SKIPPED._replace(place=None, nothing_free=NothingFree.HELD),
    )
    # 82 and 94 tokens, 73 and 94 tokens.
    assert max(sizes(answer_denial(held, ["#2841"]))) <= 215
    assert max(sizes(answer_denial(many, ["#2841"] * 40))) <= 330


@pytest.mark.parametrize(("cause", "whose"), [(Cause.RELEASED, "its"), (Cause.REVOKED, "an operator's")])
def test_who_gave_a_reason_is_said(cause: Cause, whose: str) -> None:
    previous = Previous(1, "session-7f8b", cause, 'because "x"', None, None)
    _, answer = answer_claim(a_claim("task:a", previous=previous))
    assert answer.said == [f"{whose} reason: \"because 'x'\""]


@pytest.mark.parametrize(
    ("denial", "why"),
    [
        (Denial("task:a", DenialReason.LIMIT, policy="task"), "at the limit of policy task: no more claims"),
        (Denial("task:a", DenialReason.HELD), "already claimed, but what is stored of the claim cannot be read"),
        (
            Denial("task:a", DenialReason.COOLDOWN, completed_by="b", expires_at=NOW),
            "already completed by b; this request",
        ),
    ],
)
def test_other_denials_keep_their_sentence(denial: Denial, why: str) -> None:
    _, answer = answer_denial(denial, ["task:a"])
    assert answer.why.startswith(why)


def test_of_more_than_five_that_are_held_already_the_rest_is_counted() -> None:
    choice = Choice(also_held=tuple(f"task:{number}" for number in range(7)), nothing_free=NothingFree.HELD)
    _, answer = answer_claim(a_claim("task:a", choice=choice))
    assert answer.also_held == ["task:0", "task:1", "task:2", "task:3", "task:4", "and 2 more"]
