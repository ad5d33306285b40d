"""Clients of a coordinator: ``Client`` for ordinary code, ``AsyncClient`` for asyncio."""

from coordinator.client._async import AsyncClient
from coordinator.client._sync import Client

__all__ = ["AsyncClient", "Client"]
