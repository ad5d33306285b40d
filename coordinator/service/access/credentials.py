"""The file that says which credentials there are (docs/security.md), and the following of its changes.

Invariants: tokens are in the file, and are kept here, as SHA-256 digests only. A file that cannot be understood never
replaces one that could, so that a mistake while editing neither locks out all callers nor lets in others.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from coordinator.errors import InvalidInput
from coordinator.logs.format import said
from coordinator.names import DEFAULT_FLEET
from coordinator.process.tasks import Setback, Task, repeat
from coordinator.security.file_trust import read_trusted
from coordinator.service.access.grants import Grant, Role

__all__ = ["Credentials", "CredentialsFile", "read_credentials"]

_LOG = logging.getLogger(__name__)
#: How often the file is looked at, in seconds.
_INTERVAL_SECONDS = 1.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEMBERS = ("name", "token_sha256", "certificate", "role", "sessions", "fleets", "expires_at")


class Credentials(NamedTuple):
    """What is granted, by the digest of a token and by the name in a client's certificate."""

    by_digest: dict[bytes, Grant]
    by_certificate: dict[str, Grant]


def read_credentials(text: str, where: str) -> Credentials:
    """Read the file's text; raises ``InvalidInput`` that says where in it the mistake is, and repeats no digest."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where} is not TOML: {error}", field="tokens") from None
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


class _Unusable(Setback):
    """The file cannot be read or understood."""

    logged = True


class CredentialsFile:
    """The credentials in a file, as they were when it could last be read.

    Raises ``InvalidInput`` when it is made from a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: bytes | None = None
        self._trouble = ""
        self._content = self._read()
        self.current = self._understand(self._content)

    def refresh(self) -> bool:
        """Look at the file; returns whether there are other credentials now.

        Where it cannot be read or understood, that is logged once and the old ones stay.
        """
        try:
            content = self._read()
            if content == self._content:
                self._trouble = ""
                return False
            self.current = self._understand(content)
        except InvalidInput as error:
            if error.message != self._trouble:
                _LOG.error("credentials unchanged", extra=said(file=str(self._path), why=error.message))
            self._trouble = error.message
            return False
        self._content, self._trouble = content, ""
        count = len(self.current.by_digest) + len(self.current.by_certificate)
        _LOG.info("credentials read", extra=said(file=str(self._path), count=count))
        return True

    async def follow(
        self, looked: Callable[[], None], task: Task | None = None, *, interval: float = _INTERVAL_SECONDS
    ) -> None:
        """Look at the file again and again, until cancelled; ``looked`` is called after each look.

        ``task`` fails while the file cannot be read or understood.
        """

        async def look() -> None:
            self.refresh()
            looked()
            if self._trouble:
                raise _Unusable(self._trouble)

        # Otherwise a revoked token would stay valid, without notice, when this task ends.
        await repeat(task or Task("credentials", longest_pause=interval), look, every=interval)

    def _read(self) -> bytes:
        # Compared as a whole instead of by its time of change: two changes may come within one tick of the clock.
        try:
            return read_trusted(self._path, "tokens")
        except OSError as error:
            raise InvalidInput(
                f"the tokens file {self._path} cannot be read: {error.strerror or error}",
                field="tokens",
                hint="`coordination token` makes one",
            ) from None

    def _understand(self, content: bytes) -> Credentials:
        try:
            return read_credentials(content.decode(), str(self._path))
        except UnicodeDecodeError:
            raise InvalidInput(f"{self._path} is not UTF-8", field="tokens") from None
