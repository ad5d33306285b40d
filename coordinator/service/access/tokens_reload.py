"""The tokens file of a running coordinator: it is read again whenever it has changed.

Invariants:
- A file that cannot be understood, or that holds no credential, never replaces one that could and did, so that neither
  a mistake while editing nor a look in the middle of writing locks out all callers or lets in others.
- What takes something away counts once two looks in a row have found it: until then it may be a part of a file that is
  being written. What only adds credentials counts at once.

The format of the file is in ``security/tokens_file.py``.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import stat
from collections.abc import Callable
from pathlib import Path

from coordinator.errors import InvalidInput
from coordinator.logs.format import said
from coordinator.process.tasks import Setback, Task, repeat
from coordinator.security.file_trust import read_trusted
from coordinator.security.tokens_file import Credentials, read_credentials

__all__ = ["CredentialsFile"]

_LOG = logging.getLogger(__name__)
#: How often the file is looked at, in seconds.
_INTERVAL_SECONDS = 1.0


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
        #: What the last look has found.
        self._seen: bytes | None = None
        self._trouble = ""
        self._content = self._read()
        self.current = self._understand(self._content)

    def refresh(self) -> bool:
        """Look at the file; returns whether there are other credentials now.

        Where it cannot be read or understood, or holds none, that is logged once and the old ones stay.
        """
        before, self._seen = self._seen, None
        try:
            self._seen = content = self._read()
            if content == self._content:
                self._trouble = ""
                return False
            found = self._understand(content)
            self._check_some(found)
        except InvalidInput as error:
            if error.message != self._trouble:
                _LOG.error("credentials unchanged", extra=said(file=str(self._path), why=error.message))
            self._trouble = error.message
            return False
        self._trouble = ""
        if content != before and _takes_away(self.current, found):
            return False
        self._content, self.current = content, found
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
            # To read thousands of entries takes as much as a second, in which calls are answered.
            await asyncio.to_thread(self.refresh)
            looked()
            if self._trouble:
                raise _Unusable(self._trouble)

        # Otherwise a revoked token would stay valid, without notice, when this task ends.
        await repeat(task or Task("credentials", longest_pause=interval), look, every=interval)

    def _read(self) -> bytes:
        # Compared as a whole instead of by its time of change: two changes may come within one tick of the clock.
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                # Also not the pipe of a shell's <(…): it could be read only once.
                raise OSError(errno.EINVAL, "it is no plain file")
            return read_trusted(self._path, "tokens")
        except OSError as error:
            raise InvalidInput(
                f"the tokens file {self._path} cannot be read: {error.strerror or error}",
                field="tokens",
                hint="`coordination token` makes one",
            ) from None

    def _understand(self, content: bytes) -> Credentials:
        try:
            # Some editors begin a file with a mark of its encoding.
            return read_credentials(content.decode("utf-8-sig"), str(self._path))
        except UnicodeDecodeError:
            raise InvalidInput(f"{self._path} is not UTF-8", field="tokens") from None

    def _check_some(self, found: Credentials) -> None:
        if any(self.current) and not any(found):
            raise InvalidInput(
                f"{self._path} holds no credential any more, so that those before stay in force; to lock out all "
                "callers, leave one entry that has expired, or stop the coordinator",
                field="tokens",
            )


def _takes_away(before: Credentials, after: Credentials) -> bool:
    """Return whether a credential of before is not there any more, or grants something else."""
    pairs = [(grant, after.by_digest.get(digest)) for digest, grant in before.by_digest.items()]
    pairs += [(grant, after.by_certificate.get(name)) for name, grant in before.by_certificate.items()]
    return any(str(was) != str(now) for was, now in pairs)
