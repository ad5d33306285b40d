"""Credentials in what was typed are not shown, and nothing else is changed."""

from __future__ import annotations

import pytest

from coordinator.masking import without_credentials


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://bob:secret@example.org/x", "https://…@example.org/x"),
        ("HTTPS://token@example.org", "HTTPS://…@example.org"),
        ("ftp://a:b@c@example.org/d@e", "ftp://…@example.org/d@e"),
        ("http:///a:b@example.org", "http:///…@example.org"),
        (" //a:b@example.org", " //…@example.org"),
        ("url:https://a:b@example.org", "url:https://…@example.org"),
    ],
)
def test_credentials_are_hidden(typed: str, shown: str) -> None:
    assert without_credentials(typed) == shown


@pytest.mark.parametrize(
    "typed",
    [
        "task:write to bob@example.org",
        "https://example.org/@bob",
        "https://example.org?to=a@b",
        "github:a/b#1",
        "",
        "@",
    ],
)
def test_all_else_is_left_alone(typed: str) -> None:
    assert without_credentials(typed) == typed
