"""Credentials in what was typed are not shown, and nothing else is changed."""

from __future__ import annotations

import time

import pytest

from coordinator.security.redaction import mask_addresses, without_credentials, without_tokens


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://bob:secret@example.org/x", "https://…@example.org/x"),
        ("HTTPS://token@example.org", "HTTPS://…@example.org"),
        ("ftp://a:b@c@example.org/d@e", "ftp://…@example.org/d@e"),
        ("http:///a:b@example.org", "http:///…@example.org"),
        (" //a:b@example.org", " //…@example.org"),
        ("url:https://a:b@example.org", "url:https://…@example.org"),
        ("bob:secret@github.com/acme/web/pull/7", "…@github.com/acme/web/pull/7"),
        (" oauth2:glpat@gitlab.example.com:8443/a/b!5", " …@gitlab.example.com:8443/a/b!5"),
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
        "git@github.com:acme/web#7",
        "deploy:app@example.org/x",
        "",
        "@",
    ],
)
def test_all_else_is_left_alone(typed: str) -> None:
    assert without_credentials(typed) == typed


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("1a+b.c-1://a:b@h", "1a+b.c-1://…@h"),
        ("a://b@c//d@e https://f@g", "a://…@c//d@e https://…@g"),
        ("a:////b@c", "a:////…@c"),
        ("\t\n//b@c", "\t\n//…@c"),
        ("x //b@c", "x //b@c"),
        ("1://b@c", "1://b@c"),
        ("://b@c", "://b@c"),
        ("a:/b@c", "a:/b@c"),
    ],
)
def test_an_address_begins_with_a_scheme_or_at_the_beginning(typed: str, shown: str) -> None:
    assert without_credentials(typed) == shown


def test_of_what_is_too_long_only_the_length_is_reported() -> None:
    assert without_credentials("x" * 1025) == "(1025 characters)"


def test_masking_a_word_of_any_length_does_not_take_the_square_of_it() -> None:
    started = time.monotonic()
    assert mask_addresses("a" * 40_000 + "//x@") == "a" * 40_000 + "//x@"
    assert time.monotonic() - started < 5  # the square would be a minute


@pytest.mark.parametrize(
    "shape",
    ["a", "a:", "1", "a://", "/", "@", "//@", "a@", "://@", " //x@", "a://b", "x//@", "1:", "a.", "//a", "a:///@b?"],
)
@pytest.mark.parametrize("start", ["", " " * 20_000, "https://", "/" * 20_000, "@" * 20_000])
def test_masking_a_text_of_any_length_does_not_take_the_square_of_it(start: str, shape: str) -> None:
    text = start + shape * (40_000 // len(shape))
    started = time.monotonic()
    for each in (text, f"{text}@", f"{text}//x@"):
        mask_addresses(each)
    assert time.monotonic() - started < 10  # the square would be minutes


@pytest.mark.parametrize(
    "shape",
    [
        "coordination-",
        "coordination-aA",
        "coordination%20",
        "coordination -\\n",
        "\\n",
        "bearer",
        "Bearer ",
        "bearer\\",
        "\\",
        "bearer%20",
        "%20",
        "-",
        "Aa1",
    ],
)
@pytest.mark.parametrize("start", ["", "coordination-", "bearer "])
def test_nor_does_masking_tokens(start: str, shape: str) -> None:
    started = time.monotonic()
    without_tokens(start + shape * (40_000 // len(shape)))
    assert time.monotonic() - started < 10
