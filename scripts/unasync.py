"""Make the synchronous client from the asynchronous one: ``python scripts/unasync.py [--check]``.

The asynchronous client is the one that is edited. Each rule below is a plain replacement of whole words, applied to
every line; with ``--check`` nothing is written, and the exit code is 1 if the file in the tree is not what they make.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "coordinator" / "client"
SOURCE, TARGET = CLIENT / "_async.py", CLIENT / "_sync.py"

HEADER = "# Generated from _async.py by scripts/unasync.py; do not edit.\n"

RULES = [
    (
        '"""The asynchronous client. The synchronous one, ``_sync.py``, is generated from this file."""',
        '"""The synchronous client."""',
    ),
    ("import grpc.aio\n", ""),
    ("AsyncIterator", "Iterator"),
    ("AsyncClient", "Client"),
    ("grpc.aio.insecure_channel", "grpc.insecure_channel"),
    ("grpc.aio.secure_channel", "grpc.secure_channel"),
    ("grpc.aio.Channel", "grpc.Channel"),
    ("AsyncRace", "Race"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("async with", "with"),
    ("async for", "for"),
    ("async def", "def"),
    ("await ", ""),
]
#: The example in the class's docstring differs by more than words.
EXAMPLE = re.compile(r"    >>> async def work.*?COMPLETED: 'completed'>\n", re.DOTALL)
SYNC_EXAMPLE = """    >>> with Client(endpoint) as client:
    ...     claim = client.claim("session-7f8b", "task:db-migration", ttl=60)
    ...     record = client.complete("session-7f8b", "task:db-migration", token=claim.fencing_token)
    >>> record.state
    <State.COMPLETED: 'completed'>
"""


def convert(source: str) -> str:
    """Return the synchronous twin of ``source``."""
    source, found = EXAMPLE.subn(SYNC_EXAMPLE, source)
    if found != 1:
        raise SystemExit(f"{SOURCE.name} must hold exactly one example for the class, not {found}")
    for old, new in RULES:
        source = source.replace(old, new)
    return _formatted(HEADER + source)


def _formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "check", "--select", "I,F401", "--fix", "--quiet"], [*ruff, "format", "--quiet"]):
        done = subprocess.run(
            [*command, "--stdin-filename", str(TARGET), "-"], input=source, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr or done.stdout)
        source = done.stdout
    return source


def main() -> int:
    """Write the file, or check it."""
    made = convert(SOURCE.read_text())
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text() != made:
            print(
                f"{TARGET.name} is not what scripts/unasync.py makes of {SOURCE.name}; run `make proto`",
                file=sys.stderr,
            )
            return 1
        return 0
    TARGET.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
