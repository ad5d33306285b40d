"""The gRPC side of the coordinator: from messages to the engine's commands, and back.

There are more than twelve files because each thing that a call passes on its way has one of its own.
"""

from coordinator.service.middleware import Middleware
from coordinator.service.servicer import Servicer

__all__ = ["Middleware", "Servicer"]
