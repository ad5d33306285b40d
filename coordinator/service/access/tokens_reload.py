"""The tokens file of a running coordinator: it is read again whenever it has changed.

Invariant: a file that cannot be understood never replaces one that could, so that a mistake while editing neither locks
out all callers nor lets in others. The format of the file is in ``security/tokens_file.py``.
"""

from __future__ import annotations

import asyncio
import logging
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
