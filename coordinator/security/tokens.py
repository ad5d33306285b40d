"""Making a credential: its token goes into one file, its digest into another, and neither anywhere else.

Invariants: a token is never printed, logged or given as an argument; its file is readable by its owner only from the
moment it exists; no file is overwritten; the tokens file never loses an entry, nor has a part of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.model import format_time
from coordinator.process.new_files import new_files
from coordinator.security.file_trust import open_own

__all__ = ["Wanted", "add_credential"]

#: 256 random bits: as long as a token cannot be guessed, its digest needs neither salt nor a slow function.
_RANDOM_BYTES = 32
#: Lets scanners of leaked secrets, and people, see what it is.
_PREFIX = "coordination-"
_HEAD = (
    b"# Who may do what at the coordinator; docs/security.md describes it. Tokens are here as SHA-256 digests only.\n"
)
ROLES = ("agent", "operator")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a credential grants. Raises ``InvalidInput`` for what no entry can say."""

    name: str
    certificate: str | None = None
    sessions: tuple[str, ...] = ()
    fleets: tuple[str, ...] = ()
    role: str = "agent"
    days: int | None = None

    def __post_init__(self) -> None:
        for text in (self.name, self.certificate or "-", *self.sessions, *self.fleets):
            if not text or not text.isprintable():
                raise InvalidInput(f"{text!r} must be printable characters, and not empty", field="name")
        if not self.fleets:
            raise InvalidInput("a credential without a fleet could do nothing; at least one is needed", field="fleets")
        if self.role not in ROLES:
            raise InvalidInput(f"{self.role!r} is not a role; allowed are {' and '.join(ROLES)}", field="role")
        if self.days is not None and not 1 <= self.days <= 36500:
            raise InvalidInput(
                f"a credential cannot be valid for {self.days} days; allowed are 1 to 36500", field="days"
            )

    def entry(self, token: str | None) -> str:
        """Return its entry in the tokens file."""
        lines = ["", "[[credential]]", f"name = {_quoted(self.name)}"]
        if token is None:
            lines.append(f"certificate = {_quoted(self.certificate or '')}")
        else:
            lines.append(f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"')
        lines += [f'role = "{self.role}"', f"sessions = {_array(self.sessions)}", f"fleets = {_array(self.fleets)}"]
        if self.days is not None:
            lines.append(f"expires_at = {format_time(datetime.now(UTC) + timedelta(days=self.days))}")
        return "\n".join(lines) + "\n"


def add_credential(tokens: Path, wanted: Wanted, out: Path | None) -> None:
    """Add an entry to ``tokens``; with ``out``, for a new token, which is written there.

    Raises ``InvalidInput`` if ``out`` is there already or a file cannot be written; then nothing has been added.
    """
    if out is None:
        _append(tokens, wanted.entry(None))
        return
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    try:
        with new_files() as files:
            files.write(out, f"{token}\n".encode(), 0o600)
    except FileExistsError:
        raise InvalidInput(
            f"{out} already exists and is not overwritten", field="out", hint="choose another file with --out"
        ) from None
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror or error}", field="out") from None
    try:
        _append(tokens, wanted.entry(token))
    except BaseException:
        out.unlink()
        raise


def _append(tokens: Path, entry: str) -> None:
    """Add an entry to the tokens file, or leave the file as it was; its owner, mode and links stay what they are."""
    try:
        descriptor, made = _open(tokens)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            # Others who add entries wait: what is undone must be our own.
            fcntl.flock(file, fcntl.LOCK_EX)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no plain file")
            _write_whole(file, entry, tokens if made else None)
    except OSError as error:
        raise InvalidInput(f"{tokens} cannot be written: {error.strerror or error}", field="tokens") from None


def _open(tokens: Path) -> tuple[int, bool]:
    """Open the file, and return whether it was made."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK
    with contextlib.suppress(FileNotFoundError):
        return open_own(tokens, flags), False
    return open_own(tokens, flags | os.O_CREAT), True


def _write_whole(file: FileIO, entry: str, made: Path | None) -> None:
    content = file.read()
    start = _HEAD if not content else b"" if content.endswith(b"\n") else b"\n"
    # In one write: a coordinator that reads the file meanwhile sees all of the entry or nothing of it.
    wanted = start + entry.encode()
    written = 0
    try:
        written = file.write(wanted)
        if written != len(wanted):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except BaseException:
        file.truncate(len(content))
        if made is not None and not content:
            made.unlink(missing_ok=True)
        raise


def _quoted(text: str) -> str:
    # A string of JSON is one of TOML, too.
    return json.dumps(text, ensure_ascii=False)


def _array(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(_quoted(text) for text in texts)}]"
