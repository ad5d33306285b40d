"""The tokens file: what it may hold, how it is read and how entries are added to it. docs/security.md describes it.

Invariants: tokens are in it as SHA-256 digests only, and no error repeats one. It never loses an entry, nor has a part
of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.errors import InvalidInput
from coordinator.names import DEFAULT_FLEET
from coordinator.security.credential_grants import Grant, Role
from coordinator.security.file_trust import open_own
from coordinator.time_text import format_time

__all__ = ["Credentials", "Wanted", "add_entry", "read_credentials"]

_HEAD = (
    b"# Who may do what at the coordinator; docs/security.md describes it. Tokens are here as SHA-256 digests only.\n"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEMBERS = ("name", "token_sha256", "certificate", "role", "sessions", "fleets", "expires_at")


class Credentials(NamedTuple):
    """What is granted, by the digest of a token and by the name in a client's certificate."""

    by_digest: dict[bytes, Grant]
    by_certificate: dict[str, Grant]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a credential grants. Raises ``InvalidInput`` for what no entry can say."""

    name: str
    certificate: str | None = None
    sessions: tuple[str, ...] = ()
    fleets: tuple[str, ...] = ()
    role: str = Role.AGENT
    days: int | None = None

    def __post_init__(self) -> None:
        for text in (self.name, self.certificate or "-", *self.sessions, *self.fleets):
            if not text or not text.isprintable():
                raise InvalidInput(f"{text!r} must be printable characters, and not empty", field="name")
        if not self.fleets:
            raise InvalidInput("a credential without a fleet could do nothing; at least one is needed", field="fleets")
        if self.role not in tuple(Role):
            raise InvalidInput(f"{self.role!r} is not a role; allowed are {' and '.join(Role)}", field="role")
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


def read_credentials(text: str, where: str) -> Credentials:
    """Read the file's text; raises ``InvalidInput`` that says where in it the mistake is, and repeats no digest."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where} is not TOML: {error}", field="tokens") from None
    except (ValueError, RecursionError):
        # Python reads neither; to repeat how it says so would be of no help.
        raise InvalidInput(
            f"{where} is not TOML that can be read: a number is too long, or brackets are nested too deeply",
            field="tokens",
        ) from None
    entries = document.pop("credential", [])
    if document or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{where} may hold [[credential]] tables and nothing else", field="tokens")
    found = Credentials({}, {})
    for number, entry in enumerate(entries, start=1):
        try:
            _add(found, entry)
        except ValueError as error:
            raise InvalidInput(
                f"credential {number} in {where} is not valid: {error}",
                field="tokens",
                hint="docs/security.md describes the file; `coordination token` writes it",
            ) from None
    return found


def add_entry(tokens: Path, entry: str) -> None:
    """Add an entry to the tokens file, or leave the file as it was; its owner, mode and links stay what they are.

    The file is made if it is not there. Raises ``InvalidInput`` if it cannot be written.
    """
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


def _add(found: Credentials, entry: dict[str, Any]) -> None:
    unknown = next((name for name in entry if name not in _MEMBERS), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r} is not one of {', '.join(_MEMBERS)}")
    grant = Grant(
        _text(entry, "name"),
        role=_role(entry),
        sessions=_patterns(entry, "sessions", ()),
        fleets=_patterns(entry, "fleets", (DEFAULT_FLEET,)),
        expires_at=_moment(entry),
    )
    if ("token_sha256" in entry) == ("certificate" in entry):
        raise ValueError("it needs either token_sha256 or certificate")
    if "certificate" in entry:
        name = _text(entry, "certificate")
        if name in found.by_certificate:
            raise ValueError(f"the certificate {name!r} has an entry already")
        found.by_certificate[name] = grant
        return
    digest = _text(entry, "token_sha256")
    if not _DIGEST.fullmatch(digest):
        # It is not repeated: it may be the token itself, put there by mistake.
        raise ValueError("token_sha256 must be the 64 digits, 0-9 and a-f, of the token's SHA-256 digest")
    if bytes.fromhex(digest) in found.by_digest:
        raise ValueError("its token has an entry already")
    found.by_digest[bytes.fromhex(digest)] = grant


def _text(entry: dict[str, Any], member: str) -> str:
    value = entry.get(member)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{member} must be a string of printable characters, and not empty")
    return value


def _role(entry: dict[str, Any]) -> Role:
    try:
        return Role(entry.get("role", Role.AGENT))
    except ValueError:
        raise ValueError(f"role must be one of {', '.join(Role)}") from None


def _patterns(entry: dict[str, Any], member: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = entry.get(member, list(default))
    if not isinstance(value, list) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise ValueError(f"{member} must be a list of names, in which * stands for any characters")
    return tuple(value)


def _moment(entry: dict[str, Any]) -> float | None:
    value = entry.get("expires_at")
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("expires_at must be a moment with its zone, for example 2027-01-31T12:00:00Z")
    return value.timestamp()


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
