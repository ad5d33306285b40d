"""One coordinator for all faces, in this process: with credentials, and with work that breaks it on purpose."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from coordinator import server
from coordinator.errors import CoordinatorError, HistoryGone, error_for_code
from coordinator.process.new_files import new_files
from coordinator.security.new_tokens import add_credential
from coordinator.security.settings import SecuritySettings
from coordinator.security.tokens_file import Wanted
from coordinator.server_settings import ServerSettings
from coordinator.service import Middleware
from tests.faces.table import BROKEN, BROKEN_REVISION, ME

__all__ = ["FLEETS", "World", "running_world"]

T = TypeVar("T")
_SECONDS = 60.0
#: How the names of the fleets begin in which all of this takes place.
FLEETS = "faces-"
#: When to come again, in seconds: later than any caller here has the patience for, so that each asks once.
_REST_SECONDS = 3600.0
_SAYS = {
    "UNAVAILABLE": "etcd has no quorum",
    "RESOURCE_EXHAUSTED": "the store is nearly full",
    "UNIMPLEMENTED": "this coordinator serves no such call",
}


class World:
    """The coordinator, and a thread with an event loop in which it lives."""

    def __init__(self, directory: Path, etcd: str) -> None:
        self._directory = directory
        self._etcd = etcd
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def endpoint(self) -> str:
        return self._server.endpoint

    @property
    def http_url(self) -> str:
        return self._server.http_url

    def token_file(self, bearing: str) -> Path | None:
        """Where the token of a caller is, None for one without."""
        return None if bearing == "none" else self._directory / f"{bearing}.token"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    def start(self, security: SecuritySettings | None = None) -> None:
        """Start it; with the tokens of ``token_file``, unless it is protected otherwise."""
        self._thread.start()
        security = security or SecuritySettings(tokens=self._make_tokens())
        self._server = server.Server(
            ServerSettings(
                etcd=(self._etcd,),
                listen="127.0.0.1:0",
                http_listen="127.0.0.1:0",
                grace_seconds=1.0,
                reaper=None,
                security=security,
            )
        )
        self.run(self._server.start())

    def _make_tokens(self) -> Path:
        tokens = self._directory / "tokens.toml"
        with new_files():
            for name, rights in (
                ("all", {"sessions": ("*",), "fleets": (f"{FLEETS}*",), "role": "operator"}),
                ("narrow", {"sessions": (f"{ME}-*",), "fleets": (f"{FLEETS}*",)}),
                ("elsewhere", {"sessions": ("*",), "fleets": ("default",)}),
            ):
                add_credential(tokens, Wanted(name, **rights), self._directory / f"{name}.token")
        (self._directory / "wrong.token").write_text("nobody-knows-this-one")
        (self._directory / "wrong.token").chmod(0o600)
        return tokens

    def stop(self) -> None:
        self.run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()


class _Breaking:
    """A servicer that fails for the work that begins with ``BROKEN``, as its name says."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        behaviour: Callable[..., Any] = getattr(self._servicer, name)
        if name == "Watch":
            return _breaking_stream(behaviour)

        async def answer(request: Any, context: Any) -> Any:
            key = getattr(request, "work_key", "") or next(iter(getattr(request, "candidates", ())), "")
            if key.startswith(BROKEN):
                raise _error(key.removeprefix(BROKEN).upper())
            return await behaviour(request, context)

        return answer


def _breaking_stream(behaviour: Callable[..., Any]) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        if request.start_revision == BROKEN_REVISION:
            raise HistoryGone("the events before revision 7 are gone", hint="list, then watch from the list's revision")
        async for event in behaviour(request, context):
            yield event

    return answer


def _error(code: str) -> Exception:
    if code == "INTERNAL":
        return ValueError("nobody outside reads this")
    kind: type[CoordinatorError] = error_for_code(code)
    return kind(_SAYS.get(code), retry_after_seconds=_REST_SECONDS)


@contextmanager
def running_world(directory: Path, etcd: str, patch: Callable[[str, object], None]) -> Iterator[World]:
    """Run the coordinator while the block runs; ``patch`` replaces what ``coordinator.server`` has under a name."""
    patch("Middleware", lambda servicer, *others: Middleware(_Breaking(servicer), *others))
    world = World(directory, etcd)
    world.start()
    try:
        yield world
    finally:
        world.stop()
