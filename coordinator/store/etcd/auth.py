"""The token by which etcd knows us.

etcd's simple tokens are in its members' memories: they end with a member's restart, and five minutes after their last
use at it. JSON web tokens end at their time. So any call may find that the token is of no more use, and all that find
out at once wait for one new one.

Invariant: a user or password that etcd has refused is not tried again until the file holds another password or a pause
is over: each try costs etcd tens of milliseconds of processor time, by design of bcrypt.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time
from collections.abc import Awaitable, Callable

from coordinator.errors import CoordinatorError, Unavailable
from coordinator.store.etcd.access import EtcdAccess
from coordinator.store.etcd.errors import QUORUM_HINT, AuthenticationOff, LoginRefused

__all__ = ["NEEDS_LEADER", "EtcdLogin", "Metadata"]

Metadata = tuple[tuple[str, str], ...]
#: Sends user and password before a deadline and returns the token.
Authenticate = Callable[[str, str, float], Awaitable[str]]

#: Has a member that knows of no leader say so at once, instead of letting the call wait for one.
NEEDS_LEADER = ("hasleader", "true")
#: How long what etcd has refused is not tried again, in seconds.
REFUSED_PAUSE_SECONDS = 10.0
#: How long to wait for a token, in seconds.
_LOGIN_SECONDS = 5.0


class EtcdLogin:
    """What every call carries. ``metadata`` is that, ``renew`` gets another token."""

    def __init__(self, access: EtcdAccess, authenticate: Authenticate) -> None:
        self._access = access
        self._authenticate = authenticate
        self.metadata: Metadata = (NEEDS_LEADER,)
        self._login: asyncio.Task[None] | None = None
        self._refused: tuple[bytes, float, CoordinatorError] | None = None

    async def renew(self, stale: Metadata, *, deadline: float) -> None:
        """Get a new token in place of the one in ``stale``, unless that has been replaced already.

        Raises ``Unavailable`` if there is no user and password to get one with, if etcd refuses them, or if that is
        not known before ``deadline``, a reading of ``time.monotonic()``.
        """
        if stale is not self.metadata:
            return
        if self._login is None or self._login.done():
            self._login = asyncio.create_task(self._log_in())
            self._login.add_done_callback(_look_at)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                # Others wait for it as well: one that gives up does not end it.
                await asyncio.shield(self._login)
        except TimeoutError:
            raise Unavailable(
                "etcd did not accept user and password in time",
                hint=f"nothing was changed; try again; {QUORUM_HINT}",
                retry_after_seconds=1.0,
            ) from None

    async def close(self) -> None:
        """End a login that is under way."""
        if self._login is not None:
            self._login.cancel()
            await asyncio.gather(self._login, return_exceptions=True)

    async def _log_in(self) -> None:
        user = self._access.user
        if user is None:
            raise Unavailable(
                "etcd asks for a user and a password, and none was given",
                hint="start the coordinator with --etcd-user and --etcd-password-file",
            )
        try:
            password = self._access.password()
        except CoordinatorError as error:
            raise Unavailable(error.message, hint=error.hint) from None
        digest = hashlib.sha256(password.encode()).digest()
        if self._refused is not None and self._refused[0] == digest and time.monotonic() < self._refused[1]:
            raise copy.copy(self._refused[2])
        try:
            token = await self._authenticate(user, password, time.monotonic() + _LOGIN_SECONDS)
        except AuthenticationOff:
            self.metadata = (NEEDS_LEADER,)
        except LoginRefused as error:
            self._refused = digest, time.monotonic() + REFUSED_PAUSE_SECONDS, error
            raise
        else:
            self.metadata = (NEEDS_LEADER, ("token", token))


def _look_at(task: asyncio.Task[None]) -> None:
    """Read how a login ended, also when no call waits for it any more: asyncio would complain."""
    if not task.cancelled():
        task.exception()
