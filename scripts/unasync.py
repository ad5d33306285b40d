"""Make the synchronous client from the asynchronous one: ``python scripts/unasync.py [--check]``.

The asynchronous client is the one that is edited. Each rule below is a plain replacement of whole words, applied to
every line; with ``--check`` nothing is written, and the exit code is 1 if a file in the tree is not what they make.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from generated_files import write_or_check

CLIENT = Path(__file__).resolve().parent.parent / "coordinator" / "client"
#: What is made of what.
FILES = {
    CLIENT / "_async.py": CLIENT / "_sync.py",
    CLIENT / "_async_calls.py": CLIENT / "_sync_calls.py",
    CLIENT / "_async_hold.py": CLIENT / "_sync_hold.py",
    CLIENT / "_async_block_end.py": CLIENT / "_sync_block_end.py",
    CLIENT / "_async_results.py": CLIENT / "_sync_results.py",
}

HEADER = "# Generated from {source} by scripts/unasync.py; do not edit.\n"

RULES = [
    (
        '"""The asynchronous client. The synchronous one, ``_sync.py``, is generated from this file."""',
        '"""The synchronous client."""',
    ),
    (
        '"""How the calls of the asynchronous client travel. ``_sync_calls.py`` is generated from this file."""',
        '"""How the calls of the synchronous client travel."""',
    ),
    (
        '"""Holds of the asynchronous client; ``_sync_hold.py`` is generated from this file.',
        '"""Holds of the synchronous client.',
    ),
    (
        '"""How a hold of the asynchronous client ends its claim; ``_sync_block_end.py`` is generated from this file.',
        '"""How a hold of the synchronous client ends its claim.',
    ),
    (
        '"""What the asynchronous client yields; ``_sync_results.py`` is generated from this file.',
        '"""What the synchronous client yields.',
    ),
    ("Coroutine[Any, Any, model.Claim | model.Denial]", "model.Claim | model.Denial"),
    ("asyncio.Event", "threading.Event"),
    ("import asyncio", "import threading"),
    ("async_pause", "pause"),
    ("AsyncHeld", "Held"),
    ("AsyncHold", "Hold"),
    ("AsyncKeeper", "Keeper"),
    ("AsyncMeans", "Means"),
    ("AsyncBlockEnd", "BlockEnd"),
    ("_async_hold", "_sync_hold"),
    ("_async_block_end", "_sync_block_end"),
    ("by one task for all that a client holds", "by one thread for all that a client holds"),
    ("_async_results", "_sync_results"),
    ("AsyncResults", "Results"),
    ("Awaitable[tuple[Sequence[_T], str | None]]", "tuple[Sequence[_T], str | None]"),
    ("StopAsyncIteration", "StopIteration"),
    ("AsyncGenerator", "Generator"),
    ("__aiter__", "__iter__"),
    ("__anext__", "__next__"),
    ("anext(", "next("),
    ("AsyncIterator", "Iterator"),
    ("AsyncClient", "Client"),
    ("AsyncCalls", "Calls"),
    ("_async_calls", "_sync_calls"),
    ("AsyncConnections", "Connections"),
    ("AsyncRace", "Race"),
    ("AsyncStream", "Stream"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("async with", "with"),
    ("async for", "for"),
    ("async def", "def"),
    ("await ", ""),
]
#: The examples in docstrings differ by more than words.
EXAMPLE = re.compile(r"    >>> async def work.*?COMPLETED: 'completed'>\n", re.DOTALL)
SYNC_EXAMPLE = """    >>> with Client(endpoint) as client:
    ...     claim = client.claim("session-7f8b", "task:db-migration", ttl=60)
    ...     record = client.complete("session-7f8b", "task:db-migration", token=claim.fencing_token)
    >>> record.state
    <State.COMPLETED: 'completed'>
"""
HOLD_EXAMPLE = re.compile(r"        >>> async def report.*?'written as attempt 1'\n", re.DOTALL)
SYNC_HOLD_EXAMPLE = """        >>> with Client(endpoint) as client:
        ...     with client.hold("session-7f8b", "task:nightly-report", ttl=600) as held:
        ...         if not held.lost.is_set():
        ...             held.result = f"written as attempt {held.claim.attempt}"
        ...     client.get("task:nightly-report").record.result
        'written as attempt 1'
"""


def convert(source: Path, target: Path) -> str:
    """Return the synchronous twin of ``source``, formatted as ``target`` is to be."""
    text, found = EXAMPLE.subn(SYNC_EXAMPLE, source.read_text())
    if found != text.count("class AsyncClient:"):
        raise SystemExit(f"{source.name} must hold exactly one example for the client, not {found}")
    text = HOLD_EXAMPLE.sub(SYNC_HOLD_EXAMPLE, text)
    for old, new in RULES:
        text = text.replace(old, new)
    return _formatted(HEADER.format(source=source.name) + text, target)


def _formatted(text: str, target: Path) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "check", "--select", "I,F401", "--fix", "--quiet"], [*ruff, "format", "--quiet"]):
        done = subprocess.run(
            [*command, "--stdin-filename", str(target), "-"], input=text, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr or done.stdout)
        text = done.stdout
    return text


if __name__ == "__main__":
    sys.exit(
        write_or_check(
            {target: convert(source, target) for source, target in FILES.items()},
            source="scripts/unasync.py",
            target="proto",
        )
    )
