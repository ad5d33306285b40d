"""Clients of a coordinator: ``Client`` for ordinary code, ``AsyncClient`` for asyncio.

There are more than twelve files because most stand for both clients, and the one without asyncio is generated.
"""

from __future__ import annotations

# As in typing, which takes longer to load than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.client._async import AsyncClient
    from coordinator.client._async_hold import AsyncHeld
    from coordinator.client._sync import Client
    from coordinator.client._sync_hold import Held

__all__ = ["AsyncClient", "AsyncHeld", "Client", "Held"]

# Each is loaded when it is asked for: a command needs one of them.
_MODULES = {
    "AsyncClient": "coordinator.client._async",
    "AsyncHeld": "coordinator.client._async_hold",
    "Client": "coordinator.client._sync",
    "Held": "coordinator.client._sync_hold",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
