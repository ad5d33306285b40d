"""The board: one page with what a fleet does, and what it needs. It calls the API like any other caller.

Invariant: the page loads nothing from elsewhere, and nothing runs in it but its own script: the policy that is sent
with it (CSP) forbids all else, markup that a script would make of texts included. The page holds nothing of a fleet, so
it needs no credential; its calls do.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from coordinator.web.exchange import Exchange

__all__ = ["BOARD_PATHS", "answer_board"]

_FILES = {
    "/": ("board.html", "text/html; charset=utf-8"),
    "/board.css": ("board.css", "text/css; charset=utf-8"),
    "/board.js": ("board.js", "text/javascript; charset=utf-8"),
}
BOARD_PATHS = tuple(_FILES)
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


async def answer_board(exchange: Exchange) -> None:
    """Answer with a file of the board."""
    name, content_type = _FILES[exchange.path]
    policy = (b"content-security-policy", _POLICY)
    await exchange.answer(200, content_type, _content(name), policy)


@cache
def _content(name: str) -> bytes:
    return resources.files("coordinator.web").joinpath("board", name).read_bytes()
