"""The tokens that a client remembers: of which claims, and how many (number 55)."""

from __future__ import annotations

from coordinator.client import _fencing_tokens
from coordinator.client._fencing_tokens import Tokens


def test_a_claim_is_known_by_each_spelling_that_was_used() -> None:
    tokens = Tokens()
    tokens.remember("s", "acme/web#7", "github:acme/web#7", 5)
    assert [tokens.of("s", key) for key in ("acme/web#7", "github:acme/web#7")] == [5, 5]
    assert tokens.of("other", "acme/web#7") == 0
    assert tokens.of("s", "acme/web#8") == 0


def test_the_latest_claim_of_a_session_counts() -> None:
    tokens = Tokens()
    tokens.remember("s", "task:one", "task:one", 5)
    tokens.remember("s", "task:one", "task:one", 9)
    tokens.remember("t", "task:one", "task:one", 7)
    assert (tokens.of("s", "task:one"), tokens.of("t", "task:one")) == (9, 7)
    tokens.forget("s", "task:one")
    assert (tokens.of("s", "task:one"), tokens.of("t", "task:one")) == (0, 7)


def test_no_more_than_so_many_are_kept() -> None:
    tokens = Tokens()
    for number in range(_fencing_tokens.KEPT + 10):
        tokens.remember("s", f"task:{number}", f"task:{number}", number + 1)
    assert (len(tokens._tokens), len(tokens._canonical)) == (_fencing_tokens.KEPT, _fencing_tokens.KEPT)
    assert (tokens.of("s", "task:0"), tokens.of("s", f"task:{_fencing_tokens.KEPT}")) == (0, _fencing_tokens.KEPT + 1)
